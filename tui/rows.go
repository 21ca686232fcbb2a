package tui

import (
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/paint"
)

// gridColumns are the columns of a table as the grid wants them; with the namespace before them where all are shown.
func gridColumns(columns []kube.Column, namespace bool) []grid.Column {
	var list []grid.Column
	if namespace {
		list = append(list, grid.Column{Title: "Namespace", Drop: 3, Min: 7, Max: 24})
	}
	for i, c := range columns {
		g := grid.Column{Title: c.Name, Wide: c.Wide, Max: 48, Drop: 4 + i}
		switch {
		case strings.EqualFold(c.Name, "name"):
			g.Drop, g.Min, g.Max = 0, 14, 0
		case strings.EqualFold(c.Name, "status"), strings.EqualFold(c.Name, "ready"):
			g.Drop = 1
			g.Min = 5
		case strings.EqualFold(c.Name, "age") || c.Time:
			g.Kind, g.Drop = grid.Age, 2
		case c.Numeric:
			g.Kind = grid.Number
		}
		list = append(list, g)
	}
	return list
}

// gridItem is a row as an item of the grid.
func gridItem(columns []kube.Column, r kube.Row, namespace bool) grid.Item {
	it := grid.Item{
		ID: r.UID, Key: r.Namespace + "/" + r.Name, Cells: r.Cells, Time: r.Created, Labels: r.Labels, State: rowState(columns, &r), Data: r,
	}
	role := it.State.Role()
	roles := make([]paint.Role, 0, len(r.Cells)+1)
	if namespace {
		it.Cells = append([]string{r.Namespace}, r.Cells...)
		roles = append(roles, paint.Dim)
	}
	for _, c := range columns {
		switch strings.ToLower(c.Name) {
		case "status", "phase", "state":
			roles = append(roles, role)
		default:
			roles = append(roles, paint.Plain)
		}
	}
	it.Roles = roles
	return it
}
