package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// testAddons are like those of a real executable, and two more that nobody has unless he asks.
var testAddons = []cluster.AddonDescription{
	{Name: "dns", Version: "1.0", Maintainer: "bonsai", Description: "Names", Docs: "docs/addons.md", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true},
	{Name: "default-storageclass", Version: "1.0", Maintainer: "bonsai", Description: "A class", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true, Needs: []string{"storage-provisioner"}, Settings: []cluster.AddonSetting{
		{Name: "reclaimPolicy", Type: cluster.SettingChoice, Options: []string{"Delete", "Retain"}, Default: "Delete", Description: "What becomes of a volume", Cost: "Volumes that exist keep theirs"},
		{Name: "name", Type: cluster.SettingName, Default: "standard", Description: "Name of the class", Cost: "Volumes stay"},
	}},
	{Name: "storage-provisioner", Version: "1.0", Maintainer: "bonsai", Description: "Volumes", Delivery: cluster.DeliveryBuiltin, Offline: true, Default: true},
	{Name: "lamp", Version: "2.1", Maintainer: "somebody", Description: "Light", Delivery: cluster.DeliveryManifest, Needs: []string{"socket"}, Settings: []cluster.AddonSetting{
		{Name: "watts", Type: cluster.SettingInteger, Min: 1, Max: 100, Default: "40", Description: "How bright it is", Cost: "It flickers"},
		{Name: "switches", Type: cluster.SettingAddresses, Description: "What turns it on", Cost: "Nothing is interrupted"},
	}},
	{Name: "socket", Version: "2.0", Maintainer: "somebody", Description: "Power", Delivery: cluster.DeliveryPod, Offline: true},
}

// The cluster of a script runs if FAKE_ADDONS names a file. Each of its lines is what is observed of the addons at one
// moment, in JSON.

func (f *fakeEngine) moments() ([][]cluster.AddonStatus, error) {
	path := os.Getenv("FAKE_ADDONS")
	if path == "" {
		return nil, fault.Newf(fault.NotRunning, "the cluster is not running").Advise("", cluster.Bonsai("start"))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var moments [][]cluster.AddonStatus
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var list []cluster.AddonStatus
		if err := json.Unmarshal(lines.Bytes(), &list); err != nil {
			return nil, err
		}
		moments = append(moments, list)
	}
	return moments, nil
}

func (f *fakeEngine) Addons(context.Context, string) ([]cluster.AddonStatus, error) {
	moments, err := f.moments()
	if err != nil {
		return nil, err
	}
	list := moments[0]
	for i, s := range list {
		for _, d := range testAddons {
			if d.Name == s.Name {
				list[i].AddonDescription = d
			}
		}
	}
	return list, nil
}

func (f *fakeEngine) WatchAddons(ctx context.Context, _ string, tell func([]cluster.AddonStatus) error) error {
	moments, err := f.moments()
	if err != nil {
		return err
	}
	for _, list := range moments {
		if err := tell(list); err != nil {
			return err
		}
	}
	if f.mood == "hang" {
		if err := os.WriteFile("hanging", nil, 0o600); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return fault.Newf(fault.NotRunning, "the cluster was stopped in the meantime")
}

func (f *fakeEngine) SetAddons(_ context.Context, name string, change func(bootstrap.AddonChoice) error) (bool, error) {
	state := f.dir.Cluster(name)
	spec, err := state.LoadSpec()
	if err != nil {
		return false, err
	}
	if spec.Addons == nil {
		spec.Addons = map[string]bool{}
	}
	if spec.AddonValues == nil {
		spec.AddonValues = map[string]map[string]string{}
	}
	if err := change(bootstrap.AddonChoice{Enabled: spec.Addons, Values: spec.AddonValues}); err != nil {
		return false, err
	}
	maps.DeleteFunc(spec.AddonValues, func(_ string, values map[string]string) bool { return len(values) == 0 })
	return os.Getenv("FAKE_ADDONS") != "", state.SaveSpec(spec)
}

// playedEngine reports moments with pauses between them.
type playedEngine struct {
	AddonEngine
	moments []cluster.AddonStatus
	pause   time.Duration
}

func (e *playedEngine) WatchAddons(ctx context.Context, _ string, f func([]cluster.AddonStatus) error) error {
	for _, s := range e.moments {
		if err := f([]cluster.AddonStatus{s}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(e.pause):
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestWaitingForAnAddon(t *testing.T) {
	is := func(state cluster.AddonState, reason string) cluster.AddonStatus {
		return cluster.AddonStatus{AddonDescription: cluster.AddonDescription{Name: "lamp"}, State: state, Reason: reason, Advice: []cluster.Advice{{Text: "turn it on"}}}
	}
	for what, c := range map[string]struct {
		moments []cluster.AddonStatus
		pause   time.Duration
		off     bool
		took    time.Duration
		err     string
	}{
		"running at once":          {moments: []cluster.AddonStatus{is("running", "")}},
		"running after a while":    {moments: []cluster.AddonStatus{is("installing", "a"), is("degraded", "b"), is("running", "")}, pause: time.Second, took: 2 * time.Second},
		"failed for a moment":      {moments: []cluster.AddonStatus{is("failed", "a"), is("failed", "a"), is("running", "")}, pause: time.Second, took: 2 * time.Second},
		"failed for good":          {moments: []cluster.AddonStatus{is("failed", "no"), is("failed", "no"), is("failed", "no")}, pause: 3 * time.Second, took: 6 * time.Second, err: "enable addon lamp: failed: no"},
		"failed twice for moments": {moments: []cluster.AddonStatus{is("failed", "a"), is("installing", "a"), is("failed", "a"), is("running", "")}, pause: 4 * time.Second, took: 12 * time.Second},
		"blocked":                  {moments: []cluster.AddonStatus{is("blocked", "it needs socket")}, err: "enable addon lamp: blocked: it needs socket"},
		"never running":            {moments: []cluster.AddonStatus{is("installing", "pods are coming")}, took: time.Minute, err: "enable addon lamp: after 1m0s it is still installing: pods are coming"},
		"disabled by others":       {moments: []cluster.AddonStatus{is("installing", ""), is("disabled", "")}, pause: time.Second, took: time.Second, err: "enable addon lamp: it was disabled in the meantime"},
		"gone":                     {moments: []cluster.AddonStatus{is("removing", "a"), {}}, pause: time.Second, off: true, took: time.Second},
		"never gone":               {moments: []cluster.AddonStatus{is("removing", "a finalizer")}, off: true, took: time.Minute, err: "disable addon lamp: after 1m0s it is still removing: a finalizer"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &app{profile: "dev"}
				p := &progress{form: jsonForm, w: &strings.Builder{}, stop: make(chan struct{})}
				began := time.Now()
				err := a.awaitAddons(t.Context(), &playedEngine{moments: c.moments, pause: c.pause}, p, []string{"lamp"}, !c.off)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				switch {
				case c.err == "" && err != nil, c.err != "" && (err == nil || err.Error() != c.err):
					t.Errorf("got %v, want %q", err, c.err)
				case err != nil && (fault.KindOf(err) != fault.Addon || fault.Problem(err).HintText() == ""):
					t.Errorf("%v is %s with hint %q", err, fault.KindOf(err), fault.Problem(err).HintText())
				}
			})
		})
	}
}
