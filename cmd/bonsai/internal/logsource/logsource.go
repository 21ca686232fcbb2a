// Package logsource reads the logs of a cluster's components: files of this machine for the control plane, files inside
// the nodes for their components. The command line and the terminal UI use it.
package logsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// HostComponents have their log files in the cluster's folder.
func HostComponents() []string {
	return []string{"daemon", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

// NodeComponents have their log files in each node.
func NodeComponents() []string {
	return []string{"bonsai-agent", "containerd", "kubelet", "kube-proxy"}
}

// agentParts are components of a node that have no process of their own, and write to the agent's log.
func agentParts() []string { return []string{"pod-network", "dns"} }

// FullName completes the short form of a component's name. Status names parts of the agent as well; their log is its.
func FullName(name string) string {
	if slices.Contains(agentParts(), name) {
		return "bonsai-agent"
	}
	for _, full := range slices.Concat(HostComponents(), NodeComponents()) {
		if name == full || "kube-"+name == full || "bonsai-"+name == full {
			return full
		}
	}
	return name
}

// Range selects lines of a log.
type Range struct {
	Lines  int // from the end; negative: all
	Follow bool
}

// Host copies a log file of this machine, which may grow and be rotated in the meantime. With Follow it ends with ctx,
// which is not an error.
func Host(ctx context.Context, path string, r Range, w io.Writer) error {
	err := componentlog.Tail(ctx, path, r.Lines, r.Follow, w)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.NotRunning, "the log %s does not exist yet", path)
	}
	// Errors of w do not concern the state folder; the caller handles a closed pipe.
	if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == path {
		return fault.New(fault.State, "read a log", err)
	}
	return err
}

// followScript ends with its standard input: the engine closes that when we disconnect, but does not end the process. A
// missing file is an error, while tail -F would wait for it.
const followScript = `[ -e "$1" ] || exit 1; tail -n "$0" -F "$1" & cat >/dev/null; kill $!`

// Node copies a log file of a running node, by running tail there.
func Node(ctx context.Context, driver node.Driver, c node.Container, component string, r Range, w io.Writer) error {
	lines, path := fmt.Sprint(r.Lines), cluster.NodeLogDir+"/"+component+".log"
	if r.Lines < 0 {
		lines = "+1"
	}
	var stderr bytes.Buffer
	e := node.Exec{Cmd: []string{"tail", "-n", lines, path}, Stdout: w, Stderr: &stderr}
	if r.Follow {
		stdin, end := io.Pipe()
		defer func() { _ = end.Close() }()
		defer context.AfterFunc(ctx, func() { _ = end.Close() })()
		e.Cmd, e.Stdin = []string{"sh", "-c", followScript, lines, path}, stdin
	}
	code, err := driver.Exec(ctx, c.Name, e)
	if err != nil || code == 0 {
		return err
	}
	var names bytes.Buffer
	if _, err := driver.Exec(ctx, c.Name, node.Exec{Cmd: []string{"ls", cluster.NodeLogDir}, Stdout: &names}); err != nil {
		return err
	}
	known := slices.DeleteFunc(strings.Fields(names.String()), func(f string) bool { return !strings.HasSuffix(f, ".log") })
	if slices.Contains(known, component+".log") {
		return fault.Newf(fault.Node, "read the log of %s on %s: %s", component, c.Node, strings.TrimSpace(stderr.String()))
	}
	return fault.Newf(fault.Usage, "node %s has no component %q", c.Node, component).
		Advisef("it has %s; this machine has %s", strings.ReplaceAll(strings.Join(known, ", "), ".log", ""), strings.Join(HostComponents(), ", "))
}
