package statedir

import "path/filepath"

// portRecord is the file of something that the cluster serves at a port of this machine.
type portRecord struct {
	// Port is where it was served last.
	Port int `json:"port"`
}

// port is the one in such a file, 0 without the file.
func (c Cluster) port(file string) int {
	var r portRecord
	if !c.loadJSON(file, &r) {
		return 0
	}
	return r.Port
}

// keepPort writes such a file, if it says something else.
func (c Cluster) keepPort(file string, port int) error {
	if c.port(file) == port {
		return nil
	}
	return c.saveJSON(file, portRecord{Port: port})
}

func (c Cluster) namesFile() string { return c.path("names.json") }

// NamesPort is the port of this machine at which the cluster's Services had names last, 0 if they never had.
func (c Cluster) NamesPort() int { return c.port(c.namesFile()) }

// KeepNamesPort records that port, so that the next daemon takes it again.
func (c Cluster) KeepNamesPort(port int) error { return c.keepPort(c.namesFile(), port) }

func (c Cluster) hostDNSFile() string { return c.path("host-dns.json") }

// hostDNSRecord is host-dns.json.
type hostDNSRecord struct {
	Port int  `json:"port"`
	Open bool `json:"open"`
}

// HostDNSPort is the port of this machine at which the cluster's names were answered last, 0 if they never were. open says that
// they are, if its daemon is alive.
func (c Cluster) HostDNSPort() (port int, open bool) {
	var r hostDNSRecord
	if !c.loadJSON(c.hostDNSFile(), &r) {
		return 0, false
	}
	return r.Port, r.Open && r.Port != 0
}

// KeepHostDNSPort records that port, with which the machine's resolver is configured, and whether names are answered now.
func (c Cluster) KeepHostDNSPort(port int, open bool) error {
	return c.saveJSON(c.hostDNSFile(), hostDNSRecord{port, open})
}

// Names are those of all clusters of the same user, as Dir.Clusters.
func (c Cluster) Names() ([]string, error) {
	return c.state().Clusters()
}

// Beside returns the folder of another cluster of the same user's.
func (c Cluster) Beside(name string) Cluster { return c.state().Cluster(name) }

// state is the state folder that the cluster's is in.
func (c Cluster) state() Dir { return Dir{Root: filepath.Dir(filepath.Dir(c.dir))} }

// LocalCA is the folder of the authority that all clusters share; see package localca.
func (d Dir) LocalCA() string { return filepath.Join(d.Root, "ca") }

// LocalCA is that of the state folder that the cluster's is in.
func (c Cluster) LocalCA() string { return c.state().LocalCA() }
