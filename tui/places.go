package tui

import "slices"

// This file goes to screens and pages, and back.

// goTo switches to a screen by its number from 0.
func (u *ui) goTo(i int) {
	if i == u.current {
		// Its key again leads back to its first page.
		for len(u.screens[i].pages) > 1 {
			u.pop()
		}
		return
	}
	// What was opened there before is not what its key is for: "last" and the history lead back to that.
	u.screens[i].pages = u.screens[i].pages[:1]
	u.visit(i)
}

// visit switches to a screen as it was left.
func (u *ui) visit(i int) {
	if i == u.current {
		return
	}
	u.history = append(u.history, u.current)
	if len(u.history) > 100 {
		u.history = u.history[1:]
	}
	u.future = nil
	u.switchTo(i)
}

// home goes to the first page of a screen.
func (u *ui) home(i int) {
	u.goTo(i)
	for u.pop() {
	}
}

func (u *ui) goBack() {
	n := len(u.history)
	if n == 0 {
		return
	}
	to := u.history[n-1]
	u.history = u.history[:n-1]
	u.future = append(u.future, u.current)
	u.switchTo(to)
}

func (u *ui) switchTo(i int) {
	u.frame().hide()
	u.before, u.current = u.current, i
	u.frame().show()
}

// placed is a page that is at one place: opened again, it takes the place of the one that is open, and of all that were
// opened from that, so that the way back does not grow.
type placed interface{ place() string }

// push opens a page over the current one; esc goes back.
func (u *ui) push(p page) {
	u.frame().hide()
	s := u.screens[u.current]
	if at, ok := p.(placed); ok {
		same := func(o page) bool {
			q, ok := o.(placed)
			return ok && q.place() == at.place()
		}
		if i := slices.IndexFunc(s.pages, same); i > 0 {
			s.pages = s.pages[:i]
		}
	}
	s.pages = append(s.pages, p)
	p.show()
}

// pop closes the current page, and says whether there was one to go back to.
func (u *ui) pop() bool {
	s := u.screens[u.current]
	if len(s.pages) == 1 {
		return false
	}
	u.frame().hide()
	s.pages = s.pages[:len(s.pages)-1]
	u.frame().show()
	return true
}

// back undoes the last thing that narrows the view: marks, a filter, a page.
func (u *ui) back() {
	for _, p := range []page{u.frame(), u.page()} {
		if b, ok := p.(backer); ok && b.back() {
			return
		}
	}
	if p, ok := u.page().(filterer); ok && p.filterText() != "" {
		p.setFilter("")
		return
	}
	if !u.pop() && u.current != 0 {
		u.goTo(0)
	}
}
