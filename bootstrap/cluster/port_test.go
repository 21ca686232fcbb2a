package cluster

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]string{
		"8080:80":                    "127.0.0.1:8080:80",
		"8080:80/tcp":                "127.0.0.1:8080:80",
		"53:30053/udp":               "127.0.0.1:53:30053/udp",
		"0.0.0.0:8080:30080@dev-2":   "0.0.0.0:8080:30080@dev-2",
		"[::1]:8080:80@2/udp":        "[::1]:8080:80@2/udp",
		"8080:default/web:80":        "127.0.0.1:8080:default/web:80",
		"10.0.0.7:443:kube-x/dns:53": "10.0.0.7:443:kube-x/dns:53",
	} {
		p, err := ParsePort(text)
		if err != nil || p.String() != want {
			t.Errorf("%s: got %s, %v; want %s", text, p, err, want)
			continue
		}
		again, err := ParsePort(p.String())
		if err != nil || again != p {
			t.Errorf("%s is read as %s, %v", p, again, err)
		}
	}
	for text, why := range map[string]string{
		"":                      "not a number from 1 to 65535",
		"8080":                  "no target",
		"8080:":                 "no target",
		"0:80":                  `"0" is not a number`,
		"8080:70000":            `"70000" is not a number`,
		"+8080:80":              `"+8080" is not a number`,
		"8080:80/sctp":          "NAMESPACE/NAME:PORT",
		"8080:80@":              "node after @ is missing",
		"300.0.0.1:80:80":       "is not an address",
		"[::1:80:80":            "is not closed",
		"8080:default/web":      "NAMESPACE/NAME:PORT",
		"8080:default/web:http": `"http" is not a number`,
		"8080:a/b:80@dev-1":     "no node",
		"8080:a/b:80/udp":       "TCP only",
		"8080:../x:80":          "NAMESPACE/NAME:PORT",
	} {
		if p, err := ParsePort(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: got %s, %v; want %q", text, p, err, why)
		}
	}
}

func TestParseListen(t *testing.T) {
	for text, want := range map[string]string{"8080": "127.0.0.1:8080", "0.0.0.0:53/udp": "0.0.0.0:53/udp", "[::]:80": "[::]:80"} {
		if p, err := ParseListen(text); err != nil || p.Listen() != want {
			t.Errorf("%s: got %s, %v; want %s", text, p.Listen(), err, want)
		}
	}
	for _, text := range []string{"", "8080:80", "x", "127.0.0.1"} {
		if p, err := ParseListen(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, p.Listen())
		}
	}
}

func TestResolvePort(t *testing.T) {
	s := Spec{Name: "dev", APIPort: 6443, Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	s.Nodes = []Node{s.PlanNode(1), s.PlanNode(3)}
	for text, want := range map[string]string{"80:80@3": "80@dev-3", "80:80@dev-1": "80@dev-1", "80:80": "80"} {
		p, err := ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = s.ResolvePort(p); err != nil || p.To() != want {
			t.Errorf("%s: got %s, %v; want %s", text, p.To(), err, want)
		}
	}
	for text, why := range map[string]string{"80:80@2": "the nodes are dev-1, dev-3", "6443:80": "API server", "0.0.0.0:6443:80": "API server"} {
		p, err := ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.ResolvePort(p); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want %q", text, err, why)
		}
	}
}

func TestPortWithReplacesWhatListensThere(t *testing.T) {
	var ports []Port
	for _, text := range []string{"80:1", "80:2/udp", "81:3", "80:4"} {
		p, err := ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		ports = PortWith(ports, p)
	}
	var got []string
	for _, p := range ports {
		got = append(got, p.String())
	}
	if text := strings.Join(got, " "); text != "127.0.0.1:80:4 127.0.0.1:80:2/udp 127.0.0.1:81:3" {
		t.Errorf("got %s", text)
	}
}
