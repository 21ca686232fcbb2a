package bootstrap

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/buildinfo"
	"bonsai/bootstrap/bundle"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/clusterfile"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
)

// BundleWish is what goes into a bundle.
type BundleWish struct {
	// NoObjects leaves all objects out. Secrets keeps the values of Secrets among them.
	NoObjects, Secrets bool
}

const (
	// bundleLimit bounds the gathering of one part.
	bundleLimit = 20 * time.Second
	// mostOfALog is how much of the end of a log is kept.
	mostOfALog = 5 << 20
)

// Bundle writes what is known about a cluster to w: status, problems, this machine, logs, the timings of starts, and its objects,
// without the values of Secrets. The cluster need not run. What cannot be gathered is in the manifest, which is returned.
func (m *Manager) Bundle(ctx context.Context, name string, wish BundleWish, w io.Writer) (bundle.Manifest, error) {
	state := m.env.Dir.Cluster(name)
	if !state.Exists() {
		return bundle.Manifest{}, statedir.NotFound(name)
	}
	now := time.Now().UTC()
	b := &bundler{
		Manager: m, state: state, wish: wish,
		Writer: bundle.NewWriter(w, fmt.Sprintf("bonsai-%s-%s", name, nameOf(now)), bundle.Manifest{
			Created: now, Bonsai: buildinfo.Get().Version, Cluster: name, KubernetesVersion: strings.TrimPrefix(m.env.Kubernetes, "v"),
			PodSubnet: cluster.DefaultPodSubnet, ServiceSubnet: cluster.DefaultServiceSubnet,
		}),
	}
	for _, part := range []func(context.Context){b.plan, b.machine, b.observed, b.records, b.hostLogs, b.nodes, b.lists, b.objects} {
		if ctx.Err() != nil {
			return b.Manifest, context.Cause(ctx)
		}
		part(ctx)
	}
	if err := b.Close(); err != nil {
		return b.Manifest, fault.New(fault.Output, "write the bundle", err).Advise("make room, or write it elsewhere")
	}
	return b.Manifest, context.Cause(ctx)
}

// bundler gathers the parts of a bundle.
type bundler struct {
	*Manager
	*bundle.Writer
	state statedir.Cluster
	wish  BundleWish
	spec  *cluster.Spec // nil if it cannot be read
}

// plan is what the cluster should be, without passwords.
func (b *bundler) plan(context.Context) {
	spec, err := b.state.LoadSpec()
	if err != nil {
		b.Miss("cluster.yaml", err)
		return
	}
	b.spec = spec
	b.Manifest.KubernetesVersion, b.Manifest.PodSubnet, b.Manifest.ServiceSubnet = spec.KubernetesVersion, spec.PodRange(), spec.ServiceRange()
	b.Manifest.FeatureGates = spec.Settings.FeatureGates
	file, err := clusterfile.View(*spec, clusterfile.ViewOptions{Kubernetes: b.env.Kubernetes})
	if err != nil {
		b.Miss("cluster.yaml", err)
		return
	}
	b.Add("cluster.yaml", file)
}

// machine is what doctor finds.
func (b *bundler) machine(ctx context.Context) {
	b.AddJSON("versions.json", buildinfo.Get())
	if b.env.Host == nil {
		return
	}
	checks, err := b.Doctor(ctx, false)
	if err != nil {
		b.Miss("doctor.json", err)
		return
	}
	b.AddJSON("doctor.json", checks)
}

// observed is the state now, with all problems.
func (b *bundler) observed(ctx context.Context) {
	s, err := b.Status(ctx, b.state.Name)
	if err != nil {
		b.Miss("status.json", err)
		return
	}
	b.AddJSON("status.json", s)
}

// records are what earlier commands have left.
func (b *bundler) records(context.Context) {
	b.AddJSON("starts.json", b.state.LoadTimelines())
	if r := b.state.Restarts(); r != nil {
		b.AddJSON("restarts.json", r)
	}
	b.AddEnd("crash.txt", crashFile(b.state), mostOfALog)
	list, err := b.Checkpoints(b.state.Name)
	if err != nil {
		b.Miss("checkpoints.json", err)
		return
	}
	b.AddJSON("checkpoints.json", list)
}

// auditLog may contain whole objects, and with them Secrets.
const auditLog = "audit"

func (b *bundler) hostLogs(context.Context) {
	entries, err := os.ReadDir(b.state.Logs())
	if err != nil {
		b.Miss("logs", err)
		return
	}
	for _, e := range entries {
		switch {
		case !e.Type().IsRegular():
		case strings.HasPrefix(e.Name(), auditLog):
			b.Miss("logs/"+e.Name(), errors.New("left out, because it may contain secrets"))
		default:
			b.AddEnd("logs/"+e.Name(), filepath.Join(b.state.Logs(), e.Name()), mostOfALog)
		}
	}
}

// nodeFile is something that a node says.
type nodeFile struct {
	name string
	data []byte
	err  error
}

// nodes are the logs of nodes, and what runs in them.
func (b *bundler) nodes(ctx context.Context) {
	if b.spec == nil || len(b.spec.Nodes) == 0 {
		return
	}
	driver, err := b.env.Driver()
	if err != nil {
		b.Miss("nodes", err)
		return
	}
	defer func() { _ = driver.Close() }()
	listing, cancel := b.limit(ctx, bundleLimit, "the containers of nodes")
	containers, err := driver.List(listing, b.spec.ID)
	cancel()
	if err != nil {
		b.Miss("nodes", err)
		return
	}
	files := make([][]nodeFile, len(containers))
	var wg sync.WaitGroup
	for i, c := range containers {
		wg.Go(func() {
			ctx, cancel := b.limit(ctx, bundleLimit, "the logs of node "+c.Node)
			defer cancel()
			files[i] = nodeFiles(ctx, driver, c)
		})
	}
	wg.Wait()
	for i, c := range containers {
		for _, f := range files[i] {
			name := "nodes/" + c.Node + "/" + f.name
			if f.err != nil {
				b.Miss(name, f.err)
			}
			if len(f.data) > 0 {
				b.Add(name, f.data)
			}
		}
	}
}

func nodeFiles(ctx context.Context, driver node.Driver, c node.Container) (files []nodeFile) {
	var out bytes.Buffer
	err := driver.Logs(ctx, c.Name, 2000, false, &out)
	files = append(files, nodeFile{"container.log", out.Bytes(), err})
	if !c.Running {
		return append(files, nodeFile{"logs", nil, fmt.Errorf("its container is %s (exit code %d)", c.State, c.ExitCode)})
	}
	run := func(name string, cmd ...string) []byte {
		var out, said bytes.Buffer
		code, err := driver.Exec(ctx, c.Name, node.Exec{Cmd: cmd, Stdout: &out, Stderr: &said})
		if err == nil && code != 0 {
			err = errors.New(cmp.Or(strings.TrimSpace(said.String()), fmt.Sprintf("exit code %d", code)))
		}
		files = append(files, nodeFile{name, out.Bytes(), err})
		return out.Bytes()
	}
	for _, kind := range []string{"ps -a", "pods", "images"} {
		run("crictl-"+strings.Fields(kind)[0]+".txt", append([]string{"crictl"}, strings.Fields(kind)...)...)
	}
	run("status.json", "bonsai-agent", "status", "-o", "json")
	run("addresses.txt", "ip", "address")
	run("routes.txt", "ip", "route")
	for name := range strings.FieldsSeq(string(run("logs.txt", "ls", cluster.NodeLogDir))) {
		if filepath.Base(name) == name {
			run(name, "tail", "-c", fmt.Sprint(mostOfALog), cluster.NodeLogDir+"/"+name)
		}
	}
	return files
}

// lists are the tables that people look at first; they need a cluster that runs.
func (b *bundler) lists(ctx context.Context) {
	if !b.state.DaemonAlive() || b.env.Kubectl == nil {
		return
	}
	for _, args := range [][]string{
		{"get", "nodes", "-o", "wide"}, {"get", "pods", "-A", "-o", "wide"}, {"get", "events", "-A", "--sort-by=.lastTimestamp"},
	} {
		name := "kubectl/" + args[1] + ".txt"
		ctx, cancel := b.limit(ctx, bundleLimit, "kubectl get "+args[1])
		said, err := b.env.Kubectl(ctx, b.state.Name, append(args, "--request-timeout=10s"), nil)
		cancel()
		if err != nil {
			b.Miss(name, fmt.Errorf("%w: %s", err, strings.TrimSpace(said)))
			continue
		}
		b.Add(name, []byte(said))
	}
}

// objects are etcd's data: of a cluster that runs as they are now, of another as they were at its end.
func (b *bundler) objects(ctx context.Context) {
	if b.wish.NoObjects {
		return
	}
	if err := b.addObjects(ctx); err != nil {
		b.Miss(bundle.StoreFile, err)
		return
	}
	b.Manifest.Objects, b.Manifest.Secrets = true, b.wish.Secrets
}

func (b *bundler) addObjects(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(b.state.Dir(), "bundle-") // with mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	whole, redacted := filepath.Join(dir, "whole"), filepath.Join(dir, "redacted")
	if err := b.copyObjects(ctx, whole); err != nil {
		return err
	}
	if b.wish.Secrets {
		b.AddFile(bundle.StoreFile, whole)
		return nil
	}
	if b.env.Redact == nil {
		return errors.New("this executable cannot remove the values of Secrets")
	}
	if err := b.env.Redact(whole, redacted); err != nil {
		return fmt.Errorf("remove the values of Secrets: %w", err)
	}
	b.AddFile(bundle.StoreFile, redacted)
	return nil
}

func (b *bundler) copyObjects(ctx context.Context, to string) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if b.state.DaemonAlive() {
		ctx, cancel := b.limit(ctx, saveLimit, "a copy of all objects")
		defer cancel()
		return b.clientOf(b.state).CopyStore(ctx, func(_ cluster.StoreCopy, r io.Reader) error {
			_, err := io.Copy(f, r)
			return err
		})
	}
	from, err := os.Open(filepath.Join(b.state.Etcd(), "member", "snap", "db"))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	_, err = io.Copy(f, from)
	return err
}

// BundleFault explains why a file is not a bundle that can be opened.
func BundleFault(file string, err error) error {
	op := "open bundle " + file
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bundle.ErrEmpty):
		return fault.New(fault.Usage, op, err).Advise("what it has are files for people; unpack them", cluster.Program("tar", "-xzf").On(file))
	case errors.Is(err, bundle.ErrNewer):
		return fault.New(fault.Usage, op, err).Advise("use that bonsai")
	case slices.ContainsFunc([]error{bundle.ErrNot, os.ErrNotExist, os.ErrPermission}, func(e error) bool { return errors.Is(err, e) }):
		return fault.New(fault.Usage, op, err).Advise("name a file that this made", cluster.Bonsai("bundle"))
	}
	return fault.New(fault.State, op, err)
}
