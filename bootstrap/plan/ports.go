package plan

import (
	"errors"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// Port is a change of what listens at one address of this machine and leads into the cluster.
type Port struct {
	// Listen names it ("127.0.0.1:8080"); From and To are where it led and leads, empty for nowhere.
	Listen string `json:"listen"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

func (c Port) Kind() Kind     { return KindPort }
func (c Port) Object() string { return "port/" + c.Listen }
func (c Port) Needs() Need    { return Need{Effect: Live} }
func (c Port) String() string {
	if c.To == "" {
		return "stop forwarding " + c.Listen
	}
	return "forward " + c.Listen + " to " + c.To
}

func diffPorts(have, want []cluster.Port) (changes []Change) {
	find := func(in []cluster.Port, p cluster.Port) (to string) {
		if i := slices.IndexFunc(in, func(o cluster.Port) bool { return o.Listen() == p.Listen() }); i >= 0 {
			to = in[i].To()
		}
		return to
	}
	for _, p := range have {
		if find(want, p) == "" {
			changes = append(changes, Port{Listen: p.Listen(), From: p.To()})
		}
	}
	for _, p := range want {
		if from := find(have, p); from != p.To() {
			changes = append(changes, Port{Listen: p.Listen(), From: from, To: p.To()})
		}
	}
	return changes
}

// withPorts returns the ports of spec with those that were wished, or only these. The nodes have been planned.
func withPorts(spec cluster.Spec, w Wish) ([]cluster.Port, error) {
	ports := slices.DeleteFunc(slices.Clone(spec.Ports), func(p cluster.Port) bool {
		_, exists := spec.NodeByName(p.Node)
		return w.Exact && (w.Ports != nil || p.Node != "" && !exists)
	})
	var errs []error
	for _, p := range w.Ports {
		p, err := spec.ResolvePort(p)
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err))
			continue
		}
		ports = cluster.PortWith(ports, p)
	}
	return ports, errors.Join(errs...)
}
