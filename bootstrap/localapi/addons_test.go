package localapi

import (
	"context"
	"reflect"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func (b *backend) Addons(context.Context) ([]cluster.AddonStatus, error) {
	return []cluster.AddonStatus{
		{AddonDescription: cluster.AddonDescription{Name: "dns", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true}, Enabled: true,
			State: cluster.AddonDegraded, Reason: "2 of 3 nodes answer", Advice: []cluster.Advice{cluster.Advise("look")}, Since: time.Unix(1000, 0).UTC()},
		{AddonDescription: cluster.AddonDescription{Name: "other", Needs: []string{"dns"}}, State: cluster.AddonDisabled},
	}, b.failure()
}

func TestAddonsRoundTrip(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	got, err := c.Addons(t.Context())
	if want, _ := b.Addons(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	b.fail(fault.Newf(fault.ControlPlane, "etcd is away"))
	if _, err := c.Addons(t.Context()); fault.KindOf(err) != fault.ControlPlane {
		t.Errorf("got %v", err)
	}
}
