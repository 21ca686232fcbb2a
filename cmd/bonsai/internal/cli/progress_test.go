package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func started(step, title string) cluster.Event {
	return cluster.Event{Kind: cluster.StepStarted, Step: step, Title: title, Time: time.Now()}
}

func TestPlainFormBreaksALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{w: &out, stop: make(chan struct{})}
		p.run()
		p.Event(started("node/a", "Node a"))
		<-time.After(1500 * time.Millisecond)
		p.Event(cluster.Event{Kind: cluster.StepProgress, Step: "node/a", Detail: "waits for its kubelet"})
		<-time.After(5 * time.Second)
		synctest.Wait()
		if got, want := out.String(), "   5.00s ...     Node a                              5.00s  waits for its kubelet\n"; got != want {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
		out.Reset()
		<-time.After(time.Second)
		p.Event(cluster.Event{Kind: cluster.StepDone, Step: "node/a", Elapsed: 7500 * time.Millisecond})
		<-time.After(time.Minute)
		p.Close()
		p.Close()
		p.Event(started("late", "Late"))
		if got, want := out.String(), "   7.50s ok      Node a                              7.50s\n"; got != want {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
	})
}

// screen is a terminal that knows what we use: cursor up, carriage return, clear to the end, colours.
func screen(t *testing.T, output string) []string {
	t.Helper()
	var lines []string
	row := 0
	for output != "" {
		var n int
		switch {
		case strings.HasPrefix(output, "\x1b[") && output[strings.IndexAny(output, "AJm")] == 'A':
			if _, err := fmt.Sscanf(output, "\x1b[%dA\r\x1b[J", &n); err != nil {
				t.Fatalf("unknown sequence in %q", output)
			}
			row -= n
			lines = lines[:row]
			output = output[strings.Index(output, "J")+1:]
		case strings.HasPrefix(output, "\x1b["):
			output = output[strings.Index(output, "m")+1:]
		default:
			end := strings.IndexByte(output, '\n')
			next := strings.IndexByte(output, 0x1b)
			if next >= 0 && next < end || end < 0 {
				end = max(next, 0)
				if len(lines) == row {
					lines = append(lines, "")
				}
				lines[row] += output[:end]
				output = output[end:]
				continue
			}
			if len(lines) == row {
				lines = append(lines, "")
			}
			lines[row] += output[:end]
			row++
			output = output[end+1:]
		}
	}
	return lines
}

func TestLiveFormLeavesFinishedStepsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{form: liveForm, w: &out, stop: make(chan struct{}), style: style{terminal: true, color: true, utf8: true}, size: func() (int, int) { return 70, 24 }}
		p.run()
		p.Event(started("a", "Alpha"))
		p.Event(started("b", "Beta"))
		p.Event(cluster.Event{Kind: cluster.StepProgress, Step: "b", Detail: strings.Repeat("long ", 40)})
		<-time.After(2050 * time.Millisecond)
		synctest.Wait()
		lines := screen(t, out.String())
		if len(lines) != 2 || !strings.Contains(lines[0], "Alpha") || !strings.Contains(lines[1], "Beta") || !strings.Contains(lines[1], "2.00s") {
			t.Errorf("while running:\n%s", strings.Join(lines, "\n"))
		}
		for _, line := range lines {
			if n := len([]rune(line)); n >= 70 {
				t.Errorf("a line of %d columns wraps: %q", n, line)
			}
		}
		p.Event(cluster.Event{Kind: cluster.StepDone, Step: "b", Time: time.Now(), Elapsed: 2 * time.Second})
		if lines = screen(t, out.String()); len(lines) != 2 || !strings.Contains(lines[0], "✓ Beta") || !strings.Contains(lines[1], "Alpha") {
			t.Errorf("after the first has ended:\n%s", strings.Join(lines, "\n"))
		}
		p.Event(cluster.Event{Kind: cluster.StepWarning, Step: "c", Problem: &cluster.Problem{Summary: "old \x1b[2J"}, Time: time.Now()})
		p.Close()
		lines = screen(t, out.String())
		if len(lines) != 2 || !strings.Contains(lines[0], "✓ Beta") || !strings.Contains(lines[1], `! c`) || !strings.Contains(lines[1], `old \x1b[2J`) {
			t.Errorf("at the end:\n%s", strings.Join(lines, "\n"))
		}
	})
}

func TestLiveFormOfManyStepsFits(t *testing.T) {
	p := &progress{form: liveForm, began: time.Now()}
	for i := range 30 {
		p.running = append(p.running, started(fmt.Sprint(i), fmt.Sprintf("Step %d", i)))
	}
	lines := p.live(time.Now(), 80, 5)
	if len(lines) != 5 || !strings.HasSuffix(lines[4], "and 26 more") {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
	if lines = p.live(time.Now(), 80, 30); len(lines) != 30 || strings.Contains(lines[29], "more") {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}

func TestJSONFormEndsWithTheOperation(t *testing.T) {
	var out bytes.Buffer
	a := &app{Env: Env{Stdout: &out}, output: outputJSON}
	want := errors.New("boom")
	err := a.operation("start", false, func(p *progress) error {
		p.Event(cluster.Event{Kind: cluster.StepStarted, Step: "a", Title: "<A> & co"})
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	var events []cluster.Event
	for line := range strings.Lines(out.String()) {
		var e cluster.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if len(events) != 2 || events[0].Title != "<A> & co" || events[1].Kind != cluster.StepFailed || events[1].Problem.Summary != "boom" {
		t.Errorf("got %+v", events)
	}
}

func TestExitCodeOfACancelledRun(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.Newf(fault.Canceled, "interrupted"))
	for what, c := range map[string]struct {
		err   error
		words string
	}{
		"the bare context":     {context.Canceled, "error: interrupted\n"},
		"wrapped":              {fmt.Errorf("start: %w", context.Canceled), "error: interrupted\n"},
		"its cause":            {context.Cause(ctx), "error: interrupted\n"},
		"joined":               {errors.Join(context.Canceled, fault.Newf(fault.Engine, "left behind")), "error: interrupted\nerror: left behind\n"},
		"and a failed cleanup": {fault.Newf(fault.Engine, "left behind"), "error: interrupted\nerror: left behind\n"},
	} {
		var out bytes.Buffer
		a := &app{Env: Env{Stderr: &out}, checked: true}
		if code := a.finish(ctx, c.err); code != 130 || out.String() != c.words {
			t.Errorf("%s: %d, %q", what, code, out.String())
		}
	}
}

func TestJoinedErrorsAreReportedOneByOne(t *testing.T) {
	one, two := fault.Newf(fault.Usage, "one"), errors.New("two")
	for want, err := range map[int]error{
		1: fmt.Errorf("%w and %w", one, two), 2: errors.Join(one, two), 3: errors.Join(one, errors.Join(two, one)),
	} {
		if got := len(parts(err)); got != want {
			t.Errorf("%v: %d parts, want %d", err, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 90 * time.Second: "90s", 150 * time.Second: "2m30s", 3 * time.Minute: "3m",
		20 * time.Minute: "20m", 10 * time.Hour: "10h", 3*time.Hour + 5*time.Minute: "3h5m", 50 * time.Hour: "2d2h", 400 * time.Hour: "16d",
	} {
		if got := age(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"max": 0, "2048": 2 << 30, "2g": 2 << 30, "2GB": 2 << 30, "2Gi": 2 << 30, "1500m": 1500 << 20, "0.5g": 512 << 20, "1t": 1 << 40,
		"300000k": 300000 << 10, "g": -1, "2x": -1, "2gg": -1, "-1g": -1, "1e30g": -1, "nan": -1, "inf": -1, "10m": -1, "99999999t": -1,
	} {
		got, err := parseMemory(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
}
