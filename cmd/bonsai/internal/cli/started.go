package cli

import (
	"fmt"
	"time"

	"bonsai/bootstrap/cluster"
)

// reportStarted gives a program what it needs to use the cluster: with the last line, or, of a start that stays attached, at
// once.
func (a *app) reportStarted(s Session, p *progress, t *cluster.Timeline, foreground bool) {
	spec, err := a.spec(s)
	if err != nil {
		return // it was deleted at this moment
	}
	access := &cluster.Access{
		Name: spec.Name, Server: fmt.Sprintf("https://127.0.0.1:%d", spec.APIPort), Kubeconfig: s.State.Cluster(spec.Name).Kubeconfig(),
		Context: t.Context, KubernetesVersion: spec.KubernetesVersion, Nodes: []string{}, Off: spec.LeftOut(), Timeline: t,
	}
	for _, n := range spec.Nodes {
		access.Nodes = append(access.Nodes, n.Name)
	}
	if foreground {
		p.Event(cluster.Event{Kind: cluster.StepProgress, Step: "start", Time: time.Now(), Cluster: access})
		return
	}
	p.Result(access)
}
