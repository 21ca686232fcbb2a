package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// lingerFor is how long something is still followed after its page was left: going back and forth is cheap, and
// nothing is missed in between.
const lingerFor = 30 * time.Second

// linger follows what pages look at, and for a while after they were left. Only the program calls its methods.
type linger struct {
	u        *ui
	on, off  func()
	looking  int
	running  bool
	leavings int // numbers the times it was left, so that an old timer ends nothing
}

func (l *linger) show() {
	l.looking++
	l.leavings++
	if !l.running {
		l.running = true
		l.on()
	}
}

func (l *linger) hide() {
	l.looking--
	l.leavings++
	if l.looking > 0 {
		return
	}
	at := l.leavings
	l.u.cmd(tea.Tick(lingerFor, func(time.Time) tea.Msg {
		return doMsg(func() { l.end(at) })
	}))
}

// end stops what nobody has looked at since it was left for that time.
func (l *linger) end(leaving int) {
	if l.leavings == leaving && l.running && l.looking == 0 {
		l.running = false
		l.off()
	}
}
