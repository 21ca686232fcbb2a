// Command bench measures bonsai's DNS server beside CoreDNS: two processes on the loopback of one machine, answering
// from the same API server (bonsai start --nodes 0), under the same load of dnsperf, in turn.
//
// The answers to all questions are compared before they are measured. The result is a table in markdown: medians, and
// in parentheses the smallest and largest of the runs. Run it through `make bench-dns` on a quiet machine; load,
// servers and API server share its processors, so that queries per CPU second are more meaningful than queries per
// second.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"

	"bonsai/test/coredns/internal/stub"
)

type bench struct {
	bin, name      string
	dir, home      string // for everything, and for the API server's data
	seconds        time.Duration
	runs           int
	rate           int // of the runs that measure latency, in queries per second
	clients        int
	services, many int
	updates        int
	multisocket    bool

	began    time.Time
	env      []string
	client   kubernetes.Interface
	upstream *stub.Server
	servers  []*server
	// ours is the processor time of all runs, of server and load together; others is the share of the machine that
	// other processes used in the meantime.
	ours   time.Duration
	others float64
}

func main() {
	b := &bench{began: time.Now(), name: "bench-dns-" + strconv.FormatInt(time.Now().UnixMilli()%1e6, 36)}
	flag.StringVar(&b.bin, "bin", "../../bin/bonsai", "the executable that is the API server")
	flag.DurationVar(&b.seconds, "for", 3*time.Second, "how long each run lasts")
	flag.IntVar(&b.runs, "runs", 3, "how many runs there are of each server and mix")
	flag.IntVar(&b.rate, "rate", 20_000, "queries per second at which latency is measured")
	flag.IntVar(&b.clients, "clients", 20, "how many sockets dnsperf asks from")
	flag.IntVar(&b.services, "services", 1000, "how many services there are under load, with five endpoints each")
	flag.IntVar(&b.many, "many", 10_000, "how many there are in the end, when memory and the latency of updates are measured; 0: not")
	flag.IntVar(&b.updates, "updates", 100, "how many updates of an EndpointSlice are timed")
	flag.BoolVar(&b.multisocket, "multisocket", false, "measure CoreDNS with its plugin multisocket, too, which kubeadm does not use")
	full := flag.Bool("full", false, "five runs of 30 s")
	echoAt := flag.String("echo", "", "be the floor: send every datagram to this address back; the bench starts it on its own")
	flag.Parse()
	if *echoAt != "" {
		fmt.Fprintln(os.Stderr, "bench:", echo(*echoAt))
		os.Exit(1)
	}
	if *full {
		b.seconds, b.runs = 30*time.Second, 5
	}
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
	if b.dir, err = os.MkdirTemp("", "bonsai-bench-dns"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.upstream, err = stub.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.upstream.Stop()) }()
	b.progress("starting the API server")
	defer b.deleteAPI(context.WithoutCancel(ctx))
	if err := b.startAPI(ctx); err != nil {
		return err
	}
	b.progress("creating %d services with %d endpoints", b.services, b.services*endpointsEach)
	if err := b.create(ctx, 0, b.services); err != nil {
		return err
	}
	b.progress("building and starting the servers")
	defer b.stopServers()
	if err := b.startServers(ctx); err != nil {
		return err
	}
	idle := b.memory()
	mixes, err := b.mixes()
	if err != nil {
		return err
	}
	b.progress("comparing all replies")
	if err := b.verify(mixes); err != nil {
		return err
	}
	b.progress("waiting for the machine to come to rest")
	if err := b.settle(ctx); err != nil {
		return err
	}
	results, err := b.load(ctx, mixes)
	if err != nil {
		return err
	}
	loaded := b.memory()
	b.progress("the floor")
	floor, err := b.floor(ctx, mixes[0])
	if err != nil {
		return err
	}
	fmt.Printf("%d processors, %s, %s; %d runs of %s each, in turns; %d services, %d endpoints. Others took %.0f %% of the machine.\n\n",
		runtime.NumCPU(), processor(), runtime.Version(), b.runs, b.seconds, b.services, b.services*endpointsEach, 100*b.others)
	b.printLoad(mixes, results)
	b.printFloor(floor)
	memory := []sample{{fmt.Sprintf("%d services, before the load", b.services), idle}, {fmt.Sprintf("%d services, after the load", b.services), loaded}}
	if b.many > b.services {
		b.progress("creating %d more services", b.many-b.services)
		if err := b.create(ctx, b.services, b.many); err != nil {
			return err
		}
		if err := b.arrived(ctx, b.many); err != nil {
			return err
		}
		memory = append(memory, sample{fmt.Sprintf("%d services, %d endpoints", b.many, b.many*endpointsEach), b.memory()})
	}
	b.printMemory(memory)
	b.progress("timing updates")
	return b.printUpdates(ctx)
}

// progress is printed where it does not mix with the tables.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: %3.0fs "+format+"\n", append([]any{time.Since(b.began).Seconds()}, args...)...)
}

// command runs to its end; its output only matters if it fails.
func (b *bench) command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), b.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", filepath.Base(name), args, err, out)
	}
	return nil
}
