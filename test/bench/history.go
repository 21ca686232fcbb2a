package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	changesPerSecond = 50
	changedFor       = 30 * time.Second
	// recorder matches the functions of the history in profiles of the control plane.
	recorder = "bonsai/controlplane/observe/history"
)

// history measures what recording costs while 50 objects a second change, each of 4 kB, and how long a question takes.
// Its share of the control plane's CPU and memory is that of its functions, and of what they call, in profiles.
func (b *bench) history(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	g, busy := errgroup.WithContext(ctx)
	g.Go(func() error { return change(busy, client) })
	cpu := filepath.Join(b.home, "cpu.pprof")
	g.Go(func() error {
		return fetchProfile(busy, client, "profile", map[string]string{"seconds": fmt.Sprint(int(changedFor.Seconds()))}, cpu)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	heap := filepath.Join(b.home, "heap.pprof")
	if err := fetchProfile(ctx, client, "heap", map[string]string{"gc": "1"}, heap); err != nil {
		return err
	}
	seconds, err := share(ctx, cpu)
	if err != nil {
		return err
	}
	bytes, err := share(ctx, heap, "-sample_index=inuse_space")
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %8.2f %%  (of a core, goal 3 %%)\n", "history, 50 changes a second: CPU", seconds/changedFor.Seconds()*100)
	fmt.Printf("%-44s %8.1f MB (live heap, goal 20 MB)\n", "history, 50 changes a second: memory", bytes/1e6)
	report("history, the newest changes", 100*time.Millisecond, b.median(func() (time.Duration, error) { return b.timed(ctx, "history", "-p", b.name) }))
	report("history of an object", 100*time.Millisecond, b.median(func() (time.Duration, error) {
		return b.timed(ctx, "history", "configmap/"+changedName(0), "-p", b.name)
	}))
	return nil
}

func changedName(i int) string { return fmt.Sprintf("changed-%d", i) }

// change updates 50 ConfigMaps in turn, so that each changes once a second.
func change(ctx context.Context, client kubernetes.Interface) error {
	maps := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	text := strings.Repeat("Recorded as it is stored. ", 160)
	for i := range changesPerSecond {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: changedName(i)}, Data: map[string]string{"text": text}}
		if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	tick := time.NewTicker(time.Second / changesPerSecond)
	defer tick.Stop()
	for i := range changesPerSecond * int(changedFor.Seconds()) {
		patch := fmt.Appendf(nil, `{"data":{"count":"%d"}}`, i)
		if _, err := maps.Patch(ctx, changedName(i%changesPerSecond), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// fetchProfile writes one of the control plane's profiles into a file.
func fetchProfile(ctx context.Context, client *kubernetes.Clientset, name string, params map[string]string, path string) error {
	request := client.CoreV1().RESTClient().Get().AbsPath("/debug/pprof/" + name)
	for k, v := range params {
		request = request.Param(k, v)
	}
	data, err := request.DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	return os.WriteFile(path, data, 0o600)
}

var accounting = regexp.MustCompile(`Showing nodes accounting for ([0-9.]+)(ms|s|mins|B|kB|MB|GB)?,`)

// share is what the history's functions account for in a profile: seconds or bytes.
func share(ctx context.Context, path string, flags ...string) (float64, error) {
	args := append([]string{"tool", "pprof", "-top", "-nodecount=100000", "-nodefraction=0", "-focus=" + recorder}, flags...)
	out, err := exec.CommandContext(ctx, "go", append(args, path)...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("go tool pprof %s: %w: %s", path, err, out)
	}
	if strings.Contains(string(out), "no matches found") {
		return 0, nil // not one sample
	}
	found := accounting.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("go tool pprof %s printed no sum: %s", path, out)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	scale := map[string]float64{"ms": 1e-3, "s": 1, "mins": 60, "": 1, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
	return value * scale[string(found[2])], err
}
