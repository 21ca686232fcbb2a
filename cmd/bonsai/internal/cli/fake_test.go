package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore/imagetest"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// fakeEngine keeps specs in the real state folder and does nothing else.
type fakeEngine struct {
	dir  statedir.Dir
	mood string
}

// Plan plans as the real one does, on a machine with nothing else on it. FAKE_RUNNING makes clusters run.
func (f *fakeEngine) Plan(_ context.Context, w plan.Wish) (plan.Plan, error) {
	current := plan.State{Running: os.Getenv("FAKE_RUNNING") != ""}
	if state := f.dir.Cluster(w.Name); state.Exists() {
		spec, err := state.LoadSpec()
		if err != nil {
			return plan.Plan{}, err
		}
		current.Spec = spec
	}
	wanted, err := w.Started(current, plan.Environment{Kubernetes: "v1.37.2", ID: "id" + w.Name})
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.New(current, wanted)
}

func (f *fakeEngine) Start(ctx context.Context, w plan.Wish, run bootstrap.Run) (*cluster.Timeline, error) {
	emit := func(kind cluster.EventKind, step, title, detail string) {
		run.Events(cluster.Event{Kind: kind, Step: step, Title: title, Detail: detail, Time: time.Now(), Elapsed: 120 * time.Millisecond})
	}
	emit(cluster.StepStarted, "pki", "Certificates", "")
	emit(cluster.StepDone, "pki", "", "")
	emit(cluster.StepStarted, "node/a", "Node a\x1b[31m", "")
	switch f.mood {
	case "fail":
		err := fault.New(fault.Node, "wait for dev-1", errors.New("it was not Ready within 90s")).
			Advise("see what it says", cluster.Bonsai("logs").On("kubelet")).WithEvidence("E1 bad \x1b[2Jthing", "E2 worse")
		p := fault.Problem(err)
		run.Events(cluster.Event{Kind: cluster.StepFailed, Step: "node/a", Time: time.Now(), Elapsed: time.Second, Problem: &p})
		return nil, errors.Join(err, fault.Newf(fault.Engine, "and the cleanup failed too"))
	case "hang":
		if err := os.WriteFile("hanging", nil, 0o600); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, fmt.Errorf("start: %w", context.Cause(ctx))
	}
	emit(cluster.StepWarning, "engine", "", "cgroup v1 is old")
	emit(cluster.StepDone, "node/a", "", "Ready")
	p, err := f.Plan(ctx, w)
	if err != nil {
		return nil, err
	}
	state := f.dir.Cluster(w.Name)
	if !state.Exists() {
		if err := kubeconfig.Check(); err != nil {
			return nil, err
		}
	}
	e := kubeconfig.Entry{Name: w.Name, Server: "https://127.0.0.1:6443", CA: []byte("ca " + w.Name)}
	if err := errors.Join(state.Create(), state.SaveSpec(p.Wanted.Spec), statedir.WriteFile(state.Kubeconfig(), e.File())); err != nil {
		return nil, err
	}
	var m kubeconfig.Merged
	if !run.OwnKubeconfig {
		m, err = kubeconfig.Merge(e)
	}
	if err != nil {
		problem := fault.Problem(err)
		problem.Severity, problem.Advice = cluster.SeverityWarning, append(problem.Advice, cluster.Advise("use", cluster.Program("export").On("KUBECONFIG="+state.Kubeconfig())))
		run.Events(cluster.Event{Kind: cluster.StepWarning, Step: "kubeconfig", Time: time.Now(), Problem: &problem})
	}
	t := &cluster.Timeline{Operation: "start", Total: 2900 * time.Millisecond, Context: m.Context}
	run.Started(t)
	return t, nil
}

func (f *fakeEngine) Stop(_ context.Context, name string, events func(cluster.Event)) error {
	if _, err := f.dir.Cluster(name).LoadSpec(); err != nil {
		return err
	}
	events(cluster.Event{Kind: cluster.StepDone, Step: "daemon", Title: "Control plane", Time: time.Now(), Elapsed: time.Second})
	return nil
}

func (f *fakeEngine) Delete(_ context.Context, name string, _ func(cluster.Event)) error {
	if f.mood == "stuck-"+name {
		return fault.Newf(fault.Engine, "%s is stuck", name)
	}
	if !f.dir.Cluster(name).Exists() {
		return statedir.NotFound(name)
	}
	_, err := kubeconfig.Remove([]byte("ca " + name))
	return errors.Join(err, f.dir.Cluster(name).Remove())
}

func (f *fakeEngine) List() ([]string, error) { return f.dir.Clusters() }

// Foreign says what foreign.json in the current folder says; without it there is no engine.
func (f *fakeEngine) Foreign(context.Context) (list []node.Holding, err error) {
	data, err := os.ReadFile("foreign.json")
	if err != nil {
		return nil, fault.New(fault.EngineDown, "list clusters", err)
	}
	return list, json.Unmarshal(data, &list)
}

func (f *fakeEngine) ForeignCluster(ctx context.Context, nameOrID string) (h node.Holding, err error) {
	all, err := f.Foreign(ctx)
	for _, h := range all {
		if h.Cluster == nameOrID || h.ID == nameOrID {
			return h, nil
		}
	}
	return h, cmp.Or(err, error(fault.Newf(fault.NotFound, "nothing of %q", nameOrID)))
}

func (f *fakeEngine) DeleteForeign(_ context.Context, id string, events func(cluster.Event)) error {
	events(cluster.Event{Kind: cluster.StepDone, Step: "containers", Title: "Containers, volumes and network", Detail: id, Time: time.Now()})
	return nil
}

// Watch ends at once, as that of a cluster that does not run.
func (f *fakeEngine) Watch(context.Context, string, func(cluster.Snapshot) error) error { return nil }

func (f *fakeEngine) Status(_ context.Context, name string) (s cluster.Snapshot, err error) {
	spec, err := f.dir.Cluster(name).LoadSpec()
	if err != nil {
		return s, err
	}
	if f.mood == "" {
		s = cluster.Snapshot{Name: name, Phase: cluster.PhaseStopped, APIServer: cluster.PhaseStopped}
		for _, n := range spec.Nodes {
			s.Nodes = append(s.Nodes, cluster.NodeStatus{Name: n.Name, Role: n.Role(), Host: cluster.PhaseStopped})
		}
		return s, nil
	}
	data, err := os.ReadFile(f.mood) // the script names a file with the snapshot
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

// Ports are those of the spec; the first one is closed if FAKE_CLOSED is set.
func (f *fakeEngine) Ports(_ context.Context, name string) (list []cluster.PortStatus, err error) {
	spec, err := f.dir.Cluster(name).LoadSpec()
	if err != nil {
		return nil, err
	}
	for i, p := range spec.Ports {
		s := cluster.PortStatus{Port: p, Open: true, Connections: i}
		if s.Reason = os.Getenv("FAKE_CLOSED"); i == 0 && s.Reason != "" {
			s.Open = false
		}
		list = append(list, s)
	}
	return list, nil
}

func (f *fakeEngine) SetPorts(_ context.Context, name string, change func(cluster.Spec) ([]cluster.Port, error)) (bool, error) {
	state := f.dir.Cluster(name)
	spec, err := state.LoadSpec()
	if err != nil {
		return false, err
	}
	if spec.Ports, err = change(*spec); err != nil {
		return false, err
	}
	return os.Getenv("FAKE_RUNNING") != "", state.SaveSpec(spec)
}

// SetMirrors changes them in the spec.
func (f *fakeEngine) SetMirrors(_ context.Context, name string, change func(map[string][]cluster.Mirror) error) (bool, error) {
	state := f.dir.Cluster(name)
	spec, err := state.LoadSpec()
	if err != nil {
		return false, err
	}
	if spec.Registries.Mirrors == nil {
		spec.Registries.Mirrors = map[string][]cluster.Mirror{}
	}
	if err := change(spec.Registries.Mirrors); err != nil {
		return false, err
	}
	return os.Getenv("FAKE_RUNNING") != "", state.SaveSpec(spec)
}

// Services are those of a file that the script names.
func (f *fakeEngine) Services(_ context.Context, name, namespace string) (list []bootstrap.Service, err error) {
	data, err := os.ReadFile(os.Getenv("FAKE_SERVICES"))
	if err != nil {
		return nil, fault.Newf(fault.NotRunning, "cluster %q is not running", name)
	}
	err = json.Unmarshal(data, &list)
	return slices.DeleteFunc(list, func(s bootstrap.Service) bool { return namespace != "" && s.Namespace != namespace }), err
}

// LocalCA and the two after it have one store each that works, that needs root, and that lacks a program.
func (f *fakeEngine) LocalCA(context.Context) (bootstrap.LocalCA, error) {
	return bootstrap.LocalCA{
		Name: "bonsai local CA 01020304", File: "/home/u/.bonsai/ca/ca.crt", Fingerprint: "ABCD", Until: time.Unix(2_000_000_000, 0).UTC(), Domains: []string{"localhost", "test"},
		PEM: []byte("-----BEGIN CERTIFICATE-----\n"), Stores: []bootstrap.CAStore{
			{Name: "the system", Where: "/usr/local/share/ca-certificates", State: bootstrap.StoreTrusts, Old: true},
			{Name: "Firefox profile a", Where: "/home/u/a", State: bootstrap.StoreIsUnknown, Commands: []string{"sudo apt-get install -y libnss3-tools"}},
		},
	}, nil
}

func (f *fakeEngine) TrustLocalCA(_ context.Context, dry bool) ([]bootstrap.CAStore, error) {
	list := []bootstrap.CAStore{
		{Name: "the system", Where: "/usr/local/share/ca-certificates", State: bootstrap.StoreByHand, Commands: []string{"sudo install a b", "sudo update-ca-certificates"}},
		{Name: "Chromium", Where: "/home/u/.pki/nssdb", State: bootstrap.StoreChanged},
	}
	if dry {
		list[1].State, list[1].Commands = bootstrap.StoreByHand, []string{"certutil -A"}
	}
	return list, nil
}

func (f *fakeEngine) UntrustLocalCA(context.Context, bool) ([]bootstrap.CAStore, error) {
	return []bootstrap.CAStore{{Name: "Chromium", Where: "/home/u/.pki/nssdb", State: bootstrap.StoreFailed, Reason: "certutil: exit status 1"}},
		fault.Newf(fault.Machine, "the trust in the local CA could not be changed everywhere: Chromium")
}

func (f *fakeEngine) UpdateContext(name string) (m kubeconfig.Merged, err error) {
	e := kubeconfig.Entry{Name: name, Server: "https://127.0.0.1:6443", CA: []byte("ca " + name)}
	if _, err := f.dir.Cluster(name).LoadSpec(); err != nil {
		return m, err
	}
	return kubeconfig.Merge(e)
}

// fakeDriver knows a few commands. Every planned node has a container of its name.
type fakeDriver struct {
	node.Driver
	dir statedir.Dir
}

func (f fakeDriver) List(_ context.Context, id string) (list []node.Container, err error) {
	names, err := f.dir.Clusters()
	for _, name := range names {
		spec, err := f.dir.Cluster(name).LoadSpec()
		if err != nil || spec.ID != id {
			continue
		}
		for _, n := range spec.Nodes {
			if os.Getenv("FAKE") != "gone" {
				list = append(list, node.Container{Cluster: name, ClusterID: id, Node: n.Name, Name: n.Name})
			}
		}
	}
	return list, err
}

func (fakeDriver) Close() error { return nil }

func (fakeDriver) Exec(_ context.Context, container string, e node.Exec) (int, error) {
	if os.Getenv("FAKE") == "stopped" {
		return 0, fault.Newf(fault.NotRunning, "container %s is not running", container).Advise("", cluster.Bonsai("start"))
	}
	if root := os.Getenv("FAKE_NODES"); root != "" {
		return execInFolder(filepath.Join(root, container), e)
	}
	switch line := strings.Join(e.Cmd, " "); {
	case strings.HasPrefix(line, "bonsai-agent images unpacked "):
		return 0, json.NewEncoder(e.Stdout).Encode([]string{})
	case line == "bonsai-agent images receive":
		if os.Getenv("FAKE") == container {
			fmt.Fprintf(e.Stderr, "progress\nno room on %s\n", container)
			return 1, nil // without reading the rest
		}
		_, err := io.Copy(io.Discard, e.Stdin)
		return 0, err
	case line == "bonsai-agent images ls -o json":
		list := []cluster.NodeImage{{Name: "registry.k8s.io/pause:3.10"}, {Name: "docker.io/only/" + container + ":1", Loaded: true}}
		for n := range list {
			_, list[n].Target = imagetest.OCI(list[n].Name, "layer of "+container)
		}
		return 0, json.NewEncoder(e.Stdout).Encode(list)
	case strings.HasPrefix(line, "bonsai-agent images rm "):
		return 0, json.NewEncoder(e.Stdout).Encode(e.Cmd[3:])
	case strings.HasPrefix(line, "bonsai-agent images pull "):
		if strings.Contains(line, "/gone") {
			fmt.Fprintln(e.Stderr, "bonsai-agent: pull gone: not found")
			return 1, nil
		}
		return 0, nil
	case strings.HasPrefix(line, "bonsai-agent images export "):
		archive, _ := imagetest.OCI(e.Cmd[3], "layer of "+container)
		_, err := e.Stdout.Write(archive)
		return 0, err
	case line == "ls "+cluster.NodeLogDir:
		fmt.Fprintln(e.Stdout, "bonsai-agent.log\nkubelet.log\nkubelet.log.1")
	case e.Cmd[0] == "tail", e.Cmd[0] == "sh":
		if !strings.HasSuffix(line, "/kubelet.log") && !strings.HasSuffix(line, "/bonsai-agent.log") {
			fmt.Fprintln(e.Stderr, "tail: no such file")
			return 1, nil
		}
		fmt.Fprintf(e.Stdout, "%s: %s\n", container, line)
	case e.Cmd[0] == "cat":
		_, err := io.Copy(e.Stdout, e.Stdin)
		return 0, err
	case e.Cmd[0] == "exit":
		return strconv.Atoi(e.Cmd[1])
	default:
		fmt.Fprintf(e.Stdout, "%s: %q tty=%v\n", container, e.Cmd, e.TTY)
	}
	return 0, nil
}

// execInFolder runs what cp does in a node, in a folder that stands for its root.
func execInFolder(root string, e node.Exec) (int, error) {
	var cmd *exec.Cmd
	switch e.Cmd[0] {
	case "test":
		cmd = exec.Command("test", "-d", filepath.Join(root, e.Cmd[2]))
	case "tar":
		cmd = exec.Command("tar", slices.Concat([]string{"-C", filepath.Join(root, e.Cmd[2])}, e.Cmd[3:])...)
	default:
		cmd = exec.Command(e.Cmd[0], slices.Concat(e.Cmd[1:4], []string{filepath.Join(root, e.Cmd[4])})...)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (fakeDriver) Logs(_ context.Context, container string, tail int, follow bool, w io.Writer) error {
	_, err := fmt.Fprintf(w, "output of %s, %d lines, follow %v\n", container, tail, follow)
	return err
}

// FindImages knows no image whose name begins with "gone" or "no", and nothing with a slash at the beginning. All have one layer.
func (fakeDriver) FindImages(_ context.Context, refs []string) (found []node.Image, err error) {
	for _, ref := range refs {
		if strings.HasPrefix(ref, "gone") || strings.HasPrefix(ref, "no") || strings.HasPrefix(ref, ".") || strings.Contains(ref, "images") || ref == "text.tar" {
			continue
		}
		i := node.Image{Ref: ref, ID: imagetest.ID("layer"), Layers: []string{imagetest.Digest("layer")}}
		if strings.HasPrefix(ref, "pushed") {
			i.Digests = []string{"registry.test/pushed@sha256:2"}
		}
		found = append(found, i)
	}
	return found, nil
}

func (fakeDriver) SaveImages(_ context.Context, refs []string) (io.ReadCloser, error) {
	if slices.Contains(refs, "gone:1") {
		return nil, fault.Newf(fault.Image, "the Docker engine has no image gone:1").Advise("", cluster.Program("docker", "images"))
	}
	return io.NopCloser(bytes.NewReader(imagetest.Docker(refs, "layer"))), nil
}
