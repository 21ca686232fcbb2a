package cli

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// printPlan is the answer of --dry-run: the cluster as it would be, and the changes that lead to it. Passwords are not
// shown.
func (a *app) printPlan(p plan.Plan) error {
	spec := *p.Wanted.Spec
	spec.Registries, spec.Proxy = plan.Redacted(spec.Registries), spec.Proxy.Redacted()
	if a.json() {
		return writeJSON(a.Stdout, struct {
			cluster.Spec
			Changes []plan.Description `json:"changes"`
		}{spec, p.Described()})
	}
	state := "exists and would be started or repaired"
	if p.Has(plan.KindCreate) {
		state = "would be created"
	}
	if err := table(a.Stdout, a.planRows(spec, state)); err != nil {
		return err
	}
	if len(spec.Nodes) > 0 {
		fmt.Fprintln(a.Stdout)
		if err := table(a.Stdout, nodeRows(spec.Nodes)); err != nil {
			return err
		}
	}
	switch {
	case p.Has(plan.KindCreate):
	case len(p.Changes) == 0:
		fmt.Fprintln(a.Stdout, "\nNothing to change: the cluster is already in this state, and running.")
	default:
		fmt.Fprintln(a.Stdout)
		if err := table(a.Stdout, changeRows(p)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(a.Stdout, "\nThis is a plan; nothing was changed.")
	return err
}

// planRows are the cluster as a whole.
func (a *app) planRows(spec cluster.Spec, state string) [][]string {
	rows := [][]string{
		{"cluster", spec.Name + " (" + state + ")"},
		{"Kubernetes", spec.KubernetesVersion},
		{"API server", fmt.Sprintf("https://127.0.0.1:%d", spec.APIPort)},
	}
	if len(spec.Components) > 0 {
		rows = append(rows, []string{"components", strings.Join(spec.Components, ", ")})
	}
	if c, err := a.catalog(); err == nil {
		wanted := c.Wanted(spec.Addons)
		maps.DeleteFunc(wanted, func(_ string, enabled bool) bool { return !enabled })
		rows = append(rows, []string{"addons", strings.Join(sortedKeys(wanted), ", ")})
	}
	for _, name := range sortedKeys(spec.AddonValues) {
		var values []string
		for _, setting := range sortedKeys(spec.AddonValues[name]) {
			values = append(values, setting+"="+spec.AddonValues[name][setting])
		}
		rows = append(rows, []string{"addon " + name, strings.Join(values, " ")})
	}
	if spec.Subnet.IsValid() {
		rows = append(rows, []string{"network", fmt.Sprintf("%s, gateway %s", spec.Subnet, spec.Gateway)},
			[]string{"pods", spec.PodRange().String()}, []string{"Services", spec.ServiceRange().String()})
	}
	for _, host := range sortedKeys(spec.Registries.Mirrors) {
		for _, m := range spec.Registries.Mirrors[host] {
			rows = append(rows, []string{"mirror", host + " from " + m.URL})
		}
	}
	if spec.Proxy != (cluster.Proxy{}) {
		rows = append(rows, []string{"proxy", "for pulls: " + spec.Proxy.String()})
	}
	return rows
}

func nodeRows(nodes []cluster.Node) [][]string {
	rows := [][]string{{"NODE", "ADDRESS", "PODS", "CPUS", "MEMORY"}}
	for _, n := range nodes {
		cpus, memory := "", ""
		if n.CPUs > 0 {
			cpus = strconv.FormatFloat(n.CPUs, 'g', -1, 64)
		}
		if n.MemoryBytes > 0 {
			memory = fmt.Sprintf("%d MB", n.MemoryBytes>>20)
		}
		rows = append(rows, []string{n.Name, n.IP.String(), n.PodCIDR.String(), cpus, memory})
	}
	return rows
}
