package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

func TestRangesThatTheMachineRoutes(t *testing.T) {
	spec := cluster.Spec{Name: "dev", Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	routed := []netip.Prefix{netip.MustParsePrefix("10.244.200.0/24"), netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("10.244.7.7/32")}
	list := Ranges(spec, routed)
	if len(list) != 1 || list[0].Kind != "RangeRouted" || list[0].Summary != "pods cannot reach what this machine reaches at 10.244.200.0/24 and 10.244.7.7/32" ||
		!strings.Contains(list[0].Cause, "pods have 10.244.0.0/16") {
		t.Fatalf("got %+v", list)
	}
	if hint := list[0].HintText(); !strings.Contains(hint, "bonsai delete -p dev") || !strings.Contains(hint, "bonsai start -p dev --pod-subnet 10.245.0.0/16") {
		t.Errorf("the advice is %s", hint)
	}
	// A company that has all of 10/8: both ranges, and the way out is elsewhere.
	list = Ranges(spec, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if len(list) != 2 || !strings.Contains(list[0].HintText(), "--pod-subnet 100.64.0.0/16") || !strings.Contains(list[1].HintText(), "--service-subnet 100.64.0.0/16") {
		t.Errorf("got %+v", list)
	}
	if list := Ranges(spec, nil); len(list) != 0 {
		t.Errorf("got %+v without routes", list)
	}
}
