package tui

import (
	"fmt"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/paint"
)

// newPodsPage is the list of pods, with what they use now.
func newPodsPage(u *ui) *listPage {
	p := newListPage(u, u.state.Pods)
	usage := func(it *grid.Item) (cpu float64, memory uint64, ok bool) {
		use, ok := u.state.History.Pods[it.ID]
		return use.CPU, use.Memory, ok
	}
	p.extra = []grid.Column{
		{Title: "CPU", Kind: grid.Number, Min: 5, Max: 5, Drop: 9, Live: func(it *grid.Item) (string, float64) {
			cpu, _, ok := usage(it)
			if !ok {
				return u.theme.Glyphs.Off, -1
			}
			return cores(cpu), cpu
		}},
		{Title: "Mem", Kind: grid.Number, Min: 5, Max: 5, Drop: 9, Live: func(it *grid.Item) (string, float64) {
			_, memory, ok := usage(it)
			if !ok {
				return u.theme.Glyphs.Off, -1
			}
			return size(memory), float64(memory)
		}},
	}
	p.explain = func(r *kube.Row, _ int) []string {
		for _, problem := range u.state.Snapshot.Problems {
			pod := r.Namespace + "/" + r.Name
			if problem.Object == "pod/"+pod || slices.Contains(problem.Pods, pod) {
				return []string{u.theme.Glyphs.Warn + " " + paint.Clean(u.whatAndWhy(&problem))}
			}
		}
		text := r.Owner.String()
		if use, ok := u.state.History.Pods[r.UID]; ok {
			text = fmt.Sprintf("cpu %s  mem %s  %s", cores(use.CPU), size(use.Memory), text)
		}
		return []string{text}
	}
	return p
}
