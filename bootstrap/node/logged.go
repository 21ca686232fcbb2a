package node

import (
	"context"
	"io"
	"log/slog"
	"time"

	"bonsai/bootstrap/cluster"
)

// Logged is a driver that logs each call of d at debug level: what on which object, and how long it took. It logs no
// arguments, in which there may be secrets.
func Logged(d Driver, log *slog.Logger) Driver { return &logged{d, log} }

type logged struct {
	Driver
	log *slog.Logger
}

// call begins a call; the returned function ends it.
func (l *logged) call(ctx context.Context, op, object string) func(err error) {
	began := time.Now()
	return func(err error) {
		attrs := []slog.Attr{slog.String("op", op)}
		if object != "" {
			attrs = append(attrs, slog.String("object", object))
		}
		attrs = append(attrs, slog.Duration("took", time.Since(began).Round(time.Millisecond)))
		if err != nil {
			attrs = append(attrs, slog.Any("err", err))
		}
		l.log.LogAttrs(ctx, slog.LevelDebug, "engine", attrs...)
	}
}

func (l *logged) Ping(ctx context.Context) (info EngineInfo, err error) {
	end := l.call(ctx, "ping", "")
	defer func() { end(err) }()
	return l.Driver.Ping(ctx)
}

func (l *logged) Networks(ctx context.Context) (list []Network, err error) {
	end := l.call(ctx, "list networks", "")
	defer func() { end(err) }()
	return l.Driver.Networks(ctx)
}

func (l *logged) Holdings(ctx context.Context) (list []Holding, err error) {
	end := l.call(ctx, "list clusters", "")
	defer func() { end(err) }()
	return l.Driver.Holdings(ctx)
}

func (l *logged) EnsurePayload(ctx context.Context, p Payload, progress func(done, total int64)) (err error) {
	end := l.call(ctx, "ensure payload", p.Hash)
	defer func() { end(err) }()
	return l.Driver.EnsurePayload(ctx, p, progress)
}

func (l *logged) EnsureNetwork(ctx context.Context, spec *cluster.Spec) (err error) {
	end := l.call(ctx, "ensure network", spec.Name)
	defer func() { end(err) }()
	return l.Driver.EnsureNetwork(ctx, spec)
}

func (l *logged) EnsureNode(ctx context.Context, n NodeSpec) (err error) {
	end := l.call(ctx, "ensure node", n.Node.Name)
	defer func() { end(err) }()
	return l.Driver.EnsureNode(ctx, n)
}

func (l *logged) List(ctx context.Context, id string) (list []Container, err error) {
	end := l.call(ctx, "list containers", id)
	defer func() { end(err) }()
	return l.Driver.List(ctx, id)
}

func (l *logged) StopNode(ctx context.Context, container string, grace time.Duration) (err error) {
	end := l.call(ctx, "stop node", container)
	defer func() { end(err) }()
	return l.Driver.StopNode(ctx, container, grace)
}

func (l *logged) FillNode(ctx context.Context, container string, open func() (io.ReadCloser, error)) (err error) {
	end := l.call(ctx, "fill node", container)
	defer func() { end(err) }()
	return l.Driver.FillNode(ctx, container, open)
}

func (l *logged) PauseNode(ctx context.Context, container string) (err error) {
	end := l.call(ctx, "pause node", container)
	defer func() { end(err) }()
	return l.Driver.PauseNode(ctx, container)
}

func (l *logged) UnpauseNode(ctx context.Context, container string) (err error) {
	end := l.call(ctx, "unpause node", container)
	defer func() { end(err) }()
	return l.Driver.UnpauseNode(ctx, container)
}

func (l *logged) RemoveNode(ctx context.Context, id, nodeName string) (err error) {
	end := l.call(ctx, "remove node", nodeName)
	defer func() { end(err) }()
	return l.Driver.RemoveNode(ctx, id, nodeName)
}

func (l *logged) RemoveCluster(ctx context.Context, id string) (err error) {
	end := l.call(ctx, "remove cluster", id)
	defer func() { end(err) }()
	return l.Driver.RemoveCluster(ctx, id)
}

func (l *logged) PrunePayloads(ctx context.Context, keep string) (err error) {
	end := l.call(ctx, "prune payloads but", keep)
	defer func() { end(err) }()
	return l.Driver.PrunePayloads(ctx, keep)
}

func (l *logged) DiskUse(ctx context.Context, keep string) (list []Use, err error) {
	end := l.call(ctx, "measure", "")
	defer func() { end(err) }()
	return l.Driver.DiskUse(ctx, keep)
}

func (l *logged) Exec(ctx context.Context, container string, e Exec) (code int, err error) {
	end := l.call(ctx, "exec", container)
	defer func() { end(err) }()
	return l.Driver.Exec(ctx, container, e)
}

func (l *logged) Logs(ctx context.Context, container string, tail int, follow bool, w io.Writer) (err error) {
	end := l.call(ctx, "logs", container)
	defer func() { end(err) }()
	return l.Driver.Logs(ctx, container, tail, follow, w)
}

func (l *logged) FindImages(ctx context.Context, refs []string) (found []Image, err error) {
	end := l.call(ctx, "find images", "")
	defer func() { end(err) }()
	return l.Driver.FindImages(ctx, refs)
}

func (l *logged) ImageNames(ctx context.Context) (names []string, err error) {
	end := l.call(ctx, "list images", "")
	defer func() { end(err) }()
	return l.Driver.ImageNames(ctx)
}

func (l *logged) SaveImages(ctx context.Context, refs []string) (r io.ReadCloser, err error) {
	end := l.call(ctx, "save images", "")
	defer func() { end(err) }()
	return l.Driver.SaveImages(ctx, refs)
}

func (l *logged) ReadLayers(ctx context.Context, container, id string, layers []string, w io.Writer) (err error) {
	end := l.call(ctx, "read layers", id)
	defer func() { end(err) }()
	return l.Driver.ReadLayers(ctx, container, id, layers, w)
}

func (l *logged) StageLayers(ctx context.Context, s cluster.LayerStaging) (err error) {
	end := l.call(ctx, "stage layers", s.Folder)
	defer func() { end(err) }()
	return l.Driver.StageLayers(ctx, s)
}
