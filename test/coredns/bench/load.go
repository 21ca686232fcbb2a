package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// figures are those of one server under one mix, an entry per run.
type figures struct {
	qps           []float64 // as fast as it answers
	perCPU        []float64 // queries per second of the server's CPU time, in the same run
	p50, p99      []float64 // in microseconds, at the fixed rate
	fixedPerCPU   []float64 // queries per second of CPU time at the fixed rate
	lost, offered int
}

// load runs every mix against every server in turn: A-B-A-B, so that a change in the machine's speed affects both.
func (b *bench) load(ctx context.Context, mixes []*mix) (map[string]*figures, error) {
	results := map[string]*figures{}
	for _, s := range b.servers { // not measured: code and caches are cold at first
		if err := errors.Join(b.closedLoop(ctx, mixes[0], s, &figures{}), b.fixedRate(ctx, mixes[0], s, &figures{})); err != nil {
			return nil, err
		}
	}
	b.ours = 0
	began, busy := time.Now(), machineBusy()
	for _, m := range mixes {
		b.progress("%s", m.name)
		for range b.runs {
			for _, s := range b.servers {
				f := results[m.name+s.name]
				if f == nil {
					f = &figures{}
					results[m.name+s.name] = f
				}
				if err := b.closedLoop(ctx, m, s, f); err != nil {
					return nil, err
				}
				if err := b.fixedRate(ctx, m, s, f); err != nil {
					return nil, err
				}
			}
		}
	}
	b.others = float64(machineBusy()-busy-b.ours) / float64(time.Since(began)) / float64(runtime.NumCPU())
	return results, nil
}

const (
	// restful is the share of all processors below which a machine is idle, restFor how long it has to be idle, and
	// restLimit how long to wait for that: a busy machine is measured, too, and the table says so.
	restful   = 0.05
	restFor   = 5 * time.Second
	restLimit = 2 * time.Minute
)

// settle waits until the API server has finished the work caused by creating so many objects.
func (b *bench) settle(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	rest, last, busy := time.Now(), time.Now(), machineBusy()
	for limit := last.Add(restLimit); time.Since(rest) < restFor && time.Now().Before(limit); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			spent := machineBusy()
			share := float64(spent-busy) / float64(now.Sub(last)) / float64(runtime.NumCPU())
			if busy, last = spent, now; share > restful {
				rest = now
			}
		}
	}
	return nil
}

// run is the result of one dnsperf.
type run struct {
	sent, completed int
	qps             float64
	cpu             time.Duration // of the server
	took            []float64     // in seconds, sorted, with -v only
}

// closedLoop keeps 100 questions in flight.
func (b *bench) closedLoop(ctx context.Context, m *mix, s *server, f *figures) error {
	r, err := b.dnsperf(ctx, m, s)
	if err != nil {
		return err
	}
	f.qps = append(f.qps, r.qps)
	f.perCPU = append(f.perCPU, float64(r.completed)/r.cpu.Seconds())
	f.lost, f.offered = f.lost+r.sent-r.completed, f.offered+r.sent
	return nil
}

func (b *bench) fixedRate(ctx context.Context, m *mix, s *server, f *figures) error {
	r, err := b.dnsperf(ctx, m, s, "-Q", strconv.Itoa(b.rate), "-v")
	if err != nil {
		return err
	}
	if len(r.took) == 0 {
		return fmt.Errorf("dnsperf reported no latencies for %s", s.name)
	}
	f.p50 = append(f.p50, 1e6*r.took[len(r.took)/2])
	f.p99 = append(f.p99, 1e6*r.took[len(r.took)*99/100])
	f.fixedPerCPU = append(f.fixedPerCPU, float64(r.completed)/r.cpu.Seconds())
	f.lost, f.offered = f.lost+r.sent-r.completed, f.offered+r.sent
	return nil
}

func (b *bench) dnsperf(ctx context.Context, m *mix, s *server, more ...string) (*run, error) {
	host, port, _ := strings.Cut(s.addr, ":")
	args := append([]string{
		"-s", host, "-p", port, "-d", m.file, "-c", strconv.Itoa(b.clients), "-T", "1", "-t", "1",
		"-l", strconv.FormatFloat(b.seconds.Seconds(), 'f', -1, 64),
	}, more...)
	path := filepath.Join(b.dir, "dnsperf.out")
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, "dnsperf", args...)
	cmd.Stdout, cmd.Stderr = out, out
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("dnsperf %q: %w (output in %s)", args, err, path)
	}
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	r, err := parse(path, dns.RcodeToString[m.rcode])
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", s.name, m.name, err)
	}
	r.cpu = after - before
	b.ours += r.cpu + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, nil
}

// parse parses the output of dnsperf. All replies must have the rcode.
func parse(path, rcode string) (*run, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := &run{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text := lines.Text()
		if strings.HasPrefix(text, "> ") { // > NOERROR name type seconds
			fields := strings.Fields(text)
			if took, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil && fields[1] == rcode {
				r.took = append(r.took, took)
			}
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(text), ":")
		fields := strings.Fields(value)
		if !ok || len(fields) == 0 {
			continue
		}
		switch name {
		case "Queries sent":
			r.sent, err = strconv.Atoi(fields[0])
		case "Queries completed":
			r.completed, err = strconv.Atoi(fields[0])
		case "Queries per second":
			r.qps, err = strconv.ParseFloat(fields[0], 64)
		case "Response codes":
			if len(fields) != 3 || fields[0] != rcode {
				err = fmt.Errorf("replies other than %s: %s", rcode, value)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if r.completed == 0 {
		return nil, fmt.Errorf("dnsperf got no replies")
	}
	slices.Sort(r.took)
	return r, nil
}
