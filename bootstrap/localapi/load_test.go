package localapi

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// loadBackend sends one Load, or an error before or after it.
type loadBackend struct{ failed, broken error }

var someLoad = cluster.Load{
	Time:  time.Unix(1000, 0).UTC(),
	Nodes: []cluster.NodeUsage{{Node: "dev-1", CPU: 0.5, Pods: []cluster.PodUsage{{UID: "a", Namespace: "shop", Name: "cart", Memory: 7}}}},
	ControlPlane: cluster.ControlPlaneLoad{
		Links: []cluster.Link{{From: "kubelet", To: "kube-apiserver", Rate: 3, P50: time.Millisecond, P99: -1}}, FsyncP99: -1,
	},
}

func (b *loadBackend) Load(ctx context.Context, send func(cluster.Load) error) error {
	if b.failed != nil {
		return b.failed
	}
	if err := send(someLoad); err != nil || b.broken != nil {
		return errors.Join(err, b.broken)
	}
	<-ctx.Done()
	return nil
}

func TestLoad(t *testing.T) {
	with := func(failed, broken error) (*Client, *Server) {
		b := newBackend()
		b.loadBackend = loadBackend{failed, broken}
		c, s, _ := serve(t, b)
		return c, s
	}
	nothing := func(cluster.Load) error { return nil }
	c, s := with(nil, nil)
	enough := errors.New("enough")
	if err := c.Load(t.Context(), func(l cluster.Load) error {
		if !reflect.DeepEqual(l, someLoad) {
			t.Errorf("got %+v", l)
		}
		return enough
	}); !errors.Is(err, enough) {
		t.Errorf("the reader's own error: %v", err)
	}
	if err := c.Load(t.Context(), func(cluster.Load) error { go func() { _ = s.Close() }(); return nil }); err != nil {
		t.Errorf("the daemon's orderly end: %v", err)
	}
	c, _ = with(fault.Newf(fault.NotRunning, "still starting").Advise("wait"), nil)
	if err := c.Load(t.Context(), nothing); fault.KindOf(err) != fault.NotRunning || fault.Problem(err).HintText() != "wait" {
		t.Errorf("an error at once: %v", err)
	}
	c, _ = with(nil, fault.Newf(fault.ControlPlane, "etcd is away"))
	if err := c.Load(t.Context(), nothing); fault.KindOf(err) != fault.ControlPlane {
		t.Errorf("an error in the middle: %v", err)
	}
}
