package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// withAddons is the shop with addons in every state.
func withAddons() *fakeSession {
	s := shop()
	add := func(name string, state cluster.AddonState, reason, hint string, needs ...string) {
		a := cluster.AddonStatus{
			AddonDescription: cluster.AddonDescription{Name: name, Version: "1.2", Description: "gives " + name + "\x1b[2J", Delivery: cluster.DeliveryPod, Needs: needs, Maintainer: "somebody", Docs: "docs/" + name + ".md"},
			State:            state, Reason: reason, Since: fakeNow.Add(-90e9),
		}
		if hint != "" {
			a.Advice = []cluster.Advice{cluster.Advise(hint)}
		}
		if state == cluster.AddonDisabled {
			s.disabled = append(s.disabled, a)
			return
		}
		a.Enabled = state != cluster.AddonRemoving
		s.snapshot.Addons = append(s.snapshot.Addons, a)
	}
	add("default-storageclass", cluster.AddonRunning, "", "", "storage-provisioner")
	add("ingress", cluster.AddonInstalling, "pulling 61%", "")
	add("registry", cluster.AddonFailed, "port 5000 is taken by process 812", "bonsai addons enable registry --port 5001")
	add("volumesnapshots", cluster.AddonBlocked, "needs Kubernetes 1.36", "")
	add("dashboard", cluster.AddonDisabled, "", "")
	return s
}

func elsewhereAddons(o *Options) {
	o.Elsewhere = []ElsewhereAddon{{"istio", "coming", "a service mesh"}, {"coredns", "replaced", "by dns: bonsai has a DNS server of its own"}}
}

func TestAddonsScreen(t *testing.T) {
	s := withAddons()
	r := newRig(t, s, 140, 24, elsewhereAddons)
	r.keys("7")
	r.shows("✓ dns ", "⚠ storage-provisioner", "2 of 3 nodes answer", "⠹ ingress", "installing", "pulling 61%", "✗ registry", "port 5000 is taken", "→ bonsai addons enable", "✗ volumesnapshots",
		"blocked", "– dashboard", "disabled", "istio", "coming", "replaced")
	// What is observed changes at once.
	s.update(func() {
		s.snapshot.Addons[3].State, s.snapshot.Addons[3].Reason = cluster.AddonRunning, ""
	})
	r.shows("✓ ingress")
	r.keys("/", `"coming"`, "enter")
	r.until("one row", func(s string) bool { return strings.Contains(s, "istio") && !strings.Contains(s, "dashboard") })
	r.keys(" ")
	r.shows("istio is not in this version: a service mesh")
	r.keys("esc", "/", `"regis"`, "enter", "enter")
	r.shows("needs the network", "docs/registry.md", "port 5000")
	r.keys("esc")
	r.keys("f")
	r.shows("copied: bonsai addons enable registry")
}

// TestAddonIsSwitchedOn does so without a question and shows how it goes.
func TestAddonIsSwitchedOn(t *testing.T) {
	s := withAddons()
	c := scripted(s)
	r := newRig(t, s, 100, 24)
	r.keys("7")
	r.shows("– dashboard")
	r.keys("/", `"dashb"`, "enter")
	r.shows("enables it; its images are pulled")
	r.keys(" ")
	r.shows("enabling")
	r.operated("addons enable dashboard")
	r.keys(" ")
	r.shows("it is being enabled or disabled")
	s.update(func() {
		on := s.disabled[0]
		s.disabled = nil
		on.Enabled, on.State, on.Reason = true, cluster.AddonInstalling, "waits for its pod"
		s.snapshot.Addons = append(s.snapshot.Addons, on)
	})
	r.shows("waits for its pod")
	s.update(func() {
		s.snapshot.Addons[len(s.snapshot.Addons)-1].State, s.snapshot.Addons[len(s.snapshot.Addons)-1].Reason = cluster.AddonRunning, ""
	})
	c.end <- nil
	r.shows("✓ dashboard", "✓ enable dashboard")
}

// TestAddonIsSwitchedOff asks, because something goes, and names what goes with it.
func TestAddonIsSwitchedOff(t *testing.T) {
	s := withAddons()
	r := newRig(t, s, 100, 24)
	r.keys("7")
	r.shows("storage-provisioner")
	s.update(func() { s.snapshot.Addons[1].State, s.snapshot.Addons[1].Reason = cluster.AddonRunning, "" })
	r.keys("/", `"storage-prov"`, "enter")
	r.shows("disables it, and default-storageclass with it")
	r.keys(" ")
	r.shows("disable storage-provisioner?", "claims, volumes and their data", "this also disables default-storageclass")
	r.keys("enter") // Cancel
	r.keys(" ", "right", "enter")
	r.operated("addons disable storage-provisioner --cascade")
	if len(s.operated) != 1 {
		t.Errorf("it ran %q", s.operated)
	}
}

// TestAddonsAreConfigured: a form has the settings with their values, and only what is changed in it is changed.
func TestAddonsAreConfigured(t *testing.T) {
	s := withAddons()
	c := scripted(s)
	s.snapshot.Addons[0].Settings = []cluster.AddonSetting{
		{Name: "upstreams", Type: cluster.SettingAddresses, Description: "Who is asked", Cost: "Nothing is interrupted"},
		{Name: "cacheSeconds", Type: cluster.SettingInteger, Min: 1, Max: 60, Default: "30", Description: "How long", Cost: "Nothing is interrupted"},
		{Name: "policy", Type: cluster.SettingChoice, Options: []string{"Delete", "Retain"}, Default: "Delete", Description: "What becomes of it", Cost: "Nothing is interrupted"},
	}
	s.snapshot.Addons[0].Values = map[string]string{"cacheSeconds": "10"}
	r := newRig(t, s, 100, 30)
	r.keys("7")
	r.shows("✓ dns")
	r.keys("/", `"dns"`, "enter", "enter")
	r.shows("settings", "cacheSeconds: 10", "policy: Delete", "upstreams: –")
	r.keys("esc", "m")
	r.shows("settings of dns", "upstreams", "cacheSeconds", "10", "policy", "Delete", "Who is asked", "Nothing is interrupted")
	r.keys("enter")
	r.shows("nothing was changed")
	r.keys("m", `"dns.test"`, "tab", "ctrl+u", `"100"`, "enter")
	r.shows("is not an IP address")
	if len(s.operated) > 0 {
		t.Fatalf("it ran %q", s.operated)
	}
	r.keys("ctrl+u", `"10.0.0.53"`, "tab")
	r.shows("100 is not possible: from 1 to 60")
	r.keys("ctrl+u", "tab", "right", "enter")
	r.operated("addons configure dns upstreams=10.0.0.53 cacheSeconds= policy=Retain")
	r.shows("changing")
	c.end <- nil
	r.shows("✓ configure dns")
	r.keys("esc", "/", `"ingress"`, "enter", "m")
	r.shows("it has no settings")
}

func TestAddonFails(t *testing.T) {
	s := withAddons()
	s.operation = func(context.Context, []string, func(cluster.Event)) error {
		return fault.New(fault.Addon, "enable addon dashboard", errors.New("its image cannot be pulled")).Advise("", cluster.Bonsai("addons", "status").On("dashboard"))
	}
	r := newRig(t, s, 140, 24)
	r.keys("7")
	r.shows("– dashboard")
	r.keys("/", `"dashb"`, "enter", " ")
	r.shows("enable addon dashboard: its image cannot be pulled", "bonsai addons status dashboard", "– dashboard")
}

func TestAddonsWithoutACluster(t *testing.T) {
	s := withAddons()
	s.snapshot = absent().snapshot
	r := newRig(t, s, 100, 24, elsewhereAddons)
	r.keys("7")
	r.shows("dashboard", "absent")
	r.keys(" ")
	r.shows("no cluster exists yet")
	s = withAddons()
	r = newRig(t, s, 100, 24, func(o *Options) { o.ReadOnly = true })
	r.keys("7")
	r.shows("dashboard")
	r.keys(" ")
	r.shows("--readonly")
}
