//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
)

// amqpLogin is a login over AMQP 0-9-1, as a user that RabbitMQ has by itself.
func amqpLogin(conn *tls.Conn) error {
	if _, err := io.WriteString(conn, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	startOK := "\x00\x00\x00\x00" + "\x05PLAIN" + "\x00\x00\x00\x0c\x00guest\x00guest" + "\x05en_US"
	tuneOK := "\x07\xff" + "\x00\x02\x00\x00" + "\x00\x00" // 2047 channels, frames of 128 KiB, no heartbeat
	for _, step := range []struct{ hear, say, arguments string }{
		{hear: "\x00\x0a\x00\x0a", say: "\x00\x0a\x00\x0b", arguments: startOK},
		{hear: "\x00\x0a\x00\x1e", say: "\x00\x0a\x00\x1f", arguments: tuneOK},
		{say: "\x00\x0a\x00\x28", arguments: "\x01/\x00\x00"}, // Open
		{hear: "\x00\x0a\x00\x29"},
	} {
		if err := amqpStep(conn, 0, step.hear, step.say, step.arguments); err != nil {
			return err
		}
	}
	return nil
}

// amqpChannel opens a channel.
func amqpChannel(conn *tls.Conn) error {
	if err := amqpStep(conn, 1, "", "\x00\x14\x00\x0a", "\x00"); err != nil {
		return err
	}
	return amqpStep(conn, 1, "\x00\x14\x00\x0b", "", "")
}

// amqpStep hears one method, then says another.
func amqpStep(conn *tls.Conn, channel byte, hear, say, arguments string) error {
	if hear != "" {
		head := make([]byte, 7)
		if _, err := io.ReadFull(conn, head); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(head[3:])
		if head[0] != 1 || size < 4 || size > 1<<16 {
			return fmt.Errorf("a frame begins with %q", head)
		}
		method := make([]byte, size+1)
		if _, err := io.ReadFull(conn, method); err != nil {
			return err
		}
		if got := string(method[:4]); got != hear {
			return fmt.Errorf("the server says %q, not %q", got, hear)
		}
	}
	if say == "" {
		return nil
	}
	frame := binary.BigEndian.AppendUint32([]byte{1, 0, channel}, uint32(len(say)+len(arguments)))
	_, err := conn.Write(append(append(append(frame, say...), arguments...), 0xce))
	return err
}
