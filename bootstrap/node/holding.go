package node

import (
	"cmp"
	"slices"
	"strings"
)

// Holding is what an engine has of one cluster, by the names that the engine's own tools take.
type Holding struct {
	Cluster, ID                   string
	Containers, Volumes, Networks []string
}

// Inventory gathers objects into Holdings, for drivers. Begin with an empty one.
type Inventory map[string]*Holding

// Of returns the Holding of the cluster with this ID, to add to.
func (i Inventory) Of(id, clusterName string) *Holding {
	if i[id] == nil {
		i[id] = &Holding{Cluster: clusterName, ID: id}
	}
	return i[id]
}

// List returns the Holdings in order of name and ID.
func (i Inventory) List() []Holding {
	list := make([]Holding, 0, len(i))
	for _, h := range i {
		for _, names := range [][]string{h.Containers, h.Volumes, h.Networks} {
			slices.SortFunc(names, compareNames)
		}
		list = append(list, *h)
	}
	slices.SortFunc(list, func(a, b Holding) int {
		return cmp.Or(strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.ID, b.ID))
	})
	return list
}

// SortContainers brings containers into the order of Driver.List.
func SortContainers(list []Container) {
	slices.SortFunc(list, func(a, b Container) int {
		return cmp.Or(strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.ClusterID, b.ClusterID), compareNames(a.Node, b.Node))
	})
}

// compareNames puts shorter names first, so that node 10 comes after node 9.
func compareNames(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }
