package statedir

import "bonsai/bootstrap/cluster"

func (c Cluster) pauseFile() string { return c.path("paused.json") }

// Paused returns how the cluster came to be paused, nil if it is not. A daemon that starts while it is runs no controllers.
func (c Cluster) Paused() *cluster.Pause {
	var p cluster.Pause
	if !c.loadJSON(c.pauseFile(), &p) {
		return nil
	}
	return &p
}

// SavePause records that the cluster is paused, before anything of it is.
func (c Cluster) SavePause(p cluster.Pause) error { return c.saveJSON(c.pauseFile(), p) }

// DropPause records that the cluster is not paused, when nothing of it is any more.
func (c Cluster) DropPause() error {
	return remove("record that cluster "+c.Name+" is not paused", c.dir, c.pauseFile())
}
