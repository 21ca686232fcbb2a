package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

// progress shows the steps of one operation while it runs: as changing lines on a terminal, as plain lines elsewhere,
// as JSON lines for programs. Event may be called from any goroutine; after Close it does nothing.
type progress struct {
	form  form
	style style
	w     io.Writer
	size  func() (width, height int)

	mu      sync.Mutex // guards everything below and the writer
	began   time.Time
	running []cluster.Event   // newest event of each step that runs, by begin
	advice  []cluster.Problem // warnings that say what to do, until they are printed
	spoken  time.Time         // when the last plain line was written
	drawn   int               // lines of the live part that stand on the screen
	tick    int
	closed  bool
	result  *cluster.Access // of the operation, for its own event
	stop    chan struct{}
	ended   sync.WaitGroup
}

type form int

const (
	plainForm form = iota
	liveForm
	jsonForm
)

const (
	// frame is how often the live part is redrawn.
	frame = 100 * time.Millisecond
	// silence is after how long without a line the plain form prints what it waits for.
	silence = 5 * time.Second
)

// progress starts the display of an operation. attached means that other output goes to stderr as well.
func (a *app) progress(attached bool) *progress {
	p := &progress{style: a.style, w: a.Stderr, stop: make(chan struct{})}
	switch {
	case a.json():
		p.form, p.w = jsonForm, a.Stdout
	case a.style.terminal && !a.verbose && !attached:
		p.form = liveForm
		p.size = func() (int, int) {
			width, height, err := term.GetSize(int(a.Stderr.(*os.File).Fd()))
			if err != nil || width <= 0 {
				return 80, 24
			}
			return width, height
		}
	}
	p.run()
	return p
}

// run starts the ticker of plain and live form.
func (p *progress) run() {
	p.began = time.Now()
	p.spoken = p.began
	if p.form == jsonForm {
		return
	}
	interval := frame
	if p.form == plainForm {
		interval = time.Second
	}
	p.ended.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case now := <-ticker.C:
				p.onTick(now)
			}
		}
	})
}

// Close ends the display; steps that are still running disappear from it.
func (p *progress) Close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	if first {
		p.erase()
		close(p.stop)
	}
	p.mu.Unlock()
	p.ended.Wait()
}

// PrintAdvice prints the warnings so far that say what to do. They come last, where they are read.
func (p *progress) PrintAdvice() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	for _, problem := range p.advice {
		printProblem(p.w, p.style, problem)
	}
	p.advice = nil
}

// Result is how to use what the operation has made; programs get it with its last event.
func (p *progress) Result(access *cluster.Access) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result = access
}

// Event shows one event.
func (p *progress) Event(e cluster.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.form == jsonForm {
		_ = writeJSONLine(p.w, e)
		return
	}
	i := slices.IndexFunc(p.running, func(r cluster.Event) bool { return r.Step == e.Step })
	if i >= 0 && e.Title == "" {
		e.Title = p.running[i].Title
	}
	switch e.Kind {
	case cluster.StepStarted:
		if i < 0 {
			p.running = append(p.running, e)
		}
	case cluster.StepProgress:
		if i >= 0 {
			p.running[i].Detail = e.Detail
		}
	case cluster.StepDone, cluster.StepFailed:
		if i >= 0 {
			p.running = slices.Delete(p.running, i, i+1)
		}
	}
	p.erase()
	if line := p.line(e); line != "" {
		p.say(line)
	}
	p.draw(time.Now())
}

// say writes a permanent line.
func (p *progress) say(line string) {
	fmt.Fprintln(p.w, line)
	p.spoken = time.Now()
}

// line is what an event leaves on the screen, if anything.
func (p *progress) line(e cluster.Event) string {
	at := e.Time.Sub(p.began)
	if e.Time.IsZero() || at < 0 {
		at = time.Since(p.began)
	}
	switch e.Kind {
	case cluster.StepDone:
		return p.format(at, p.mark("✓", "ok", p.style.green), e.Title, seconds(e.Elapsed), e.Detail)
	case cluster.StepFailed:
		return p.format(at, p.mark("✗", "FAILED", p.style.red), e.Title, seconds(e.Elapsed), firstLine(detail(e)))
	case cluster.StepWarning:
		if e.Problem != nil && len(e.Problem.Advice) > 0 {
			p.advice = append(p.advice, *e.Problem)
			return ""
		}
		return p.format(at, p.mark("!", "warning", p.style.yellow), cmpTitle(e), "", firstLine(detail(e)))
	}
	return ""
}

// mark is a symbol on a terminal that has it, a word elsewhere: colour alone has no meaning.
func (p *progress) mark(sign, word string, paint func(string) string) string {
	if p.form == liveForm && p.style.utf8 {
		return paint(sign)
	}
	return paint(fmt.Sprintf("%-7s", word))
}

func (p *progress) format(at time.Duration, mark, title, took, text string) string {
	line := fmt.Sprintf("%s %s %-33s %7s  %s", p.style.dim(fmt.Sprintf("%8s", seconds(at))), mark, termsafe.String(title), took, termsafe.String(text))
	return strings.TrimRight(line, " ")
}

func detail(e cluster.Event) string {
	if e.Problem != nil && e.Problem.Summary != "" {
		if e.Problem.Cause != "" {
			return e.Problem.Summary + ": " + e.Problem.Cause
		}
		return e.Problem.Summary
	}
	return e.Detail
}

func cmpTitle(e cluster.Event) string {
	if e.Title != "" {
		return e.Title
	}
	return e.Step
}

func (p *progress) onTick(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.tick++
	if p.form == liveForm {
		p.erase()
		p.draw(now)
		return
	}
	if now.Sub(p.spoken) < silence {
		return
	}
	for _, e := range p.running {
		p.say(p.format(now.Sub(p.began), "...    ", e.Title, seconds(now.Sub(e.Time)), e.Detail))
	}
}

// erase removes the live part; draw writes it again below what was written since.
func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\r\x1b[J", p.drawn)
		p.drawn = 0
	}
}

func (p *progress) draw(now time.Time) {
	if p.form != liveForm || p.closed || len(p.running) == 0 {
		return
	}
	width, height := p.size()
	lines := p.live(now, width, max(1, min(height-2, 12)))
	_, _ = io.WriteString(p.w, strings.Join(lines, "\n")+"\n")
	p.drawn = len(lines)
}

// live is the part that changes: one line per running step, cut so that none wraps.
func (p *progress) live(now time.Time, width, most int) []string {
	spinner := []string{"|", "/", "-", `\`}
	if p.style.utf8 {
		spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	}
	sign := spinner[p.tick%len(spinner)]
	var lines []string
	for i, e := range p.running {
		if len(lines) == most-1 && len(p.running)-i > 1 {
			lines = append(lines, cut(fmt.Sprintf("%8s %s and %d more", "", sign, len(p.running)-i), width))
			break
		}
		text := fmt.Sprintf("%8s %s %-33s %7s  %s", seconds(now.Sub(p.began)), sign, termsafe.String(e.Title), seconds(now.Sub(e.Time)), termsafe.String(e.Detail))
		lines = append(lines, p.style.dim(cut(strings.TrimRight(text, " "), width)))
	}
	return lines
}

// cut shortens a line to fewer columns than the terminal has. It counts characters; ours take one column each.
func cut(line string, width int) string {
	r := []rune(line)
	if len(r) < width {
		return line
	}
	return string(r[:max(0, width-1)])
}

// operation runs f with a display of its steps. The JSON form ends with an event of the operation itself, done or
// failed, so that a reader can distinguish the end from a crash.
func (a *app) operation(name string, attached bool, f func(p *progress) error) error {
	p := a.progress(attached)
	defer p.Close()
	stop := surviveClosedOutput()
	defer stop()
	began := time.Now()
	err := f(p)
	if a.json() {
		e := cluster.Event{Kind: cluster.StepDone, Step: name, Time: time.Now(), Elapsed: time.Since(began)}
		if err != nil {
			problem := a.named(fault.Problem(err).For(a.profile))
			e.Kind, e.Problem = cluster.StepFailed, &problem
		} else {
			e.Cluster = p.result
		}
		p.Event(e)
	}
	p.Close()
	p.PrintAdvice()
	return err
}
