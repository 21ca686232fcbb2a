package session

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/node"
	"bonsai/cmd/bonsai/internal/logsource"
)

// ComponentLogs sends the log of a component until ctx ends. If a node is stopped, its files cannot be read; then it
// sends what its container printed, and returns; the same for an empty component.
func (s *Session) ComponentLogs(ctx context.Context, nodeName, component string, tail int, f func([]kube.LogLine) error) error {
	component = logsource.FullName(component)
	op := "read the log of " + component
	if component != "" {
		if err := cluster.ValidateName(component); err != nil { // it becomes part of a path
			return fault.New(fault.Usage, op, err)
		}
	}
	lines := logsource.Range{Lines: tail, Follow: true}
	b := newLogBuffer()
	if nodeName == "" {
		if !slices.Contains(logsource.HostComponents(), component) {
			return fault.Newf(fault.Usage, "%s: this machine has no such component", op).Advisef("it has %s", strings.Join(logsource.HostComponents(), ", "))
		}
		return s.copyLog(ctx, b, kube.LogLine{Source: kube.LogSource{Container: component}}, f, func(ctx context.Context, w io.Writer) error {
			return logsource.Host(ctx, s.state().LogFile(component), lines, w)
		})
	}
	return s.withNode(ctx, nodeName, func(d node.Driver, c node.Container) error {
		line := kube.LogLine{Source: kube.LogSource{Node: nodeName, Container: component}}
		var err error
		if component != "" {
			err = s.copyLog(ctx, b, line, f, func(ctx context.Context, w io.Writer) error {
				return logsource.Node(ctx, d, c, component, lines, w)
			})
			if fault.KindOf(err) != fault.NotRunning {
				return err
			}
			b.add(kube.LogLine{Source: line.Source, Marker: &kube.LogMarker{Kind: kube.LogNodeOutput}})
		}
		return s.copyLog(ctx, b, line, f, func(ctx context.Context, w io.Writer) error {
			return d.Logs(ctx, c.Name, max(0, tail), err == nil, w)
		})
	})
}

// copyLog sends what copy writes, as lines like the given one.
func (s *Session) copyLog(ctx context.Context, b *logBuffer, like kube.LogLine, f func([]kube.LogLine) error, copy func(context.Context, io.Writer) error) error {
	ended := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(ended)
		r, w := io.Pipe()
		g.Go(func() error {
			err := copy(gctx, w)
			_ = w.Close()
			return err
		})
		var last time.Time
		return readLines(r, func(line []byte, cut int) {
			l := like
			l.Text = lineText(line, cut)
			if t := componentlog.LineTime(line, time.Now()); !t.IsZero() {
				last = t
			}
			l.Time = last // a line without a time belongs to the one before it
			b.add(l)
		})
	})
	g.Go(func() error { return b.pump(gctx, ended, f) })
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return s.explain(ctx, "read a log", err)
	}
	return err
}
