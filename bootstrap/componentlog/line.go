package componentlog

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// appendHeader writes klog's header without the process number, which is the same on each line:
// "I1122 18:49:00.123456 proxier.go:123] ". Existing tools for Kubernetes logs read it.
func appendHeader(b []byte, r slog.Record) []byte {
	switch {
	case r.Level >= slog.LevelError:
		b = append(b, 'E')
	case r.Level >= slog.LevelWarn:
		b = append(b, 'W')
	default:
		b = append(b, 'I')
	}
	t := r.Time
	if t.IsZero() {
		t = time.Now()
	}
	b = t.AppendFormat(b, "0102 15:04:05.000000 ")
	if r.PC == 0 {
		return append(b, "?] "...)
	}
	f := frameAt(r.PC)
	b = append(b, filepath.Base(f.File)...)
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(f.Line), 10)
	return append(b, "] "...)
}

// appendMessage keeps a message unchanged unless it contains a line break.
func appendMessage(b []byte, msg string) []byte {
	msg = strings.TrimRight(msg, "\n")
	if strings.ContainsFunc(msg, unicode.IsControl) {
		return strconv.AppendQuote(b, msg)
	}
	return append(b, msg...)
}

// appendAttr writes ` key="value"`; a group becomes one such pair per member, with dotted keys.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	// Values that format themselves (klog's object references: "namespace/name") are not expanded.
	if s, ok := a.Value.Any().(fmt.Stringer); ok && a.Value.Kind() != slog.KindGroup {
		return appendPair(b, prefix+a.Key, safe(s.String))
	}
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			b = appendAttr(b, prefix, m)
		}
		return b
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool:
		b = append(append(append(b, ' '), prefix...), a.Key...)
		return append(append(b, '='), v.String()...)
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			return appendPair(b, prefix+a.Key, safe(x.Error))
		case fmt.Stringer:
			return appendPair(b, prefix+a.Key, safe(x.String))
		}
		return appendPair(b, prefix+a.Key, fmt.Sprintf("%+v", v.Any()))
	}
	if a.Key == "" {
		return b
	}
	return appendPair(b, prefix+a.Key, v.String())
}

func appendPair(b []byte, key, value string) []byte {
	b = append(append(b, ' '), key...)
	return strconv.AppendQuote(append(b, '='), value)
}

// safe calls a method of a logged value; one that panics (a nil pointer in an error) must not end the process.
func safe(f func() string) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("<panic: %v>", p)
		}
	}()
	return f()
}
