package cluster

import (
	"net/netip"
	"strings"
	"testing"
)

func TestValidateName(t *testing.T) {
	for name, want := range map[string]string{ // "": valid
		"bonsai": "", "a": "", "3d": "", "dev-2": "", strings.Repeat("a", MaxNameLength): "",
		"": "empty", "-a": "begin and end", "a-": "begin and end", "A": "lower-case", "a_b": "lower-case", "a.b": "lower-case",
		"a/b": "lower-case", "..": "lower-case", "ä": "lower-case", "a\x1b": "lower-case",
		strings.Repeat("a", MaxNameLength+1): "at most 30",
	} {
		err := ValidateName(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("ValidateName(%q) = %v, want %q", name, err, want)
		}
	}
}

func TestValidateNodes(t *testing.T) {
	for n, ok := range map[int]bool{-1: false, 0: true, 1: true, MaxNodes: true, MaxNodes + 1: false, 500: false} {
		if err := ValidateNodes(n); (err == nil) != ok {
			t.Errorf("ValidateNodes(%d) = %v", n, err)
		}
	}
}

func TestParseKubernetesVersion(t *testing.T) {
	for _, c := range []struct {
		wanted, minor string
		emulated      bool
	}{
		{"v1.37.2", "1.37", false}, {"1.37.2", "1.37", false}, {"1.37", "1.37", false}, {"v1.37", "1.37", false},
		{"stable", "1.37", false}, {"latest", "1.37", false}, {"", "1.37", false}, {"v1.37.x", "1.37", false},
		{"1.36", "1.36", true}, {"v1.36.x", "1.36", true}, {"v1.36.4", "1.36", true}, {"v1.34", "1.34", true},
		{"1.33", "", false}, {"1.38", "", false}, {"v1.37.1", "", false}, {"v1.37.3", "", false}, {"2.0", "", false},
		{"v1", "", false}, {"1.", "", false}, {"1.37.2.1", "", false}, {"1.-37", "", false}, {"1.37-beta", "", false},
		{"1.99999999999999999999", "", false}, {"newest", "", false}, {"v1.36.", "", false},
	} {
		minor, emulated, err := ParseKubernetesVersion(c.wanted, "v1.37.2")
		if minor != c.minor || emulated != c.emulated || (err == nil) != (c.minor != "") {
			t.Errorf("%q: got %q, %v, %v", c.wanted, minor, emulated, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "v1.37.2") || !strings.Contains(err.Error(), "1.34")) {
			t.Errorf("%q: the error does not list what is possible: %v", c.wanted, err)
		}
	}
	if _, _, err := ParseKubernetesVersion("1.37", "unknown"); err == nil {
		t.Error("a build without a Kubernetes version was accepted")
	}
}

func TestChooseSubnetTakesTheFirstThatOverlapsNothing(t *testing.T) {
	p := netip.MustParsePrefix
	for _, c := range []struct {
		taken []netip.Prefix
		want  string
	}{
		{nil, "10.201.0.0/22"},
		{[]netip.Prefix{p("172.17.0.0/16"), p("fd00::/64")}, "10.201.0.0/22"},
		{[]netip.Prefix{p("10.201.0.0/22"), p("10.201.5.0/24")}, "10.201.8.0/22"},
		{[]netip.Prefix{p("10.201.3.255/32")}, "10.201.4.0/22"},
		{[]netip.Prefix{p("10.201.0.0/17")}, "10.201.128.0/22"},
		{[]netip.Prefix{p("10.201.0.0/16")}, ""},
		{[]netip.Prefix{p("10.0.0.0/8")}, ""}, // a VPN that claims all of it
	} {
		got, err := ChooseSubnet(c.taken)
		if c.want == "" {
			if err == nil {
				t.Errorf("%v: got %s, want an error", c.taken, got)
			}
		} else if err != nil || got.String() != c.want {
			t.Errorf("%v: got %s, %v, want %s", c.taken, got, err, c.want)
		}
	}
}

func TestValidateSubnet(t *testing.T) {
	for text, want := range map[string]string{
		"10.201.0.0/22": "", "192.168.7.0/24": "", "172.20.0.0/16": "", "100.70.0.0/22": "",
		"10.201.1.0/22": "did you mean 10.201.0.0/22", "10.201.0.0/25": "prefix length", "10.0.0.0/7": "prefix length",
		"8.8.8.0/24": "not private", "fd00::/64": "IPv4", "10.244.4.0/24": "", "10.96.0.0/12": "",
	} {
		err := ValidateSubnet(netip.MustParsePrefix(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if ValidateSubnet(netip.Prefix{}) == nil {
		t.Error("the zero prefix was accepted")
	}
}

func planned(nodes int) *Spec {
	s := &Spec{
		Version: SpecVersion, Name: "dev", ID: "x", KubernetesVersion: "1.37", APIPort: 6443,
		Subnet: netip.MustParsePrefix("10.201.4.0/22"),
	}
	for i := range nodes {
		s.Nodes = append(s.Nodes, Node{Index: i + 1})
	}
	s.Replan()
	return s
}

func TestPlanOfNodes(t *testing.T) {
	s := planned(MaxNodes)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	first, last := s.Nodes[0], s.Nodes[MaxNodes-1]
	if first.Name != "dev-1" || first.IP.String() != "10.201.4.10" || first.PodCIDR.String() != "10.244.1.0/24" {
		t.Errorf("first node: %+v", first)
	}
	if last.Name != "dev-100" || last.IP.String() != "10.201.4.109" || last.PodCIDR.String() != "10.244.100.0/24" {
		t.Errorf("last node: %+v", last)
	}
	if s.Gateway.String() != "10.201.4.1" {
		t.Errorf("gateway %s", s.Gateway)
	}
	if s.APIServiceIP().String() != "10.96.0.1" || s.DNSServiceIP().String() != "10.96.0.10" {
		t.Errorf("Services: %s, %s", s.APIServiceIP(), s.DNSServiceIP())
	}
	s.PodSubnet, s.ServiceSubnet = netip.MustParsePrefix("172.24.0.0/17"), netip.MustParsePrefix("192.168.9.0/24")
	s.Replan()
	c := s.NodeConfigFor(s.Nodes[99], "", 1)
	if s.Nodes[99].PodCIDR.String() != "172.24.100.0/24" || c.PodCIDR != s.PodSubnet || c.ServiceCIDR != s.ServiceSubnet ||
		c.DNSServiceIP.String() != "192.168.9.10" || s.Validate() != nil {
		t.Errorf("in other ranges: %+v, %v", c, s.Validate())
	}
	s.Nodes[4].CPUs = 2
	s.Subnet = netip.MustParsePrefix("10.201.8.0/22")
	s.Replan()
	if n := s.Nodes[4]; n.IP.String() != "10.201.8.14" || n.CPUs != 2 || s.Validate() != nil {
		t.Errorf("after Replan: %+v, %v", n, s.Validate())
	}
}

func TestSpecValidateFindsEveryFault(t *testing.T) {
	if err := (&Spec{Version: 1, Name: "api", ID: "x", KubernetesVersion: "1.37", APIPort: 6443}).Validate(); err != nil {
		t.Errorf("a cluster without nodes needs no network: %v", err)
	}
	s := planned(3)
	s.Version, s.ID, s.APIPort, s.KubernetesVersion, s.Name = 9, "", 70000, "new", "De"
	s.Suffix = "../x"
	s.Nodes[1].IP = netip.MustParseAddr("10.9.9.9")
	s.Nodes[2].Index = 1
	err := s.Validate()
	for _, want := range []string{"version 9", "no id", `"../x"`, "70000", `"new"`, `"De"`, "10.9.9.9", "two nodes have index 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestParseRegistries(t *testing.T) {
	r, err := ParseRegistries([]string{
		"https://me:p%40ss@mirror.example:5000/", "http://plain.example", "ghcr.io=https://g.example/v2/proxy", "*=all.example",
	}, "cn", "PEM")
	if err != nil {
		t.Fatal(err)
	}
	hub := r.Mirrors["docker.io"]
	if len(hub) != 3 || hub[0] != (Mirror{URL: "https://mirror.example:5000", Username: "me", Password: "p@ss", CA: "PEM"}) ||
		hub[1] != (Mirror{URL: "http://plain.example"}) || hub[2].URL != "https://docker.m.daocloud.io" || hub[2].CA != "" {
		t.Errorf("docker.io: %+v", hub)
	}
	if g := r.Mirrors["ghcr.io"]; len(g) != 2 || g[0].URL != "https://g.example/v2/proxy" || g[1].URL != "https://ghcr.m.daocloud.io" {
		t.Errorf("ghcr.io: %+v", g)
	}
	if a := r.Mirrors["*"]; len(a) != 1 || a[0].URL != "https://all.example" {
		t.Errorf("*: %+v", a)
	}
	if none, err := ParseRegistries([]string{"ghcr.io="}, "", ""); err != nil || len(none.Mirrors) != 1 || len(none.Mirrors["ghcr.io"]) != 0 {
		t.Errorf("no mirror for a registry: %+v, %v; want its empty list", none, err)
	}
	if empty, err := ParseRegistries(nil, "", ""); err != nil || empty.Mirrors != nil {
		t.Errorf("nothing asked for: %+v, %v", empty, err)
	}
}

func TestParseRegistriesNeverRepeatsAPassword(t *testing.T) {
	for _, text := range []string{
		"", "ftp://u:geheim@x", "https://u:geheim@", "https://u:gehe#im@host", "https://u:geheim@h?q=1", "https://u:geheim%zz@h",
		"=https://u:geheim@h", "a b=https://u:geheim@h", "=", "https://u:gehe/im@host:99999999",
	} {
		_, err := ParseRegistries([]string{text}, "", "")
		if err == nil && !strings.HasPrefix(text, "https://u:gehe/im") {
			t.Errorf("%q was accepted", text)
		}
		if err != nil && strings.Contains(err.Error(), "gehe") {
			t.Errorf("%q: the password is in %v", text, err)
		}
	}
	if _, err := ParseRegistries(nil, "xx", ""); err == nil || !strings.Contains(err.Error(), "cn") {
		t.Errorf("unknown country: %v", err)
	}
}
