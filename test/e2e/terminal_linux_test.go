package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
	"bonsai/test/pty"
)

// muteTerminal is a pseudo-terminal that shows nothing and never answers: a program that queries it waits forever.
type muteTerminal struct {
	t             *testing.T
	master, slave *os.File
	before        *term.State
	read          sync.WaitGroup

	mu     sync.Mutex // guards output
	output []byte
}

func newTerminal(t *testing.T) *muteTerminal {
	t.Helper()
	master, slave := pty.Open(t)
	term0, err := term.GetState(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	s := &muteTerminal{t: t, master: master, slave: slave, before: term0}
	s.read.Go(func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.output = append(s.output, buf[:n]...)
			s.mu.Unlock()
			if err != nil {
				return // a terminal without processes ends with EIO
			}
		}
	})
	t.Cleanup(func() {
		_ = slave.Close()
		s.read.Wait()
		_ = master.Close()
	})
	return s
}

// start runs bonsai with all its streams on the terminal, as the leader of a session of its own.
func (s *muteTerminal) start(h *harness.Home, env []string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := h.Command(context.WithoutCancel(s.t.Context()), args...)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"NO_COLOR", "CI", "TERM", "COLORTERM", "LANG", "LC_ALL", "TMUX", "TERM_PROGRAM"}, name)
	})
	cmd.Env = append(cmd.Env, append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8"}, env...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test has failed before the end
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func (s *muteTerminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.output)
}

var sequences = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|[@-Z\\\\-_]|\\][^\x07\x1b]*(\x07|\x1b\\\\))")

// shows waits for text to appear after what was seen before.
func (s *muteTerminal) shows(limit time.Duration, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		harness.Until(s.t, limit, fmt.Sprintf("%q on the terminal", text), func() error {
			if all := sequences.ReplaceAllString(s.text(), ""); !strings.Contains(all, text) {
				return fmt.Errorf("it shows %q", all[max(0, len(all)-3000):])
			}
			return nil
		})
	}
}

// forget drops the output so far.
func (s *muteTerminal) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output = nil
}

func (s *muteTerminal) keys(keys ...string) {
	s.t.Helper()
	for _, k := range keys {
		if _, err := s.master.WriteString(k); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ends waits for the end of a command and checks that the terminal is as it was.
func (s *muteTerminal) ends(cmd *exec.Cmd, limit time.Duration) (code int) {
	s.t.Helper()
	timer := time.AfterFunc(harness.Scale(limit), func() {
		s.t.Errorf("%v does not end: %q", cmd.Args, s.text())
		_ = cmd.Process.Kill()
	})
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if after, err := term.GetState(int(s.slave.Fd())); err != nil || fmt.Sprint(after) != fmt.Sprint(s.before) {
		s.t.Errorf("%v left the terminal in another state: %v", cmd.Args, err)
	}
	return cmd.ProcessState.ExitCode()
}

// all returns all output; the terminal cannot be used after that.
func (s *muteTerminal) all() string {
	_ = s.slave.Close()
	s.read.Wait()
	return s.text()
}

// questions are sequences that a terminal answers: colours, cursor, device, modes.
var questions = regexp.MustCompile("\x1b\\][0-9;]*\\?|\x1b\\[[>=?]?[0-9]*c|\x1b\\[\\??[56]n|\x1b\\[[?0-9;]*\\$p|\x1bP\\+q|\x1b\\[\\?u")

// TestNoCommandAsksTheTerminal runs commands on a terminal that does not answer. Bubble Tea queries the background when
// it is initialised, in every program that links it, and waits for five seconds; package tui/background prevents that.
func TestNoCommandAsksTheTerminal(t *testing.T) {
	h := harness.NewHome(t)
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"version": {[]string{"version"}, 0}, "help": {[]string{"--help"}, 0}, "status": {[]string{"status", "-o", "json"}, 30}, "completion": {[]string{"__complete", "st"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTerminal(t)
			began := time.Now()
			code := s.ends(s.start(h, nil, c.args...), 20*time.Second)
			took := time.Since(began)
			if text := s.all(); strings.Contains(text, "\x1b") || strings.TrimSpace(text) == "" {
				t.Errorf("it wrote %q", text)
			}
			if code != c.code || took > harness.Scale(4*time.Second) {
				t.Errorf("exit code %d after %s", code, took)
			}
			t.Logf("%s", took.Round(time.Millisecond))
		})
	}
}

// TestUIOnAMuteTerminal opens the UI on a terminal that does not answer, and leaves it in every way.
func TestUIOnAMuteTerminal(t *testing.T) {
	// Under nohup the signal is ignored, and children inherit that unless they handle it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	h := harness.NewHome(t)
	for name, c := range map[string]struct {
		env, args []string
		leave     func(s *muteTerminal, cmd *exec.Cmd)
	}{
		"q":         {nil, []string{"ui"}, func(s *muteTerminal, _ *exec.Cmd) { s.keys("q") }},
		"alone":     {nil, nil, func(s *muteTerminal, _ *exec.Cmd) { s.keys("\x03") }},
		"SIGTERM":   {nil, []string{"ui"}, func(_ *muteTerminal, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }},
		"SIGHUP":    {nil, []string{"ui"}, func(_ *muteTerminal, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGHUP) }},
		"no colour": {[]string{"NO_COLOR=1"}, []string{"ui", "--ascii"}, func(s *muteTerminal, _ *exec.Cmd) { s.keys("q") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTerminal(t)
			began := time.Now()
			cmd := s.start(h, c.env, c.args...)
			s.shows(20*time.Second, `cluster "bonsai" does not exist yet`, "start a new cluster")
			if took := time.Since(began); took > harness.Scale(4*time.Second) {
				t.Errorf("the first picture came after %s", took)
			}
			if q := questions.FindString(s.text()); q != "" {
				t.Errorf("it asks the terminal %q", q)
			}
			if colour := regexp.MustCompile("\x1b\\[[0-9;]*3[0-8]").FindString(s.text()); (colour != "") != (c.env == nil) {
				t.Errorf("colour: %q", colour)
			}
			c.leave(s, cmd)
			s.ends(cmd, 20*time.Second)
			if text := s.all(); strings.Count(text, "\x1b[?1049h") != 1 || strings.Count(text, "\x1b[?1049l") != 1 {
				t.Error("the screen of before is not back")
			}
		})
	}
	t.Run("dumb", func(t *testing.T) {
		s := newTerminal(t)
		if code := s.ends(s.start(h, []string{"TERM=dumb"}), 20*time.Second); code != 0 || !strings.Contains(s.all(), "Available Commands") {
			t.Errorf("exit code %d: %q", code, s.text())
		}
	})
}

// TestUIFromStartToFinish starts, stops and deletes a cluster without leaving the UI, except once in between.
func TestUIFromStartToFinish(t *testing.T) {
	c := harness.New(t)
	s := newTerminal(t)
	ui := s.start(c.Home, nil, "ui", "-p", c.Name)
	s.shows(20*time.Second, "start a new cluster")
	s.keys("n")
	s.shows(10*time.Second, "number of nodes")
	s.keys("1", "\r")
	s.shows(10*time.Second, "nodes                1")
	s.keys("\r")
	s.shows(30*time.Second, "Certificates", "Control plane")

	// The start continues when the UI is left, and the UI finds it again.
	s.keys("q")
	s.ends(ui, 20*time.Second)
	s.shows(5*time.Second, "continues without the UI")
	s.forget()
	ui = s.start(c.Home, nil, "ui", "-p", c.Name)
	s.shows(2*time.Minute, "CONTROL PLANE")
	harness.Until(t, 2*time.Minute, "a ready node", func() error {
		if _, code := c.Status(t); code != 0 {
			return fmt.Errorf("status exits with %d", code)
		}
		return nil
	})
	s.forget()
	s.keys("7")
	s.shows(20*time.Second, "default-storageclass")
	s.forget()
	s.keys("Q")
	s.shows(10*time.Second, "its nodes and its control plane stop")
	s.keys("\t", "\r")
	s.shows(time.Minute, c.Name+" is stopped, in")
	s.keys("\r")
	s.shows(20*time.Second, "start it as it was")
	s.forget()
	s.keys("\r")
	s.shows(2*time.Minute, c.Name+" is ready in")
	s.forget()
	s.keys("\x0b") // ctrl-k
	s.shows(10*time.Second, "find")
	s.keys("delete the cluster")
	s.shows(10*time.Second, "delete the cluster and everything")
	s.keys("\r")
	s.shows(10*time.Second, "it cannot be undone")
	s.keys(c.Name, "\r")
	s.shows(2*time.Minute, c.Name+" is deleted, in")
	s.keys("q")
	s.ends(ui, 20*time.Second)
	wantCode(t, c.Bonsai(t, "status"), code(fault.NotFound))
}
