package tui

import (
	"fmt"
	"time"
)

// clock writes ages, and notes when the first of them will read differently: until then nothing has to be drawn for
// the sake of time alone.
type clock struct {
	now  func() time.Time
	next time.Duration // until an age changes; 0 if none was written
}

// begin starts a new drawing.
func (c *clock) begin() { c.next = 0 }

// age is how long ago t was, in the unit that matters: 12s, 4m, 3h, 9d. It is the age that kubectl prints, less its
// second unit, so that it changes seldom.
func (c *clock) age(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(0, c.now().Sub(t))
	unit, name := time.Second, "s"
	switch {
	case d >= 48*time.Hour:
		unit, name = 24*time.Hour, "d"
	case d >= 2*time.Hour:
		unit, name = time.Hour, "h"
	case d >= 2*time.Minute:
		unit, name = time.Minute, "m"
	}
	c.changesIn(unit - d%unit)
	return fmt.Sprintf("%d%s", d/unit, name)
}

// changesIn notes that something drawn changes on its own after d.
func (c *clock) changesIn(d time.Duration) {
	if d = max(d, 10*time.Millisecond); c.next == 0 || d < c.next {
		c.next = d
	}
}

// span is a duration in three digits or so: 412µs, 9.3ms, 1.24s, 2m08s.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// size is an amount of bytes in three digits or so: 812M, 1.4G.
func size(bytes uint64) string {
	const k = 1024
	switch {
	case bytes >= 10*k*k*k:
		return fmt.Sprintf("%dG", bytes/(k*k*k))
	case bytes >= k*k*k:
		return fmt.Sprintf("%.1fG", float64(bytes)/(k*k*k))
	case bytes >= k*k:
		return fmt.Sprintf("%dM", bytes/(k*k))
	case bytes >= k:
		return fmt.Sprintf("%dK", bytes/k)
	}
	return fmt.Sprintf("%dB", bytes)
}

// cores is an amount of CPU: 4m, 250m, 1.2.
func cores(c float64) string {
	switch {
	case c < 0.9995:
		return fmt.Sprintf("%dm", int(c*1000+0.5))
	case c < 10:
		return fmt.Sprintf("%.1f", c)
	}
	return fmt.Sprintf("%.0f", c)
}

// rate is something per second: 0, 0.4, 12, 1.2k.
func rate(r float64) string {
	switch {
	case r <= 0:
		return "0"
	case r < 9.95:
		return fmt.Sprintf("%.1f", r)
	case r < 999.5:
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.1fk", r/1000)
}
