package tui

import (
	"encoding/base64"
	"os"
	"strings"

	"bonsai/tui/paint"
)

// copy puts text into the clipboard of the terminal that the user sits at, also through SSH and tmux: OSC 52 asks the
// terminal to do it.
func (u *ui) copy(text string) { u.copyText(text, "") }

// copyText is copy of something that has a name of its own in the answer, because it is long.
func (u *ui) copyText(text, name string) {
	if text == "" {
		return
	}
	if name == "" {
		name = paint.Cut(paint.Clean(text), 60, u.theme.Glyphs.More)
	}
	seq := osc52(text, os.Getenv("TMUX") != "", strings.HasPrefix(os.Getenv("TERM"), "screen") && os.Getenv("TMUX") == "")
	u.display.send(seq)
	u.toast.say(paint.OK, u.T("copied: %s", name))
}

// osc52 is the sequence that sets the clipboard; multiplexers pass it on when it is wrapped.
func osc52(text string, tmux, screen bool) string {
	seq := "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\x07"
	switch {
	case tmux:
		return "\x1bPtmux;" + strings.ReplaceAll(seq, "\x1b", "\x1b\x1b") + "\x1b\\"
	case screen:
		return "\x1bP" + seq + "\x1b\\"
	}
	return seq
}
