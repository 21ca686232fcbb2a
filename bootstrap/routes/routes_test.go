package routes

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}

func TestBeside(t *testing.T) {
	nodes := netip.MustParsePrefix("10.201.0.0/22")
	all := []Route{
		{To: netip.MustParsePrefix("10.244.200.0/24")},
		{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.168.1.1")},
		{To: netip.MustParsePrefix("10.244.0.0/16"), Via: netip.MustParseAddr("10.201.0.10")}, // a user's, to the pods
		{To: netip.MustParsePrefix("192.168.1.0/24")},
		{To: netip.MustParsePrefix("10.96.77.10/32")},
	}
	got := Beside(all, nodes, prefixes("10.244.0.0/16", "10.96.0.0/16")...)
	if want := prefixes("10.244.200.0/24", "10.0.0.0/8", "10.96.77.10/32"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Beside(all, netip.Prefix{}, prefixes("172.24.0.0/16")...); len(got) != 0 {
		t.Errorf("%v is beside 172.24.0.0/16", got)
	}
}

func TestThrough(t *testing.T) {
	nodes := netip.MustParsePrefix("10.201.0.0/22")
	all := []Route{
		{To: netip.MustParsePrefix("10.96.0.0/16"), Via: netip.MustParseAddr("10.201.0.10")},
		{To: netip.MustParsePrefix("10.244.1.0/24"), Via: netip.MustParseAddr("10.201.0.10")},
		{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.168.1.1")}, // a company's
	}
	for to, want := range map[string]bool{"10.96.0.0/16": true, "10.96.7.0/24": true, "10.244.0.0/16": false, "10.97.0.0/16": false} {
		if got := Through(all, nodes, netip.MustParsePrefix(to)); got != want {
			t.Errorf("%s: %v", to, got)
		}
	}
	if Through(all, netip.Prefix{}, netip.MustParsePrefix("10.96.0.0/16")) {
		t.Error("a cluster without nodes is reached")
	}
}

func TestWhatSaysNothing(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0/0": false, "0.0.0.0/1": false, "128.0.0.0/1": false, "127.0.0.0/8": false, "169.254.0.0/16": false, "224.0.0.0/8": false,
		"10.0.0.0/8": true, "192.168.7.0/24": true, "10.96.77.10/32": true,
	} {
		if got := locates(Route{To: netip.MustParsePrefix(text)}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestRead: each network of this machine's interfaces that are up is routed.
func TestRead(t *testing.T) {
	all, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || !locates(Route{To: p.Masked()}) {
				continue
			}
			own := netip.PrefixFrom(p.Addr(), 32)
			if !slices.ContainsFunc(all, func(r Route) bool { return r.To == own }) {
				t.Errorf("the own address %s of %s is not in %v", own, i.Name, all)
			}
		}
	}
}
