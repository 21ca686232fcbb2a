package statedir

func (c Cluster) ownerFile() string { return c.path("owner.json") }

// Owner returns the process that the cluster is for, nil if it is for nobody in particular. The cluster is deleted when that
// process has ended.
func (c Cluster) Owner() *Process {
	var p Process
	if !c.loadJSON(c.ownerFile(), &p) {
		return nil
	}
	return &p
}

// SaveOwner records which process the cluster is for.
func (c Cluster) SaveOwner(p Process) error { return c.saveJSON(c.ownerFile(), p) }

// DropOwner records that the cluster stays whatever ends.
func (c Cluster) DropOwner() error {
	return remove("record that cluster "+c.Name+" is for no process", c.dir, c.ownerFile())
}
