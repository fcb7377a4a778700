package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is bounded here
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// A boundedCodec decodes the answers of the Workload API, but no more entries of
// each field than are looked at, and one more, which shows that there were more.
// A million entries of a few bytes would take a hundred times their size.
type boundedCodec struct{ encoding.CodecV2 }

func newBoundedCodec() boundedCodec { return boundedCodec{encoding.GetCodecV2("proto")} }

// maxEntries is how many entries of a field are decoded.
const maxEntries = maxBundles + 1

func (boundedCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("decoding an answer into %T, which is no message", v)
	}
	// Twice through: what is kept is allocated once.
	size := 0
	if err := eachField(data, func(_, n int, _ io.Reader) error { size += maxHeader + n; return nil }); err != nil {
		return err
	}
	kept := make([]byte, 0, size)
	err := eachField(data, func(field, n int, r io.Reader) error {
		kept = binary.AppendUvarint(kept, uint64(field)<<3|wireBytes)
		kept = binary.AppendUvarint(kept, uint64(n))
		kept = kept[:len(kept)+n]
		_, err := io.ReadFull(r, kept[len(kept)-n:])
		return err
	})
	if err != nil {
		return err
	}
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(kept, m)
}

// Wire types of protocol buffers.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// maxHeader is how long number and length of a field are at most, in bytes: the
// number is below 16, and the length below maxMessage.
const maxHeader = 1 + 4

var errWire = errors.New("the answer is not a protocol buffer message")

// eachField calls keep for each field of a message that is to be decoded, with
// its number, its length, and a reader of what follows. Every field of every
// answer has a length and a low number; others are unknown.
func eachField(data mem.BufferSlice, keep func(field, n int, r io.Reader) error) error {
	r := data.Reader()
	defer r.Close()
	var counts [16]int
	for r.Remaining() > 0 {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return errWire
		}
		n := uint64(0)
		switch tag & 7 {
		case wireVarint:
			_, err = binary.ReadUvarint(r)
		case wireFixed64:
			n = 8
		case wireBytes:
			n, err = binary.ReadUvarint(r)
		case wireFixed32:
			n = 4
		default:
			return errWire
		}
		if err != nil || n > uint64(r.Remaining()) {
			return errWire
		}
		next := r.Remaining() - int(n)
		if field := tag >> 3; tag&7 == wireBytes && field < uint64(len(counts)) {
			if counts[field]++; counts[field] <= maxEntries {
				if err := keep(int(field), int(n), r); err != nil {
					return err
				}
			}
		}
		if _, err := r.Discard(r.Remaining() - next); err != nil {
			return errWire
		}
	}
	return nil
}
