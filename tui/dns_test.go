package tui

import (
	"fmt"
	"os"
	"testing"
)

// look prints a screen when asked for (LOOK=1 go test -run Look -v).
func look(t *testing.T, r *rig) {
	t.Helper()
	if os.Getenv("LOOK") != "" {
		fmt.Println(r.screen())
	}
}

func TestLookDNS(t *testing.T) {
	for _, s := range [][2]int{{80, 24}, {120, 40}, {200, 60}, {40, 10}} {
		r := newRig(t, dnsShop(), s[0], s[1])
		r.keys("6")
		r.shows("redis.defualt")
		look(t, r)
		r.keys("j", "j")
		r.frame(s[0], s[1])
		look(t, r)
	}
	r := newRig(t, dnsShop(), 120, 24)
	r.keys("6")
	r.shows("redis.defualt")
	r.keys("f", "u")
	look(t, r)
	r.keys("u", "x")
	r.shows("not found")
	look(t, r)
	r.keys("?")
	look(t, r)
}

// dnsShop has a Service that was meant.
func dnsShop() *fakeSession {
	s := shop()
	s.services = append(s.services, ServiceLine{UID: "s4", Namespace: "default", Name: "redis", Kind: "ClusterIP", ClusterIP: "10.96.71.4", Ports: []string{"6379/TCP"}, Ready: 1, Total: 1, Created: fakeNow})
	return s
}
