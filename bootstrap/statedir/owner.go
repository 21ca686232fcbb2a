package statedir

func (c Cluster) apartFile() string { return c.path("kubeconfig.own") }

// Apart reports whether the user's kubeconfig does not lead to the cluster on purpose.
func (c Cluster) Apart() bool { return exists(c.apartFile()) }

// SaveApart records that it does not, or that it does.
func (c Cluster) SaveApart(apart bool) error {
	if apart {
		return WriteFile(c.apartFile(), nil)
	}
	return remove("record that the kubeconfig leads to cluster "+c.Name, c.dir, c.apartFile())
}

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
