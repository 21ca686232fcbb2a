package tui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// display puts pictures on a terminal, in place of Bubble Tea's own renderer, whose timer of 60 ticks a second costs
// more than the whole idle UI (docs/decisions/012). It sends only lines that have changed, as one write between the marks
// of a synchronized update, from a goroutine of its own: a slow terminal skips pictures and delays nobody.
type display struct {
	w    io.Writer
	file *os.File // w, if it is a terminal

	mu      sync.Mutex // guards the rest
	pending []string   // the newest picture that was not sent; nil if there is none
	raw     []string   // sequences to send with it
	shown   []string   // what the terminal shows; nil if that is not known
	writing bool
	paused  bool
	closed  bool
	mouse   bool
	wake    *sync.Cond
	cooked  *term.State // how the terminal was before
}

const (
	// The alternate screen, without cursor; lines that are too long by a terminal's own idea of width are cut off and do
	// not break the picture. Focus reports when nobody is looking, bracketed paste that text was not typed.
	enterScreen = "\x1b[?1049h\x1b[2J\x1b[H\x1b[?25l\x1b[?7l\x1b[?1004h\x1b[?2004h"
	leaveScreen = "\x1b[?2004l\x1b[?1004l\x1b[?7h\x1b[?25h\x1b[?1049l"
	// Cell motion with SGR coordinates.
	mouseOn  = "\x1b[?1002h\x1b[?1006h"
	mouseOff = "\x1b[?1006l\x1b[?1002l"
	// Terminals that do not know synchronized updates ignore the mode.
	syncOn  = "\x1b[?2026h"
	syncOff = "\x1b[?2026l"
)

func newDisplay(w io.Writer) *display {
	d := &display{w: w, mouse: true}
	d.wake = sync.NewCond(&d.mu)
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		d.file = f
	}
	return d
}

// enter takes the terminal; leave gives it back as it was. in is where keys come from.
func (d *display) enter(in io.Reader) error {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		state, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return fmt.Errorf("read keys from the terminal: %w", err)
		}
		d.cooked = state
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown, d.paused = nil, false
	text := enterScreen
	if d.mouse {
		text += mouseOn
	}
	if _, err := io.WriteString(d.w, text); err != nil {
		return fmt.Errorf("write to the terminal: %w", err)
	}
	d.wake.Broadcast()
	return nil
}

func (d *display) leave(in io.Reader) {
	d.mu.Lock()
	d.paused = true
	for limit := time.Now().Add(leaveLimit); d.writing && time.Now().Before(limit); {
		// The goroutine that writes wakes this one; a terminal that takes nothing any more must not hold it.
		timer := time.AfterFunc(leaveLimit, d.wake.Broadcast)
		d.wake.Wait()
		timer.Stop()
	}
	stuck := d.writing
	d.mu.Unlock()
	if !stuck {
		_, _ = io.WriteString(d.w, mouseOff+leaveScreen) // a terminal that is gone needs none of it
	}
	if f, ok := in.(*os.File); ok && d.cooked != nil {
		_ = term.Restore(int(f.Fd()), d.cooked)
		d.cooked = nil
	}
}

// leaveLimit bounds the wait for a running write.
const leaveLimit = time.Second

// show has a picture drawn soon, in place of an older one that was not drawn yet.
func (d *display) show(lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = lines
	d.wake.Broadcast()
}

// send has a control sequence sent between two pictures.
func (d *display) send(sequence string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.raw = append(d.raw, sequence)
	d.wake.Broadcast()
}

// setMouse takes the mouse, or gives it to the terminal.
func (d *display) setMouse(on bool) {
	d.mu.Lock()
	d.mouse = on
	d.mu.Unlock()
	if on {
		d.send(mouseOn)
	} else {
		d.send(mouseOff)
	}
}

// run draws until close.
func (d *display) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for !d.closed && (d.paused || d.pending == nil && len(d.raw) == 0) {
			d.wake.Wait()
		}
		if d.closed {
			return
		}
		text := strings.Join(d.raw, "")
		if d.pending != nil {
			text += difference(d.shown, d.pending)
			d.shown = d.pending
		}
		d.raw, d.pending = nil, nil
		if text == "" {
			continue
		}
		d.writing = true
		d.mu.Unlock()
		_, _ = io.WriteString(d.w, text) // a terminal that is gone also ends the input, and with it the program
		d.mu.Lock()
		d.writing = false
		d.wake.Broadcast()
	}
}

func (d *display) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.wake.Broadcast()
}

// difference is what makes the picture new of the picture old; "" if nothing does. A nil old is anything.
func difference(old, new []string) string {
	var b strings.Builder
	whole := len(old) != len(new)
	for i, line := range new {
		if whole || old[i] != line {
			if b.Len() == 0 {
				b.WriteString(syncOn)
				if whole {
					b.WriteString("\x1b[2J")
				}
			}
			// The old line is erased before, not after: behind a full line the cursor is still on its last cell.
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[K", i+1)
			b.WriteString(line)
			b.WriteString("\x1b[0m")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	b.WriteString(syncOff)
	return b.String()
}
