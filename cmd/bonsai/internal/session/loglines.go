package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/wait"
)

const (
	// maxLine is how much of a line is kept.
	maxLine = 64 << 10
	// maxBuffered is how many lines, and maxBufferedBytes how much text, may wait for the caller.
	maxBuffered      = 20_000
	maxBufferedBytes = 16 << 20
)

// readLines calls f with each line, without its end; what exceeds maxLine is dropped and counted.
func readLines(r io.Reader, f func(line []byte, cut int)) error {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadSlice('\n')
		cut := 0
		if errors.Is(err, bufio.ErrBufferFull) {
			line = wholeRunes(bytes.Clone(line))
			cut = maxLine - len(line)
			for errors.Is(err, bufio.ErrBufferFull) {
				var more []byte
				more, err = br.ReadSlice('\n')
				cut += len(bytes.TrimSuffix(more, []byte{'\n'}))
			}
		}
		if len(line) > 0 {
			f(bytes.TrimSuffix(line, []byte{'\n'}), cut)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// wholeRunes removes an incomplete character from the end.
func wholeRunes(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			return b
		}
	}
	return b
}

// lineText is the text of a line whose end may have been cut.
func lineText(line []byte, cut int) string {
	if cut == 0 {
		return string(line)
	}
	return fmt.Sprintf("%s … %d more bytes", line, cut)
}

// logBuffer is between the readers of logs and the sender. When the caller is slower than the logs, the oldest lines
// are dropped and counted: a log on the screen is never late.
type logBuffer struct {
	dirty chan struct{} // has one element while there are lines

	mu      sync.Mutex // guards what follows
	lines   []kube.LogLine
	bytes   int
	dropped int
}

func newLogBuffer() *logBuffer { return &logBuffer{dirty: make(chan struct{}, 1)} }

func (b *logBuffer) add(l kube.LogLine) {
	b.mu.Lock()
	b.lines = append(b.lines, l)
	b.bytes += len(l.Text)
	if len(b.lines) > maxBuffered || b.bytes > maxBufferedBytes {
		half := (len(b.lines) + 1) / 2
		for _, old := range b.lines[:half] {
			b.bytes -= len(old.Text)
		}
		b.dropped += half
		n := copy(b.lines, b.lines[half:])
		clear(b.lines[n:])
		b.lines = b.lines[:n]
	}
	b.mu.Unlock()
	select {
	case b.dirty <- struct{}{}:
	default:
	}
}

// take returns what was received, merged by time, after a note about what was dropped before it.
func (b *logBuffer) take() []kube.LogLine {
	b.mu.Lock()
	lines, dropped := b.lines, b.dropped
	b.lines, b.bytes, b.dropped = nil, 0, 0
	b.mu.Unlock()
	sortLines(lines)
	if dropped > 0 {
		m := kube.LogLine{Marker: &kube.LogMarker{Kind: kube.LogDropped, Count: dropped}}
		if len(lines) > 0 {
			m.Time = lines[0].Time
		}
		lines = slices.Insert(lines, 0, m)
	}
	return lines
}

// sortLines merges by time, and keeps lines without a time after those that they followed.
func sortLines(lines []kube.LogLine) {
	var last time.Time
	for _, l := range lines {
		if l.Time.Before(last) {
			slices.SortStableFunc(lines, func(a, b kube.LogLine) int { return a.Time.Compare(b.Time) })
			return
		}
		last = l.Time
	}
}

// pump sends what is received until ended is closed, and then the rest.
func (b *logBuffer) pump(ctx context.Context, ended <-chan struct{}, f func([]kube.LogLine) error) error {
	for over := false; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ended:
			over = true
		case <-b.dirty:
		}
		if lines := b.take(); len(lines) > 0 {
			if err := f(lines); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
		if err := wait.Pause(ctx, flushInterval); err != nil {
			return err
		}
	}
}

// position is how far a container's log was sent, across the ends of streams and of containers.
type position struct {
	last time.Time
	at   int // lines sent that have exactly this time
	skip int // of these, how many the stream that runs has to repeat
}

// reopen announces a stream that may repeat lines.
func (p *position) reopen() { p.skip = p.at }

// pass reports whether a line of this time is new, and advances.
func (p *position) pass(t time.Time) bool {
	switch {
	case t.Before(p.last):
		return false
	case t.Equal(p.last) && p.skip > 0:
		p.skip--
		return false
	case t.Equal(p.last):
		p.at++
	default:
		p.last, p.at, p.skip = t, 1, 0
	}
	return true
}

// parseLine removes the time stamp from a line of a container's log.
func parseLine(line []byte, cut int) (t time.Time, text string, ok bool) {
	stamp, rest, found := bytes.Cut(line, []byte{' '})
	if found || len(stamp) > 0 {
		var err error
		if t, err = time.Parse(time.RFC3339Nano, string(stamp)); err == nil {
			return t, lineText(rest, cut), true
		}
	}
	return time.Time{}, lineText(line, cut), false
}
