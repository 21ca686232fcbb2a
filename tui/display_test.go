package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/tui/paint"
)

// obey does to a picture what a terminal would.
func obey(t *testing.T, picture []string, text string, height int) []string {
	t.Helper()
	picture = slices.Clone(picture)
	for len(picture) < height {
		picture = append(picture, "")
	}
	move := regexp.MustCompile(`\x1b\[(\d+);1H\x1b\[K`)
	text = strings.TrimSuffix(strings.TrimPrefix(text, syncOn), syncOff)
	if strings.HasPrefix(text, "\x1b[2J") {
		picture = make([]string, height)
	}
	at := move.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		row, err := strconv.Atoi(text[m[2]:m[3]])
		if err != nil {
			t.Fatal(err)
		}
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		line, ok := strings.CutSuffix(text[m[1]:end], "\x1b[0m")
		if !ok {
			t.Fatalf("a line does not end in order: %q", text[m[1]:end])
		}
		picture[row-1] = line
	}
	return picture
}

func TestDifferenceMakesTheNewPicture(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	picture := func(h int) (lines []string) {
		for range h {
			lines = append(lines, fmt.Sprint("line ", rnd.IntN(3)))
		}
		return lines
	}
	var shown []string
	for range 1000 {
		h := 5
		if rnd.IntN(5) == 0 {
			h = 1 + rnd.IntN(9)
		}
		next := picture(h)
		text := difference(shown, next)
		if got := obey(t, shown, text, h); !slices.Equal(got, next) {
			t.Fatalf("%q and %q make %q", shown, text, got)
		}
		if again := difference(next, next); again != "" {
			t.Fatalf("the same picture is sent again: %q", again)
		}
		shown = next
	}
}

// slowTerminal takes a write only when the test allows it.
type slowTerminal struct {
	begun, go_ chan struct{}
	mu         sync.Mutex // guards written
	written    []string
}

func (s *slowTerminal) Write(p []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.go_
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, string(p))
	return len(p), nil
}

func TestSlowTerminalSkipsPictures(t *testing.T) {
	s := &slowTerminal{begun: make(chan struct{}, 9), go_: make(chan struct{}, 9)}
	d := newDisplay(s)
	var running sync.WaitGroup
	running.Go(d.run)
	d.show([]string{"one"})
	<-s.begun
	d.show([]string{"two"})
	d.send("\x07")
	d.show([]string{"three"})
	s.go_ <- struct{}{}
	<-s.begun
	s.go_ <- struct{}{}
	d.close()
	running.Wait()
	if all := strings.Join(s.written, "|"); strings.Contains(all, "two") || !strings.Contains(all, "one") || !strings.Contains(all, "\x07") || !strings.Contains(all, "three") {
		t.Errorf("written: %q", all)
	}
}

// TestPanicGivesTheTerminalBack has a goroutine of the UI and its drawing crash.
func TestPanicGivesTheTerminalBack(t *testing.T) {
	for name, crash := range map[string]func(*ui){
		"goroutine": func(u *ui) {
			u.work("crash", func(context.Context, func(string)) error { panic("kaboom") }, func(error) {})
		},
		"program": func(*ui) { panic("kaboom") },
	} {
		t.Run(name, func(t *testing.T) {
			var out lockedBuffer
			in, keys := io.Pipe()
			defer func() { _ = keys.Close() }()
			s := healthy()
			programs := make(chan *tea.Program, 1)
			done := make(chan error, 1)
			uis := make(chan *ui, 1)
			go func() {
				_, err := Run(t.Context(), s, Options{Depth: paint.Mono, Notice: func(p *tea.Program) { programs <- p }, notice: func(u *ui) { uis <- u }}, in, &out)
				done <- err
			}()
			p, u := <-programs, <-uis
			p.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
			p.Send(doMsg(func() { crash(u) }))
			select {
			case err := <-done:
				c, ok := errors.AsType[*Crash](err)
				if !ok || c.Reason != "kaboom" || !strings.Contains(c.Stack, "display_test.go") {
					t.Errorf("got %v", err)
				}
			case <-time.After(waitLimit):
				t.Fatal("the UI goes on after a panic")
			}
			if text := out.String(); !strings.HasSuffix(text, leaveScreen) || !strings.HasPrefix(text, enterScreen) {
				t.Errorf("the terminal was left as it is: %q", text)
			}
		})
	}
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
