package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/cancelreader"
	"golang.org/x/term"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// openShell gives the terminal to a shell in a pod or node; of a pod with several containers it asks for one.
func (u *ui) openShell(s *subject) {
	ref := s.ref
	if ref.Type.Resource == "nodes" {
		u.runShell(kube.Exec{Node: ref.Name}, ref.Name)
		return
	}
	fetch(u, func(ctx context.Context) (kube.PodDetail, error) {
		return u.session.Pod(ctx, ref.Namespace, ref.Name)
	}, func(d kube.PodDetail, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		run := func(container string) {
			title := ref.Namespace + "/" + ref.Name
			if container != "" {
				title += " " + container
			}
			u.runShell(kube.Exec{Namespace: ref.Namespace, Pod: ref.Name, Container: container}, title)
		}
		var choices []choice
		for i := range d.Containers {
			c := &d.Containers[i]
			off := ""
			if c.State.Phase != kube.ContainerRunning {
				if c.Init {
					continue
				}
				off = paint.Clean(u.containerText(c.State))
			}
			choices = append(choices, choice{title: paint.Clean(c.Name), hint: paint.Clean(c.Image), off: off, run: func() { run(c.Name) }})
		}
		switch len(choices) {
		case 0:
			run("") // the API server says best why not
		case 1:
			choices[0].run()
		default:
			u.choose(u.T("shell in"), choices)
		}
	})
}

// runShell lends the terminal to a shell.
func (u *ui) runShell(e kube.Exec, title string) {
	entry := u.record(shellCommandLine(e))
	c := &shellCommand{u: u, exec: e, greeting: u.T("bonsai: a shell in %s; exit or ctrl-d returns", paint.Clean(title))}
	u.lend(c, func(err error) {
		entry.end(u, err)
		switch {
		case err != nil:
			u.fail(err)
		case c.code != 0:
			u.toast.say(paint.Dim, u.T("the shell exited with code %d", c.code))
		}
	})
}

// shellCommand is a shell that has the terminal, raw, until it ends. Bubble Tea sets its streams.
type shellCommand struct {
	u        *ui
	exec     kube.Exec
	greeting string
	in       io.Reader
	out, err io.Writer
	code     int
}

func (c *shellCommand) SetStdin(r io.Reader)  { c.in = r }
func (c *shellCommand) SetStdout(w io.Writer) { c.out = w }
func (c *shellCommand) SetStderr(w io.Writer) { c.err = w }

func (c *shellCommand) Run() error {
	ctx, cancel := context.WithCancel(c.u.hub.Context())
	defer cancel()
	e := c.exec
	e.Stdout, e.Stderr = c.out, c.err
	_, _ = fmt.Fprintf(c.out, "%s\r\n", c.greeting)
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		before, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return fmt.Errorf("prepare the terminal: %w", err)
		}
		defer func() { _ = term.Restore(int(f.Fd()), before) }()
		size := make(chan kube.TerminalSize, 1)
		e.Size = size
		var following sync.WaitGroup
		following.Go(func() {
			followSize(ctx, f, func(m tea.Msg) {
				if m, ok := m.(tea.WindowSizeMsg); ok {
					newest(size, kube.TerminalSize{Width: m.Width, Height: m.Height})
				}
			})
		})
		defer following.Wait()
		defer cancel()
	}
	keys, err := borrow(c.in)
	if err != nil {
		return fmt.Errorf("read keys from the terminal: %w", err)
	}
	defer keys.giveBack()
	e.Stdin = keys
	c.code, err = c.u.session.Exec(ctx, e)
	if err != nil && c.u.hub.Context().Err() != nil {
		return context.Canceled // the UI ends
	}
	return err
}

// newest puts a value into a channel of one, in place of one that nobody has taken. There is one sender.
func newest[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// borrowed reads keys for another program. A read that is in progress when that has ended would swallow the next key:
// giveBack ends it.
type borrowed struct {
	r  cancelreader.CancelReader
	mu sync.Mutex // held while something is read
	// over says that the keys are somebody else's again.
	over bool
}

func borrow(r io.Reader) (*borrowed, error) {
	if r == nil {
		r = strings.NewReader("")
	}
	c, err := cancelreader.NewReader(r)
	if err != nil {
		return nil, err
	}
	return &borrowed{r: c}, nil
}

func (b *borrowed) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	if errors.Is(err, cancelreader.ErrCanceled) {
		err = io.EOF
	}
	return n, err
}

func (b *borrowed) giveBack() {
	if !b.r.Cancel() {
		return // no file: such a read cannot be ended, and takes no keys either
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	_ = b.r.Close()
}
