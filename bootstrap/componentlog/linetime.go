package componentlog

import (
	"bytes"
	"io"
	"time"
)

// LineTime parses the time of a line: klog's header, which has no year, or the time of logfmt and JSON lines. It
// is zero for lines without one.
func LineTime(line []byte, now time.Time) time.Time {
	const klogStamp = "0102 15:04:05.000000"
	if len(line) > len(klogStamp) && bytes.IndexByte([]byte("IWEF"), line[0]) >= 0 {
		if t, err := time.ParseInLocation(klogStamp, string(line[1:1+len(klogStamp)]), time.Local); err == nil {
			t = t.AddDate(now.Year(), 0, 0)
			if t.After(now.Add(24 * time.Hour)) { // it was last year
				t = t.AddDate(-1, 0, 0)
			}
			return t
		}
	}
	for _, key := range []string{`time="`, `"ts":"`, `"time":"`, `time=`} {
		i := bytes.Index(line[:min(len(line), 64)], []byte(key))
		if i < 0 {
			continue
		}
		rest := line[i+len(key):]
		if end := bytes.IndexAny(rest, "\" "); end > 0 {
			if t, err := time.Parse(time.RFC3339Nano, string(rest[:end])); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}

// EachLine returns a writer that calls each with every complete line that is written to it, with its line break. What each
// gets is valid until it returns; its error is that of the Write, and ends what copies to it.
func EachLine(each func(line []byte) error) io.Writer { return &lineWriter{each: each} }

type lineWriter struct {
	each func(line []byte) error
	rest []byte
}

func (w *lineWriter) Write(data []byte) (int, error) {
	written := len(data)
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			w.rest = append(w.rest, data...)
			return written, nil
		}
		line := data[:i+1]
		if len(w.rest) > 0 {
			w.rest = append(w.rest, line...)
			line = w.rest
		}
		if err := w.each(line); err != nil {
			return 0, err
		}
		w.rest, data = w.rest[:0], data[i+1:]
	}
}
