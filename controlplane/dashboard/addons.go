package dashboard

import (
	"cmp"
	"context"
	"slices"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
)

// addonPause is the shortest pause between two looks at addons, each of which checks the health of all.
const addonPause = time.Second

// addonsData is what the page addons shows.
type addonsData struct{ Addons []addonView }

// addonView is one addon with what to type about it.
type addonView struct {
	cluster.AddonStatus
	Todo []adviceView
	// Switch is the command that enables or disables it.
	Switch string
}

func (s *Server) loadAddons(ctx context.Context, q *request) (any, error) {
	all, err := s.o.Cluster.Addons(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b cluster.AddonStatus) int { return cmp.Compare(a.Name, b.Name) })
	var d addonsData
	for _, a := range all {
		verb := "enable"
		if a.Enabled {
			verb = "disable"
		}
		v := addonView{AddonStatus: a.For(q.cluster), Switch: cluster.Bonsai("addons", verb).On(a.Name).Of(q.cluster).String()}
		for _, advice := range v.Advice {
			v.Todo = append(v.Todo, adviceView{q.words.T(advice.Text), advice.Line()})
		}
		d.Addons = append(d.Addons, v)
	}
	return d, nil
}

// followAddons looks again when the snapshot changes, which has the addons that are enabled.
func (s *Server) followAddons(ctx context.Context, q *request, send func(any) error) error {
	return s.o.Cluster.Watch(ctx, func(cluster.Snapshot) error {
		d, err := s.loadAddons(ctx, q)
		if err != nil {
			return err
		}
		if err := send(d); err != nil {
			return err
		}
		return wait.Pause(ctx, addonPause)
	})
}
