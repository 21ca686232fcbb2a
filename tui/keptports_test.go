package tui

import (
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestKeptPortsAreListedAndClosed(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 120, 30)
	r.keys("9")
	r.shows("PORTS OF THIS MACHINE 2", "127.0.0.1:8081", "service shop/web:80", "open whenever the cluster runs", "0.0.0.0:5353/udp", "closed: address already in use", "9 Ports⚠")
	r.keys("k", "g")
	// By their port: the closed one is first.
	r.keys("C")
	r.shows("copied: 0.0.0.0:5353/udp")
	r.keys("j", "C")
	r.shows("copied: http://127.0.0.1:8081")
	r.keys("delete")
	r.shows("close 127.0.0.1:8081?", "service shop/web:80; 2 connections")
	r.keys("enter")
	if len(s.operated) > 0 {
		t.Fatal(s.operated)
	}
	r.keys("delete", "left", "enter")
	r.operated("port remove 127.0.0.1:8081")
	s.update(func() { s.ports = s.ports[1:] })
	c.end <- nil
	r.shows("THIS MACHINE 1")
}

// TestKeptPortsAreOpened begins with the Service under the cursor, and explains bad values at their fields.
func TestKeptPortsAreOpened(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 120, 30)
	r.keys("9")
	r.shows("web.shop.svc", "PORTS OF THIS MACHINE")
	r.keys("G", "+")
	r.shows("open a port of this machine", "8080", "shop/web:80", "tcp", "any that answers", "only this machine")
	r.keys("ctrl+u", `"8081"`, "enter")
	r.shows("it is open already, to shop/web:80")
	r.keys("ctrl+u", `"99999"`, "enter")
	r.shows("not a number from 1 to 65535")
	r.keys("ctrl+u", `"8085"`, "tab", "tab", "right", "enter")
	r.shows("a Service can be reached by TCP only")
	r.keys("ctrl+u", `"web"`, "enter")
	r.shows("neither a port of the nodes")
	r.keys("ctrl+u", `"30080"`, "tab", "tab", "right", "right", "tab", "right", "enter")
	r.operated("port add 0.0.0.0:8085:30080@dev-2/udp")
	c.end <- fault.Newf(fault.Conflict, "port 8085 is taken").Advise("choose another port")
	r.shows("failed: open 0.0.0.0:8085/udp", "port 8085 is taken")
}

func TestKeptPortsOfAStoppedClusterDoNotWarn(t *testing.T) {
	s := stopped()
	s.ports = []cluster.PortStatus{{Port: shop().ports[0].Port, Reason: "the cluster is not running"}}
	r := newRig(t, s, 120, 30)
	r.keys("9")
	r.shows("127.0.0.1:8081", "open when the cluster runs")
	if strings.Contains(r.screen(), "⚠") {
		t.Errorf("it warns:\n%s", r.screen())
	}
}
