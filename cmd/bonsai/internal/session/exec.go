package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // what client-go takes and returns is still of this package
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/node"
)

// bestShell runs bash if the image has it.
const bestShell = `command -v bash >/dev/null 2>&1 && exec bash; exec sh`

// Exec runs a command in a container or a node. When it returns, a read of Stdin may still be in progress.
func (s *Session) Exec(ctx context.Context, e kube.Exec) (int, error) {
	if e.Pod == "" {
		return s.execInNode(ctx, e)
	}
	op := "run a command in " + e.Namespace + "/" + e.Pod
	shell := len(e.Command) == 0
	if shell {
		op = "open a shell in " + e.Namespace + "/" + e.Pod
		e.Command = []string{"sh", "-c", bestShell}
		if term := os.Getenv("TERM"); term != "" && e.Size != nil {
			e.Command = []string{"sh", "-c", "TERM=" + quote(term) + "; export TERM; " + bestShell}
		}
	}
	c, err := s.api()
	if err != nil {
		return 0, err
	}
	executor, err := c.executor(e)
	if err != nil {
		return 0, s.explain(ctx, op, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Some runtimes report a missing program as a reason, others on the command's own stderr.
	seen := &head{w: e.Stderr}
	o := remotecommand.StreamOptions{Stdin: e.Stdin, Stdout: e.Stdout, Stderr: seen}
	if e.Size != nil {
		o.Tty, o.Stderr = true, nil
		o.TerminalSizeQueue = &sizes{ctx: ctx, from: e.Size}
	}
	err = executor.StreamWithContext(ctx, o)
	exit, ended := errors.AsType[utilexec.ExitError](err)
	switch {
	case err == nil:
		return 0, nil
	case shell && noProgram(err.Error()+seen.text.String()):
		return 0, fault.New(fault.Refused, op, errors.New("its image has no shell")).
			Advise("bring one along", cluster.Kubectl("debug", "-it").On(e.Pod).In(e.Namespace).With("--image", "IMAGE", "--target", e.Container).Fill("IMAGE"))
	case ended && exit.Exited():
		return exit.ExitStatus(), nil
	}
	return 0, s.explain(ctx, op, err)
}

func noProgram(text string) bool {
	return strings.Contains(text, "executable file not found") || strings.Contains(text, "no such file or directory") && strings.Contains(text, "exec")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// executor opens the stream over WebSocket, or over SPDY if there is nothing else, as kubectl does.
func (c *conn) executor(e kube.Exec) (remotecommand.Executor, error) {
	r := c.raw.Post().Resource("pods").Namespace(e.Namespace).Name(e.Pod).SubResource("exec")
	r.VersionedParams(&corev1.PodExecOptions{
		Container: e.Container, Command: e.Command, Stdin: e.Stdin != nil, Stdout: true, Stderr: e.Size == nil, TTY: e.Size != nil,
	}, scheme.ParameterCodec)
	return c.executorAt(r.URL())
}

func (c *conn) executorAt(u *url.URL) (remotecommand.Executor, error) {
	old, err := remotecommand.NewSPDYExecutor(c.config, "POST", u)
	if err != nil {
		return nil, err
	}
	current, err := remotecommand.NewWebSocketExecutor(c.config, "GET", u.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(current, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// sizes is the queue of terminal sizes that client-go wants.
type sizes struct {
	ctx  context.Context //nolint:containedctx // that of the call that it belongs to
	from <-chan kube.TerminalSize
}

func (q *sizes) Next() *remotecommand.TerminalSize {
	select {
	case <-q.ctx.Done():
		return nil
	case size, ok := <-q.from:
		if !ok {
			return nil
		}
		return &remotecommand.TerminalSize{Width: uint16(size.Width), Height: uint16(size.Height)}
	}
}

// head keeps the beginning of what passes through it.
type head struct {
	w    io.Writer
	text bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	if room := 1024 - h.text.Len(); room > 0 {
		h.text.Write(p[:min(len(p), room)])
	}
	if h.w == nil {
		return len(p), nil
	}
	return h.w.Write(p)
}

func (s *Session) execInNode(ctx context.Context, e kube.Exec) (code int, err error) {
	x := node.Exec{Cmd: e.Command, Stdin: e.Stdin, Stdout: e.Stdout, Stderr: e.Stderr}
	if len(x.Cmd) == 0 {
		x.Cmd = []string{"/bin/sh"} // what a node has
	}
	ctx, cancel := context.WithCancel(ctx)
	var converting sync.WaitGroup
	defer converting.Wait()
	defer cancel()
	if e.Size != nil {
		x.TTY, x.Env = true, []string{"TERM=" + os.Getenv("TERM")}
		resize := make(chan node.Size)
		x.Resize = resize
		queue := &sizes{ctx: ctx, from: e.Size}
		converting.Go(func() {
			for size := queue.Next(); size != nil; size = queue.Next() {
				select {
				case resize <- node.Size{Width: uint(size.Width), Height: uint(size.Height)}:
				case <-ctx.Done():
				}
			}
		})
	}
	if err := s.o.Engine.Wake(ctx, s.o.Name, nil); err != nil {
		return 0, s.explain(ctx, "run a command in "+e.Node, err)
	}
	err = s.withNode(ctx, e.Node, func(d node.Driver, c node.Container) error {
		code, err = d.Exec(ctx, c.Name, x)
		return err
	})
	return code, s.explain(ctx, "run a command in "+e.Node, err)
}
