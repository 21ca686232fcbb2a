package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

const (
	fallWidth = 960
	// fallLabel is where bars begin: names are left of it.
	fallLabel = 260
	fallRow   = 26
	fallHead  = 24
	// birthLook bounds how long the first version of a page waits for the story of a pod; the stream has it later.
	birthLook = time.Second
)

// fallStep is a step of what is drawn as a waterfall. A step without End goes on.
type fallStep struct {
	Name, Who, Detail string
	Begin, End        time.Duration
	Failed, About     bool // About says that its times are whole seconds
}

// fallData is a waterfall: bars in the units of the drawing.
type fallData struct {
	Width, Height int
	Bars          []fallBar
	Ticks         []fallTick
	Total         time.Duration
}

// fallBar is a step as a bar. Took is for people.
type fallBar struct {
	fallStep
	X, Y, W, H, TextY int
	Tone, Took, At    string
}

// fallTick is a place on the scale.
type fallTick struct {
	X    int
	Text string
}

// seconds is a time for people.
func seconds(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// fallOf draws steps, in the order in which they began; elapsed is how long it has taken so far.
func fallOf(steps []fallStep, elapsed time.Duration) fallData {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b fallStep) int { return cmp.Compare(a.Begin, b.Begin) })
	span := elapsed
	for _, s := range steps {
		span = max(span, s.Begin, s.End)
	}
	d := fallData{Width: fallWidth, Height: fallHead + len(steps)*fallRow + 6, Total: span}
	span = max(span, time.Millisecond)
	scale := func(t time.Duration) int {
		return fallLabel + int(float64(max(0, t))/float64(span)*(fallWidth-fallLabel-80))
	}
	for i, s := range steps {
		end, tone := s.End, "ok"
		if end == 0 {
			end, tone = span, "warn"
		}
		if s.Failed {
			tone = "bad"
		}
		b := fallBar{fallStep: s, X: scale(s.Begin), Y: fallHead + i*fallRow, H: fallRow - 8, Tone: tone, Took: seconds(max(0, end-s.Begin)), At: seconds(max(0, s.Begin))}
		b.W, b.TextY = max(2, scale(end)-b.X), b.Y+fallRow/2+1
		d.Bars = append(d.Bars, b)
	}
	step := niceStep(span)
	for t := time.Duration(0); t <= span && len(d.Ticks) < 12; t += step {
		d.Ticks = append(d.Ticks, fallTick{scale(t), seconds(t)})
	}
	return d
}

// niceStep is a round distance for at most ten marks.
func niceStep(span time.Duration) time.Duration {
	for step := time.Millisecond; ; step *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if span/(n*step) <= 8 {
				return n * step
			}
		}
	}
}

// startData is what the page start shows.
type startData struct {
	Starts []startLink
	Fall   *fallData
	Begun  time.Time
}

// startLink is a start that can be chosen.
type startLink struct {
	Path    string
	Begun   time.Time
	Took    string
	Current bool
}

func (s *Server) loadStart(_ context.Context, q *request) (any, error) {
	var d startData
	chosen, _ := strconv.Atoi(q.query.Get("n")) // the newest otherwise
	for i, t := range s.o.Objects.Starts() {
		if t.Operation != "start" {
			continue
		}
		at := len(d.Starts)
		d.Starts = append(d.Starts, startLink{"/start?n=" + strconv.Itoa(at), t.Started, seconds(t.Total), at == chosen})
		if at != chosen {
			continue
		}
		steps := make([]fallStep, 0, len(t.Steps))
		for _, one := range s.o.Objects.Starts()[i].Steps {
			steps = append(steps, fallStep{Name: cmp.Or(one.Title, one.Step), Begin: one.Begin, End: max(one.End, 1)})
		}
		fall := fallOf(steps, t.Total)
		d.Fall, d.Begun = &fall, t.Started
	}
	return d, nil
}

// birthData is how a pod came to be.
type birthData struct {
	cluster.Birth
	Fall fallData
}

func birthOf(b cluster.Birth, now time.Time) *birthData {
	steps := make([]fallStep, 0, len(b.Steps))
	for _, one := range b.Steps {
		steps = append(steps, fallStep{Name: one.Step, Who: one.Who, Detail: one.Detail, Begin: one.Begin, End: one.End, Failed: one.Failed, About: !one.Exact})
	}
	elapsed := time.Duration(0)
	if !b.Ready {
		elapsed = min(max(0, now.Sub(b.Started)), time.Hour)
	}
	return &birthData{b, fallOf(steps, elapsed)}
}

// errSent ends a stream of which the newest value is wanted.
var errSent = errors.New("it was sent")

// birth is the story of a pod as far as it is known now; nil if that takes longer than a moment.
func (s *Server) birth(ctx context.Context, namespace, name string) (*birthData, error) {
	ctx, cancel := context.WithTimeout(ctx, birthLook)
	defer cancel()
	var d *birthData
	err := s.o.Cluster.Birth(ctx, namespace, name, func(b cluster.Birth) error {
		d = birthOf(b, time.Now())
		return errSent
	})
	if errors.Is(err, errSent) || ctx.Err() != nil {
		return d, nil
	}
	if err == nil && d == nil {
		err = fault.Newf(fault.ObjectNotFound, "nothing is known about how %s came to be", name)
	}
	return d, err
}
