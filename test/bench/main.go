// Command bench measures how long a user waits and what a cluster costs, with the real executable on the real engine:
// the phases of a start (median of several), stop, restart, delete, memory, idle CPU and pod latency.
//
// It prints one line per figure beside the goal. Run it through `make bench` on a quiet machine.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bonsai/bootstrap/cluster"
)

type bench struct {
	bin, home, name string
	runs            int
	idle            time.Duration
	busybox         string
	only            string
}

func main() {
	b := bench{name: "bench-" + strconv.FormatInt(time.Now().UnixMilli()%1e6, 36)}
	flag.StringVar(&b.bin, "bin", "bin/bonsai", "the executable to measure")
	flag.IntVar(&b.runs, "runs", 5, "how often each start is measured")
	flag.DurationVar(&b.idle, "idle", 60*time.Second, "how long idle CPU is observed")
	flag.StringVar(&b.busybox, "busybox", "build/rootfs/bin/busybox", "a static busybox, for the image of pods")
	flag.StringVar(&b.only, "only", "", "measure only one part, on a cluster of three nodes: "+strings.Join(partNames(), ", "))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if b.home, err = os.MkdirTemp("", "bonsai-bench"); err != nil {
		return err
	}
	defer func() {
		_ = b.bonsai(context.WithoutCancel(ctx), "delete", "-p", b.name)
		_ = os.RemoveAll(b.home)
	}()
	if b.only != "" {
		part, ok := partNamed(b.only)
		if !ok {
			return fmt.Errorf("there is no part %q; parts are %s", b.only, strings.Join(partNames(), ", "))
		}
		if b.only == "library" { // it has clusters of its own
			return part(b, ctx)
		}
		if _, err := b.timed(ctx, b.forParts()...); err != nil {
			return err
		}
		return part(b, ctx)
	}
	report("bonsai version", 100*time.Millisecond, b.median(func() (time.Duration, error) { return b.timed(ctx, "version") }))

	var phases []cluster.Timeline
	report("control plane to readyz (--nodes 0)", 1200*time.Millisecond, b.median(func() (time.Duration, error) {
		return b.startAndDelete(ctx, 0, nil)
	}))
	first, err := b.startAndDelete(ctx, 1, nil)
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %8s\n", "one node, first of this series", first.Round(time.Millisecond))
	report("start, 1 node", 3*time.Second, b.median(func() (time.Duration, error) { return b.startAndDelete(ctx, 1, nil) }))
	report("start, 3 nodes", 5*time.Second, b.median(func() (time.Duration, error) { return b.startAndDelete(ctx, 3, &phases) }))
	printPhases(phases)

	if _, err := b.timed(ctx, b.forParts()...); err != nil {
		return err
	}
	if err := b.pods(ctx); err != nil {
		return err
	}
	if err := b.cost(ctx); err != nil {
		return err
	}
	var stops, starts []time.Duration
	for range b.runs {
		stop, err := b.timed(ctx, "stop", "-p", b.name)
		if err != nil {
			return err
		}
		start, err := b.timed(ctx, "start", "-p", b.name)
		if err != nil {
			return err
		}
		stops, starts = append(stops, stop), append(starts, start)
	}
	report("stop, 3 nodes", 3*time.Second, result{took: middle(stops)})
	report("start again, 3 nodes", 4*time.Second, result{took: middle(starts)})
	for _, p := range parts() {
		if err := p.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	took, err := b.timed(ctx, "delete", "-p", b.name)
	report("delete, 3 nodes", 3*time.Second, result{took, err})
	return err
}

// part is what can be measured alone, on a running and idle cluster of three nodes.
type part struct {
	name    string
	measure func(*bench, context.Context) error
}

func parts() []part {
	return []part{
		{"nodes", (*bench).nodes}, {"images", (*bench).images}, {"checkpoints", (*bench).checkpoints}, {"archive", (*bench).archive},
		{"guardian", (*bench).guardian}, {"history", (*bench).history}, {"gateway", (*bench).gateway},
		{"library", (*bench).library}, {"registry", (*bench).registry},
	}
}

// forParts starts the cluster that parts are measured on. Its API server offers profiles, which costs nothing until one is asked
// for; the history's share is read from them.
func (b *bench) forParts() []string {
	return []string{"start", "-p", b.name, "--nodes", "3", "--extra-config", "apiserver.profiling=true"}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

func partNamed(name string) (func(*bench, context.Context) error, bool) {
	for _, p := range parts() {
		if p.name == name {
			return p.measure, true
		}
	}
	return nil, false
}

// startAndDelete times a start of a new cluster; phases, if given, collects its timeline.
func (b *bench) startAndDelete(ctx context.Context, nodes int, phases *[]cluster.Timeline) (time.Duration, error) {
	took, err := b.timed(ctx, "start", "-p", b.name, "--nodes", strconv.Itoa(nodes))
	if err != nil {
		return 0, err
	}
	if phases != nil {
		data, err := os.ReadFile(filepath.Join(b.home, "clusters", b.name, "timeline.json"))
		if err != nil {
			return 0, err
		}
		var t cluster.Timeline
		if err := json.Unmarshal(data, &t); err != nil {
			return 0, err
		}
		*phases = append(*phases, t)
	}
	_, err = b.timed(ctx, "delete", "-p", b.name)
	return took, err
}

// cost prints memory and idle CPU of the control plane and of each node.
func (b *bench) cost(ctx context.Context) error {
	daemon, err := b.daemonPID()
	if err != nil {
		return err
	}
	groups := map[string][]int{"control plane": {daemon}}
	order := []string{"control plane"}
	for i := 1; i <= 3; i++ {
		node := fmt.Sprintf("%s-%d", b.name, i)
		container, err := exec.CommandContext(ctx, "docker", "ps", "-q", "--filter", "label=io.bonsai.node="+node).Output()
		if err != nil {
			return fmt.Errorf("docker ps: %w", err)
		}
		out, err := exec.CommandContext(ctx, "docker", "top", strings.TrimSpace(string(container)), "-eo", "pid").Output()
		if err != nil {
			return fmt.Errorf("docker top %s: %w", node, err)
		}
		for _, field := range strings.Fields(string(out))[1:] {
			if pid, err := strconv.Atoi(field); err == nil {
				groups[node] = append(groups[node], pid)
			}
		}
		order = append(order, node)
	}
	fmt.Printf("observing idle CPU for %s…\n", b.idle)
	before := map[string]time.Duration{}
	for _, g := range order {
		before[g] = cpuTime(groups[g])
	}
	begin := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.idle):
	}
	for _, g := range order {
		goal := 180
		if g == "control plane" {
			goal = 320
		}
		cpu := float64(cpuTime(groups[g])-before[g]) / float64(time.Since(begin)) * 100
		fmt.Printf("%-44s %6d MB  (PSS %d MB, goal %d MB)  idle CPU %.1f %%\n", g, memory(groups[g], "Rss:"), memory(groups[g], "Pss:"), goal, cpu)
	}
	return nil
}

func (b *bench) daemonPID() (int, error) {
	data, err := os.ReadFile(filepath.Join(b.home, "clusters", b.name, "daemon.json"))
	if err != nil {
		return 0, err
	}
	var d struct{ PID int }
	return d.PID, json.Unmarshal(data, &d)
}

// memory sums one line of smaps_rollup in MB.
func memory(pids []int, line string) int {
	kb := 0
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for l := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(l, line); ok {
				n, _ := strconv.Atoi(strings.Fields(rest)[0])
				kb += n
			}
		}
	}
	return kb >> 10
}

// cpuTime sums user and system time; the kernel counts in hundredths of a second.
func cpuTime(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		for _, i := range []int{11, 12} {
			ticks, _ := strconv.Atoi(fields[i])
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

func (b *bench) timed(ctx context.Context, args ...string) (time.Duration, error) {
	begin := time.Now()
	err := b.bonsai(ctx, args...)
	return time.Since(begin), err
}

func (b *bench) bonsai(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, b.bin, args...)
	cmd.Env = append(os.Environ(), "BONSAI_HOME="+b.home, "KUBECONFIG="+filepath.Join(b.home, "kubeconfig"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bonsai %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return nil
}

func (b *bench) median(f func() (time.Duration, error)) result {
	var all []time.Duration
	for range b.runs {
		d, err := f()
		if err != nil {
			return result{err: err}
		}
		all = append(all, d)
	}
	return result{took: middle(all)}
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// result is a figure or why there is none.
type result struct {
	took time.Duration
	err  error
}

func report(what string, goal time.Duration, r result) {
	took, err := r.took, r.err
	if err != nil {
		fmt.Printf("%-44s %8s  (%v)\n", what, "failed", err)
		return
	}
	fmt.Printf("%-44s %8s  (goal %s)\n", what, took.Round(time.Millisecond), goal)
}

// printPhases shows when each step of a start began and ended, as medians.
func printPhases(all []cluster.Timeline) {
	if len(all) == 0 {
		return
	}
	for _, step := range all[0].Steps {
		var begins, ends []time.Duration
		for _, t := range all {
			for _, s := range t.Steps {
				// Names contain the cluster's, which is the only difference between runs of this program.
				if s.Step == step.Step {
					begins, ends = append(begins, s.Begin), append(ends, s.End)
				}
			}
		}
		fmt.Printf("    %-40s %8s → %s\n", step.Title, middle(begins).Round(time.Millisecond), middle(ends).Round(time.Millisecond))
	}
}
