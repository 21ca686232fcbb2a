package tui

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/paint"
)

// The figures are measured on the real program, with a cluster in memory and a terminal that only notes what it is sent
// and when. "make bench-tui" prints them.

// screenWriter is that terminal.
type screenWriter struct {
	mu    sync.Mutex // guards the rest
	bytes int64
	wants []want
}

type want struct {
	text []byte
	seen chan time.Time
}

func (s *screenWriter) Write(p []byte) (int, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int64(len(p))
	s.wants = slices.DeleteFunc(s.wants, func(w want) bool {
		if !bytes.Contains(p, w.text) {
			return false
		}
		w.seen <- now
		return true
	})
	return len(p), nil
}

func (s *screenWriter) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// expect returns a channel that gets the time at which a text is next written.
func (s *screenWriter) expect(text string) <-chan time.Time {
	seen := make(chan time.Time, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants = append(s.wants, want{[]byte(text), seen})
	return seen
}

// figures is one running program.
type figures struct {
	session *fakeSession
	screen  *screenWriter
	keys    io.Writer
	rnd     *rand.Rand
}

func measure(b *testing.B, s *fakeSession, screen string, f func(*figures)) {
	b.Helper()
	in, keys := io.Pipe()
	out := &screenWriter{}
	ctx, cancel := context.WithCancel(b.Context())
	program := make(chan *tea.Program, 1)
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, s, Options{Depth: paint.TrueColor, Start: screen, Notice: func(p *tea.Program) { program <- p }}, in, out)
		done <- err
	}()
	p := <-program
	p.Send(tea.WindowSizeMsg{Width: 120, Height: 40})
	f(&figures{s, out, keys, rand.New(rand.NewPCG(7, 7))})
	cancel()
	_ = keys.Close()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

func (f *figures) wait(b *testing.B, seen <-chan time.Time, what string) time.Time {
	b.Helper()
	select {
	case t := <-seen:
		return t
	case <-time.After(waitLimit):
		b.Fatalf("%s was not drawn", what)
		return time.Time{}
	}
}

// manyPods is a healthy cluster with n pods more.
func manyPods(n int) *fakeSession {
	s := healthy()
	for i := range n {
		s.rows["pods"] = append(s.rows["pods"], kube.Row{
			UID: fmt.Sprintf("many-%d", i), Namespace: fmt.Sprintf("team-%d", i%20), Name: fmt.Sprintf("service-%d-7d9f4c-%05d", i%120, i),
			Created: fakeNow.Add(-time.Duration(i) * time.Minute), Owner: kube.Object{Kind: "ReplicaSet", Name: fmt.Sprintf("service-%d-7d9f4c", i%120)},
			Cells: []string{fmt.Sprintf("service-%d-7d9f4c-%05d", i%120, i), "1/1", "Running", "0", "", "10.244.1.9", fmt.Sprintf("dev-%d", i%3+1)},
		})
	}
	return s
}

// stream is a session whose pods are sent by the test: the cost of a fake of thousands of rows must not be measured.
type stream struct {
	*fakeSession
	batches chan kube.RowBatch
}

func (s *stream) WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error {
	if q.Type.Resource != "pods" {
		return s.fakeSession.WatchRows(ctx, q, f)
	}
	s.mu.Lock()
	all := kube.RowBatch{Reset: true, Synced: true, Columns: s.columns["pods"]}
	for _, r := range s.rows["pods"] {
		r.Cells = slices.Clone(r.Cells)
		all.Set = append(all.Set, r)
	}
	s.mu.Unlock()
	if err := f(all); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-s.batches:
			if err := f(b); err != nil {
				return err
			}
		}
	}
}

// churn changes random pods until ctx ends.
func (s *stream) churn(ctx context.Context, perSecond int) {
	rnd := rand.New(rand.NewPCG(3, 4))
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	states := []string{"Running", "Running", "Pending", "CrashLoopBackOff", "Terminating"}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r := s.rows["pods"][rnd.IntN(len(s.rows["pods"]))]
			r.Cells = slices.Clone(r.Cells)
			r.Cells[2] = states[rnd.IntN(len(states))]
			select {
			case s.batches <- kube.RowBatch{Set: []kube.Row{r}}:
			case <-ctx.Done():
			}
		}
	}
}

func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkFiguresKeyToPaint: 5,000 pods, 200 changes a second; a key moves the cursor.
func BenchmarkFiguresKeyToPaint(b *testing.B) {
	for b.Loop() {
		busy(b, func(f *figures, s *stream) {
			var took []time.Duration
			for i := range 200 {
				time.Sleep(time.Duration(20+f.rnd.IntN(40)) * time.Millisecond)
				seen := f.screen.expect("▸")
				began := time.Now()
				_, _ = io.WriteString(f.keys, []string{"j", "k"}[i%2])
				took = append(took, f.wait(b, seen, "the cursor").Sub(began))
			}
			b.ReportMetric(ms(quantile(took, 0.5)), "p50-ms")
			b.ReportMetric(ms(quantile(took, 0.99)), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkFiguresChangeToPaint: the same cluster; a pod that is visible changes.
func BenchmarkFiguresChangeToPaint(b *testing.B) {
	for b.Loop() {
		busy(b, func(f *figures, s *stream) {
			var took []time.Duration
			for i := range 100 {
				time.Sleep(time.Duration(20+f.rnd.IntN(60)) * time.Millisecond)
				token := fmt.Sprintf("State-%d", i)
				seen := f.screen.expect(token)
				r := s.rows["pods"][0]
				r.Cells = slices.Clone(r.Cells)
				r.Cells[2] = token
				began := time.Now()
				s.batches <- kube.RowBatch{Set: []kube.Row{r}}
				took = append(took, f.wait(b, seen, "the change").Sub(began))
			}
			b.ReportMetric(ms(quantile(took, 0.5)), "p50-ms")
			b.ReportMetric(ms(quantile(took, 0.95)), "p95-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func busy(b *testing.B, f func(*figures, *stream)) {
	b.Helper()
	fake := manyPods(5000)
	// The first row of the list is the one that is watched.
	fake.rows["pods"] = append([]kube.Row{{UID: "first", Namespace: "aaa", Name: "aaa", Cells: []string{"aaa", "1/1", "Running", "0", "", "", ""}}}, fake.rows["pods"]...)
	s := &stream{fakeSession: fake, batches: make(chan kube.RowBatch)}
	runBusy(b, s, func(fig *figures) {
		ctx, cancel := context.WithCancel(b.Context())
		var churning sync.WaitGroup
		churning.Go(func() { s.churn(ctx, 200) })
		f(fig, s)
		cancel()
		churning.Wait()
	})
}

func runBusy(b *testing.B, s *stream, f func(*figures)) {
	b.Helper()
	in, keys := io.Pipe()
	out := &screenWriter{}
	ctx, cancel := context.WithCancel(b.Context())
	program := make(chan *tea.Program, 1)
	done := make(chan error, 1)
	ready := out.expect("aaa")
	go func() {
		_, err := Run(ctx, s, Options{Depth: paint.TrueColor, Start: "pods", Notice: func(p *tea.Program) { program <- p }}, in, out)
		done <- err
	}()
	p := <-program
	p.Send(tea.WindowSizeMsg{Width: 120, Height: 40})
	fig := &figures{s.fakeSession, out, keys, rand.New(rand.NewPCG(7, 7))}
	fig.wait(b, ready, "the list")
	f(fig)
	cancel()
	_ = keys.Close()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// BenchmarkFiguresIdle: nothing changes for 20 seconds, and all ages are above a minute.
func BenchmarkFiguresIdle(b *testing.B) {
	for b.Loop() {
		s := healthy()
		for i := range s.rows["pods"] {
			s.rows["pods"][i].Created = time.Now().Add(-100 * time.Hour)
		}
		measure(b, s, "pods", func(f *figures) {
			f.wait(b, f.screen.expect("web-9cc6f-x4v"), "the list")
			time.Sleep(2 * time.Second) // all that a start brings has been drawn
			bytes, cpu := f.screen.total(), processor()
			const long = 20 * time.Second
			time.Sleep(long)
			b.ReportMetric(float64(processor()-cpu)/float64(long)*100, "%cpu")
			b.ReportMetric(float64(f.screen.total()-bytes)*float64(time.Minute/long), "bytes/min")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFiguresHeap: what 5,000 pods cost over none.
func BenchmarkFiguresHeap(b *testing.B) {
	heap := func(n int) float64 {
		s := &stream{fakeSession: manyPods(n), batches: make(chan kube.RowBatch)}
		s.rows["pods"] = append([]kube.Row{{UID: "first", Namespace: "aaa", Name: "aaa", Cells: []string{"aaa", "1/1", "Running", "0", "", "", ""}}}, s.rows["pods"]...)
		before := live()
		var after uint64
		runBusy(b, s, func(*figures) { after = live() })
		runtime.KeepAlive(s)
		return float64(after) - float64(before)
	}
	for b.Loop() {
		b.ReportMetric((heap(5000)-heap(0))/(1<<20), "MB")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkFiguresDay: 5,000 pods with as many changes as a day has at ten a second, one in ten of which takes a pod and
// brings another; how much the heap grows from its fourth hour to the last.
func BenchmarkFiguresDay(b *testing.B) {
	const hour, warm, atOnce = 10 * 3600, 4, 100 // maps have their size after some hours
	for b.Loop() {
		s := &stream{fakeSession: manyPods(5000), batches: make(chan kube.RowBatch)}
		s.rows["pods"] = append([]kube.Row{{UID: "first", Namespace: "aaa", Name: "aaa", Cells: []string{"aaa", "1/1", "Running", "0", "", "", ""}}}, s.rows["pods"]...)
		runBusy(b, s, func(f *figures) {
			rows := slices.Clone(s.rows["pods"])
			states := []string{"Running", "Pending", "CrashLoopBackOff", "Terminating"}
			var first, last uint64
			for done := 0; done < 24*hour; done += atOnce {
				var batch kube.RowBatch
				for i := range atOnce {
					at := 1 + f.rnd.IntN(len(rows)-1)
					row := rows[at]
					row.Cells = slices.Clone(row.Cells)
					row.Cells[2] = states[f.rnd.IntN(len(states))]
					if i%10 == 0 {
						batch.Delete = append(batch.Delete, row.UID)
						row.UID = fmt.Sprintf("day-%d", done+i)
						row.Name = fmt.Sprintf("service-%d-7d9f4c-%05d", f.rnd.IntN(120), done+i)
						row.Cells[0] = row.Name
					}
					rows[at] = row
					batch.Set = append(batch.Set, row)
				}
				// Of what came and went within one batch nothing may be left.
				batch.Set = slices.DeleteFunc(batch.Set, func(r kube.Row) bool { return slices.Contains(batch.Delete, r.UID) })
				s.batches <- batch
				if done == warm*hour {
					first = s.settled(b, f)
				}
			}
			last = s.settled(b, f)
			b.ReportMetric(100*(float64(last)-float64(first))/float64(first), "%heap")
			b.ReportMetric(float64(last)/(1<<20), "MB")
			b.ReportMetric(0, "ns/op")
		})
		runtime.KeepAlive(s)
	}
}

// settled is what the heap holds once everything that was sent is drawn.
func (s *stream) settled(b *testing.B, f *figures) uint64 {
	b.Helper()
	token := fmt.Sprintf("State-%d", f.rnd.IntN(1e9))
	seen := f.screen.expect(token)
	r := s.rows["pods"][0]
	r.Cells = slices.Clone(r.Cells)
	r.Cells[2] = token
	s.batches <- kube.RowBatch{Set: []kube.Row{r}}
	f.wait(b, seen, "the last change")
	return live()
}

func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFiguresFirstFrame: from Run to the first picture, without what the executable's own start takes.
func BenchmarkFiguresFirstFrame(b *testing.B) {
	for b.Loop() {
		began := time.Now()
		measure(b, healthy(), "", func(f *figures) {
			b.ReportMetric(ms(f.wait(b, f.screen.expect("Overview"), "the overview").Sub(began)), "ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkFiguresFilter: a keystroke in the filter of 10,000 pods.
func BenchmarkFiguresFilter(b *testing.B) {
	h := feed.NewHub(b.Context(), calmPace)
	u, err := newUI(manyPods(10_000), Options{}, h)
	if err != nil {
		b.Fatal(err)
	}
	u.width, u.height = 120, 40
	u.act("screen.pods")
	news := make(chan struct{})
	h.Go(func() {
		h.Pump(func() {
			select {
			case news <- struct{}{}:
			case <-h.Context().Done():
			}
		})
	})
	for !u.state.Pods.Synced {
		<-news
		h.Drain()
	}
	texts := strings.Split("s se ser serv service service- service-7 service-77", " ")
	for b.Loop() {
		var took []time.Duration
		for i := range 200 {
			began := time.Now()
			u.page().(filterer).setFilter(texts[i%len(texts)])
			u.touch()
			u.schedule()
			took = append(took, time.Since(began))
		}
		b.ReportMetric(ms(quantile(took[1:], 0.5)), "p50-ms")
		b.ReportMetric(ms(quantile(took[1:], 0.99)), "p99-ms")
		b.ReportMetric(0, "ns/op")
	}
}
