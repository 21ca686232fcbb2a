// Package terminal runs programs in a real terminal, tmux, for tests that look at a screen as a person does, and draws
// the result as an image.
package terminal

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bonsai/test/e2e/harness"
)

// Terminal is one tmux server with one window.
type Terminal struct {
	t      *testing.T
	socket string
	// Shots are the screens that were recorded.
	Shots []Shot
}

// Shot is a screen with its codes, and how long it is shown in a recording.
type Shot struct {
	Screen string
	For    time.Duration
}

// Start runs a command in a new terminal of a size, which ends with the test. The command is for a shell.
func Start(t *testing.T, width, height int, env []string, command string) *Terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatalf("this test needs tmux, which \"make test-heavy\" installs: %v", err)
	}
	term := &Terminal{t: t, socket: "bonsai-" + strings.ToLower(rand.Text()[:8])}
	args := []string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height)}
	for _, e := range env {
		args = append(args, "-e", e)
	}
	term.tmux(append(args, command)...)
	t.Cleanup(func() { _ = exec.Command("tmux", "-L", term.socket, "kill-server").Run() })
	return term
}

func (t *Terminal) tmux(args ...string) string {
	t.t.Helper()
	out, err := t.try(args...)
	if err != nil {
		t.t.Fatal(err)
	}
	return out
}

func (t *Terminal) try(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-L", t.socket}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Keys types keys by tmux's names ("Enter", "C-k", "j").
func (t *Terminal) Keys(keys ...string) {
	t.t.Helper()
	t.tmux(append([]string{"send-keys"}, keys...)...)
}

// Type types text as it is.
func (t *Terminal) Type(text string) {
	t.t.Helper()
	t.tmux("send-keys", "-l", text)
}

// Screen returns the visible text, without codes.
func (t *Terminal) Screen() string {
	t.t.Helper()
	return t.tmux("capture-pane", "-p")
}

// Resize changes the size of the window.
func (t *Terminal) Resize(width, height int) {
	t.t.Helper()
	t.tmux("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
}

// Wait waits until every text is on the screen.
func (t *Terminal) Wait(limit time.Duration, texts ...string) {
	t.t.Helper()
	screen := ""
	defer func() {
		if t.t.Failed() {
			t.t.Logf("the screen was\n%s", screen)
		}
	}()
	harness.Until(t.t, limit, fmt.Sprintf("%q on the screen", texts), func() (err error) {
		if screen, err = t.try("capture-pane", "-p"); err != nil {
			return err
		}
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return fmt.Errorf("%q is not there; the screen is\n%s", text, screen)
			}
		}
		return nil
	})
}

// Ended reports whether the command has ended.
func (t *Terminal) Ended() bool {
	_, err := t.try("has-session")
	return err != nil
}

// Shoot records the screen.
func (t *Terminal) Shoot(long time.Duration) {
	t.t.Helper()
	t.Shots = append(t.Shots, Shot{t.tmux("capture-pane", "-p", "-e"), long})
}
