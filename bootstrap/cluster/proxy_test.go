package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func env(list ...string) func(string) string {
	return func(name string) string {
		for _, e := range list {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestParseProxyReadsTheEnvironmentAsGoDoes(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want Proxy
		bad  string // what the error names
	}{
		{nil, Proxy{}, ""},
		{[]string{"NO_PROXY=.corp"}, Proxy{}, ""},
		{[]string{"HTTPS_PROXY=http://p:3128", "NO_PROXY=.corp"}, Proxy{HTTPS: "http://p:3128", Except: ".corp"}, ""},
		{[]string{"https_proxy=p:3128", "http_proxy=http://q", "no_proxy=a,b"}, Proxy{HTTP: "http://q", HTTPS: "http://p:3128", Except: "a,b"}, ""},
		{[]string{"HTTPS_PROXY=http://up:1", "https_proxy=http://low:2"}, Proxy{HTTPS: "http://up:1"}, ""},
		{[]string{"HTTPS_PROXY=socks5://127.0.0.1:1080"}, Proxy{HTTPS: "socks5://127.0.0.1:1080"}, ""},
		{[]string{"HTTPS_PROXY=http://me:se%zzcret@p:1", "HTTP_PROXY=http://p:2"}, Proxy{HTTP: "http://p:2"}, "HTTPS_PROXY"},
		{[]string{"https_proxy=ftp://me:secret@p:1"}, Proxy{}, "https_proxy"},
		{[]string{"HTTPS_PROXY=http://"}, Proxy{}, "HTTPS_PROXY"},
	} {
		got, err := ParseProxy(env(tt.env...))
		if got != tt.want || (err != nil) != (tt.bad != "") {
			t.Errorf("ParseProxy(%q) = %+v, %v; want %+v", tt.env, got, err, tt.want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), tt.bad) || strings.Contains(err.Error(), "cret")) {
			t.Errorf("ParseProxy(%q): %v; want a text that begins with %s and has no password", tt.env, err, tt.bad)
		}
	}
}

func TestProxyInNodes(t *testing.T) {
	s := &Spec{
		Name: "dev", Subnet: netip.MustParsePrefix("10.201.4.0/22"), Gateway: netip.MustParseAddr("10.201.4.1"),
		Nodes: []Node{{Name: "dev-1"}, {Name: "dev-2"}},
	}
	p := Proxy{HTTP: "http://me:secret@localhost", HTTPS: "http://127.0.0.1:3128", Except: "10.1.0.0/16, localhost,.corp"}
	got := p.InNodes(s)
	if got.HTTP != "http://me:secret@10.201.4.1:80" || got.HTTPS != "http://10.201.4.1:3128" {
		t.Errorf("proxies of the loopback interface are %s and %s in nodes, want them at the gateway", got.HTTP, got.HTTPS)
	}
	want := "localhost,127.0.0.0/8,::1,10.201.4.0/22,10.244.0.0/16,10.96.0.0/16,.svc,.cluster.local," +
		"host.bonsai.internal,host.docker.internal,dev-1,dev-2,10.1.0.0/16,.corp"
	if got.Except != want {
		t.Errorf("nodes reach directly\n%s, want\n%s", got.Except, want)
	}
	if other := (Proxy{HTTPS: "http://proxy.corp:3128"}).InNodes(s); other.HTTPS != "http://proxy.corp:3128" {
		t.Errorf("a proxy elsewhere became %s", other.HTTPS)
	}
	if none := (Proxy{}).InNodes(s); none != (Proxy{}) {
		t.Errorf("no proxy became %+v", none)
	}
	if local := fmt.Sprint(p.OnLoopback()); local != "[localhost:80 127.0.0.1:3128]" {
		t.Errorf("OnLoopback() = %s", local)
	}
}

func TestProxyHidesPasswords(t *testing.T) {
	p := Proxy{HTTP: "http://token@q:1", HTTPS: "http://me:secret@p:3128"}
	for _, text := range []string{p.String(), fmt.Sprint(p), fmt.Sprintf("%v", p), fmt.Sprintf("%+v", p.Redacted())} {
		if strings.Contains(text, "secret") || strings.Contains(text, "token") || !strings.Contains(text, "p:3128") {
			t.Errorf("shown as %q, want it with hosts and without names and passwords", text)
		}
	}
}
