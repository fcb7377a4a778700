package config

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

func isWord(r rune) bool {
	return r == '_' || r == '-' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// wordOrNumber takes an identifier or a number. Where a value should stand,
// anything else up to the end of the line is what somebody forgot to quote.
func (s *scanner) wordOrNumber() {
	end := s.pos
	for end < len(s.src) {
		r, n := utf8.DecodeRune(s.src[end:])
		if !isWord(r) {
			break
		}
		end += n
	}
	c := s.src[s.pos]
	number := isDigit(c) || c == '-' && isDigit(s.peek(1))
	if number && end < len(s.src) && s.src[end] == '+' { // 1e+5
		end++
		for end < len(s.src) && isDigit(s.src[end]) {
			end++
		}
	}
	if s.valueExpected() && !(s.delimited(end) && (number || isKeyword(s.src[s.pos:end]))) {
		s.bare()
		return
	}
	switch {
	case number:
		s.emit(tokNumber, end)
	case end > s.pos && c != '-' && c != '.':
		s.emit(tokWord, end)
	case s.labelExpected():
		s.bareLabel()
	default:
		_, n := utf8.DecodeRune(s.src[s.pos:])
		s.stray(s.pos + max(n, end-s.pos))
	}
}

// labelExpected reports whether a label may stand here: after a key, on its
// line.
func (s *scanner) labelExpected() bool {
	return !s.newline && len(s.tokens) > 0 && s.tokens[len(s.tokens)-1].kind == tokWord && !s.valueExpected()
}

// bareLabel takes a label that somebody forgot to quote.
func (s *scanner) bareLabel() {
	end := s.pos + 1
	for end < len(s.src) && bytes.IndexByte([]byte(" \t\r\n{=\""), s.src[end]) < 0 {
		end++
	}
	key := s.tokens[len(s.tokens)-1]
	text := s.report.show(span{s.pos, end})
	if secretKey(s.src[key.start:key.end]) {
		text = "***"
	}
	s.report.errorf(span{s.pos, end}, fmt.Sprintf("write %s %q", s.report.show(key.span), text), "%s needs double quotes", text)
	s.emit(tokWord, end)
}

func isKeyword(word []byte) bool {
	switch string(word) {
	case "true", "false", "null":
		return true
	}
	return false
}

// valueExpected reports whether a value should stand here, on this line.
func (s *scanner) valueExpected() bool {
	if len(s.tokens) == 0 {
		return false
	}
	last := s.tokens[len(s.tokens)-1]
	if last.kind != tokPunct {
		return false
	}
	switch s.src[last.start] {
	case '=', ':':
		return !s.newline
	case '[', ',':
		return s.inList()
	}
	return false
}

func (s *scanner) inList() bool {
	return len(s.open) > 0 && s.src[s.open[len(s.open)-1].start] == '['
}

// delimited reports whether nothing is glued to a value that ends at end.
func (s *scanner) delimited(end int) bool {
	rest := s.src[min(end, len(s.src)):]
	return len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n,}]#\"[{"), rest[0]) >= 0 ||
		bytes.HasPrefix(rest, []byte("//")) || bytes.HasPrefix(rest, []byte("/*"))
}

// bare takes the rest of the line, up to a comment or a closing bracket; in a
// list, up to the end of the element.
func (s *scanner) bare() {
	stops := "\n}"
	if s.inList() {
		stops = "\n},]"
	}
	end := s.pos + 1
	for end < len(s.src) && bytes.IndexByte([]byte(stops), s.src[end]) < 0 && !s.commentAt(end) {
		end++
	}
	if text := bytes.TrimRight(s.src[s.pos:end], " \t\r"); len(text) > 0 {
		end = s.pos + len(text)
	}
	s.emit(tokBare, end)
}

func (s *scanner) commentAt(i int) bool {
	if s.src[i-1] != ' ' && s.src[i-1] != '\t' {
		return false
	}
	return s.src[i] == '#' || bytes.HasPrefix(s.src[i:], []byte("//")) || bytes.HasPrefix(s.src[i:], []byte("/*"))
}
