package plan

import (
	"net/netip"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestAClusterLikeAnother(t *testing.T) {
	env := Environment{ID: "aaaabbbbcccc", Kubernetes: "v1.37.2", FreePort: 7000, Reserved: []int{6443}}
	port, err := cluster.ParsePort("8080:80")
	if err != nil {
		t.Fatal(err)
	}
	other, err := Resolve(Wish{Name: "dev", Nodes: new(3), APIPort: 6444, KubernetesVersion: "1.36", Addons: map[string]bool{"x": true},
		PodSubnet: netip.MustParsePrefix("10.128.0.0/16"), Ports: []cluster.Port{port}}, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	other.Nodes = append(other.Nodes[:1], other.Nodes[2])
	other.Nodes[1].Stopped, other.Nodes[1].Labels = true, map[string]string{"disk": "ssd"}
	env.ID, env.Taken = "ddddeeeeffff", []netip.Prefix{other.Subnet}
	w := Wish{Name: "ci", Like: &other}
	if w.NodeCount(cluster.DefaultNodes) != 2 {
		t.Errorf("it has %d nodes", w.NodeCount(cluster.DefaultNodes))
	}
	got, err := Resolve(w, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "ci" || got.ID != env.ID || got.Suffix != "dddd" || got.APIPort != 7000 || got.Subnet == other.Subnet || len(got.Ports) > 0 {
		t.Errorf("its identity is %+v", got)
	}
	if got.KubernetesVersion != "1.36" || !got.Addons["x"] || got.PodSubnet != other.PodSubnet || got.ServiceSubnet != other.ServiceSubnet {
		t.Errorf("its settings are %+v", got)
	}
	if n := got.Nodes[1]; len(got.Nodes) != 2 || n.Name != "ci-3" || n.Stopped || n.Labels["disk"] != "ssd" || !got.Subnet.Contains(n.IP) || n.PodCIDR != other.Nodes[1].PodCIDR {
		t.Errorf("its nodes are %+v", got.Nodes)
	}
	if other.Name != "dev" || other.Nodes[0].Name != "dev-1" {
		t.Errorf("the other one has changed: %+v", other)
	}
	other.KubernetesVersion = "1.20"
	if _, err := Resolve(w, nil, env); fault.KindOf(err) != fault.Version {
		t.Errorf("of a version that is not possible: %v", err)
	}
}
