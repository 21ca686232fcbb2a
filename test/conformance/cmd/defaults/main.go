// Command defaults compares what a cluster of bonsai offers with what a control plane offers that kubeadm configured from
// the same version of Kubernetes, and which it starts for that: feature gates, API, admission plugins, controllers and
// the objects of a fresh cluster.
//
//	defaults -bin DIR -dir DIR -version v1.37.2 -kubeconfig FILE -node NAME [-emulate 1.36]
//
// Each difference must be one that docs/conformance.md gives a reason for. The last line says what came of it:
// "defaults: 2100 compared, 60 different, 60 of them documented".
//
// Exit status: 0 if the documented differences are exactly those that there are, 1 if not, 2 if the comparison itself
// broke.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"bonsai/test/conformance/internal/defaults"
	"bonsai/test/conformance/internal/kubeadm"
)

const (
	exitDifferent = 1
	exitBroken    = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ok, err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "defaults:", err)
		os.Exit(exitBroken)
	case !ok:
		os.Exit(exitDifferent)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (ok bool, err error) {
	flags := flag.NewFlagSet("defaults", flag.ContinueOnError)
	var o kubeadm.Options
	flags.StringVar(&o.Bin, "bin", "", "folder of kubeadm, etcd and the components")
	flags.StringVar(&o.Dir, "dir", "", "empty folder for what they write")
	flags.StringVar(&o.Version, "version", "", "their version")
	flags.StringVar(&o.Emulate, "emulate", "", "the minor version that both planes emulate")
	kubeconfig := flags.String("kubeconfig", "", "bonsai's cluster")
	node := flags.String("node", "", "its node")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	plane, err := kubeadm.Start(ctx, o)
	if err != nil {
		return false, err
	}
	defer plane.Stop()
	theirs := defaults.Plane{Kubeconfig: plane.Kubeconfig, Metrics: map[string]string{
		"kube-apiserver":          "/metrics",
		"kube-controller-manager": plane.ControllerManager + "/metrics",
		"kube-scheduler":          plane.Scheduler + "/metrics",
		// kubeadm configures no gates, and all programs register the same ones with the same defaults.
		"kubelet and kube-proxy": "/metrics",
	}}
	ours := defaults.Plane{Kubeconfig: *kubeconfig, Metrics: map[string]string{
		// One process, with one set of gates.
		"kube-apiserver": "/metrics", "kube-controller-manager": "/metrics", "kube-scheduler": "/metrics",
		// Another one.
		"kubelet and kube-proxy": "/api/v1/nodes/" + *node + "/proxy/metrics",
	}}
	result, err := settle(ctx, theirs, ours, o.Emulate != "")
	if err != nil {
		return false, err
	}
	report(out, result)
	return result.OK(), nil
}

// limit is how long two fresh planes have until they look as expected: controllers still make objects.
const limit = time.Minute

// settle compares until the planes differ as documented, or the limit is reached.
func settle(ctx context.Context, theirs, ours defaults.Plane, emulated bool) (defaults.Result, error) {
	expired := time.NewTimer(limit)
	defer expired.Stop()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		result, err := compare(ctx, theirs, ours, emulated)
		if err == nil && result.OK() {
			return result, nil
		}
		select {
		case <-ctx.Done():
			return result, context.Cause(ctx)
		case <-expired.C:
			return result, err
		case <-tick.C:
		}
	}
}

func compare(ctx context.Context, theirs, ours defaults.Plane, emulated bool) (defaults.Result, error) {
	there, err := defaults.Observe(ctx, theirs)
	if err != nil {
		return defaults.Result{}, fmt.Errorf("observe kubeadm's control plane: %w", err)
	}
	here, err := defaults.Observe(ctx, ours)
	if err != nil {
		return defaults.Result{}, fmt.Errorf("observe bonsai's cluster: %w", err)
	}
	if !emulated {
		return defaults.Compare(there, here, defaults.Table), nil
	}
	result := defaults.Compare(there, here, slices.Concat(defaults.Table, defaults.Emulated))
	// The table is that of the newest version. Not all in it exists in older ones.
	result.Stale = nil
	return result, nil
}

func report(out io.Writer, r defaults.Result) {
	for _, d := range r.Unexplained {
		fmt.Fprintln(out, "not documented:", d)
	}
	for _, k := range r.Stale {
		fmt.Fprintf(out, "documented, but no longer so: %s: %s\n", k.Fact, k.How)
	}
	fmt.Fprintf(out, "defaults: %d compared, %d different, %d of them documented\n",
		r.Compared, len(r.Explained)+len(r.Unexplained), len(r.Explained))
}
