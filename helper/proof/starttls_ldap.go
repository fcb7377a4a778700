package proof

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLDAP bounds, in bytes, an LDAP answer.
const maxLDAP = 8 << 10

// startTLSRequest is an ExtendedRequest (RFC 4511 4.12) with message id 1 and
// the name of StartTLS (4.14.1).
var startTLSRequest = append([]byte{
	0x30, 29, // LDAPMessage
	0x02, 1, 1, // messageID
	0x77, 24, // [APPLICATION 23] ExtendedRequest
	0x80, 22, // [0] requestName
}, "1.3.6.1.4.1.1466.20037"...)

// unbindRequest (RFC 4511 4.3), with message id 2.
var unbindRequest = []byte{0x30, 5, 0x02, 1, 2, 0x42, 0}

// upgradeLDAP sends StartTLS and reads an ExtendedResponse.
func upgradeLDAP(in *bufio.Reader, out io.Writer, _ string) error {
	if _, err := out.Write(startTLSRequest); err != nil {
		return err
	}
	message, err := readBER(in, 0x30)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	_, message, err = cutBER(message, 0x02) // messageID
	if err != nil {
		return err
	}
	response, _, err := cutBER(message, 0x78) // [APPLICATION 24]
	if err != nil {
		return err
	}
	code, rest, err := cutBER(response, 0x0a) // resultCode
	if err != nil {
		return err
	}
	if len(code) == 1 && code[0] == 0 {
		return nil
	}
	_, rest, _ = cutBER(rest, 0x04)  // matchedDN
	text, _, _ := cutBER(rest, 0x04) // diagnosticMessage
	return fmt.Errorf("the service refuses with result %x, saying %s", code, quoted(string(text)))
}

func leaveLDAP(_ *bufio.Reader, out io.Writer) { _, _ = out.Write(unbindRequest) }

// readBER reads one element, which must have that tag. Some servers write every
// length in five bytes, which DER forbids and BER allows.
func readBER(in *bufio.Reader, tag byte) (content []byte, err error) {
	first, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	if first != tag {
		return nil, errors.New("that is not LDAP")
	}
	if first, err = in.ReadByte(); err != nil {
		return nil, err
	}
	size := int(first)
	if first >= 0x80 {
		size = 0
		if first == 0x80 || first > 0x84 {
			return nil, errors.New("a length is not understood")
		}
		for range first - 0x80 {
			b, err := in.ReadByte()
			if err != nil {
				return nil, err
			}
			if size = size<<8 | int(b); size > maxLDAP {
				return nil, errors.New("it is too long")
			}
		}
	}
	content = make([]byte, size)
	_, err = io.ReadFull(in, content)
	return content, err
}

// cutBER takes the first element, which must have that tag, off b.
func cutBER(b []byte, tag byte) (content, rest []byte, err error) {
	malformed := errors.New("the answer is not an ExtendedResponse")
	if len(b) < 2 || b[0] != tag {
		return nil, nil, malformed
	}
	size, head := int(b[1]), 2
	if b[1] >= 0x80 {
		head += int(b[1] - 0x80)
		if b[1] == 0x80 || b[1] > 0x84 || len(b) < head {
			return nil, nil, malformed
		}
		size = 0
		for _, c := range b[2:head] {
			if size = size<<8 | int(c); size > maxLDAP {
				return nil, nil, malformed
			}
		}
	}
	if len(b)-head < size {
		return nil, nil, malformed
	}
	return b[head : head+size], b[head+size:], nil
}
