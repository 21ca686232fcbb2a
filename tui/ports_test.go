package tui

import (
	"fmt"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

func TestPortsSaysWhyNothingAnswers(t *testing.T) {
	s := shop()
	s.services = append(s.services,
		kube.ServiceLine{UID: "s8", Namespace: "shop", Name: "lost", Kind: "ClusterIP", Ports: []kube.ServicePort{{Port: 80, Protocol: "TCP"}}},
		kube.ServiceLine{UID: "s9", Namespace: "shop", Name: "elsewhere", Kind: "ExternalName"})
	r := newRig(t, s, 120, 40)
	r.keys("9")
	r.shows("kubernetes.default.svc", "10.96.0.1", "NodePort", "0/1")
	r.keys("j")
	r.shows("nothing answers: 0/1 of its pods ready; cart-7d9f4-x2k is CrashLoopBackOff")
	r.keys("j")
	if s := r.screen(); strings.Contains(s, "nothing answers") {
		t.Errorf("a name for something elsewhere is a warning:\n%s", s)
	}
	r.keys("j")
	r.shows("no pod matches its selector")
	r.keys("G")
	r.shows("10.201.0.10:30080")
	r.keys("C")
	r.shows("copied: web.shop.svc")
	r.keys("/", `"web"`, "enter")
	r.shows("/web")
	r.u.setNamespace("default")
	r.keys("esc")
	r.shows("kubernetes")
	if s := r.screen(); strings.Contains(s, "lost") {
		t.Errorf("another namespace is shown:\n%s", s)
	}
}

func TestServicesHaveNamesOnThisMachine(t *testing.T) {
	s := shop()
	s.snapshot.Names = &cluster.Names{Open: true, Port: 8080, Hosts: []cluster.NamedHost{
		{Host: "shop.localhost", From: []string{"ingress/shop/web"}, Services: []string{"shop/web"}},
		{Host: "two.localhost", From: []string{"ingress/shop/web"}, Also: []string{"httproute/blog/site"}, Services: []string{"shop/web"}},
		{Host: "other.localhost", From: []string{"ingress/shop/web"}, Services: []string{"shop/other"}},
	}}
	s.services = append(s.services,
		kube.ServiceLine{UID: "s8", Namespace: "shop", Name: "db", Kind: "ClusterIP", Ports: []kube.ServicePort{{Name: "postgres", Port: 5432, Protocol: "TCP"}}, Ready: 1, Total: 1})
	r := newRig(t, s, 160, 60)
	r.keys("9")
	r.shows("http://web.shop.localhost:8080", "http://kubernetes.default.localhost:8080")
	if s := r.screen(); strings.Contains(s, "db.shop.localhost") {
		t.Errorf("what no browser speaks has a URL:\n%s", s)
	}
	r.keys("G", "C")
	r.shows("copied: http://web.shop.localhost:8080", "http://shop.localhost:8080", "http://two.localhost:8080 is from ingress/shop/web, and httproute/blog/site claims it, too")
	if s := r.screen(); strings.Contains(s, "other.localhost") {
		t.Errorf("a host of another Service is shown:\n%s", s)
	}
}

func TestForwardLivesAsLongAsTheUI(t *testing.T) {
	s := shop()
	s.ports = nil
	r := newRig(t, s, 120, 30)
	r.keys("9")
	r.shows("web.shop.svc")
	r.keys("G", "F")
	r.shows("forward service/web, local:remote 8080:80")
	r.keys("enter")
	r.shows("http://127.0.0.1:8080 is forwarded to service shop/web:80", "PORTS OF THIS MACHINE 1", "127.0.0.1:8080 on this machine, forwarded", "48K")
	r.keys("C")
	r.shows("copied: http://127.0.0.1:8080")
	r.keys("L")
	r.shows("bonsai kubectl -p dev -- port-forward service/web 8080:80 -n shop")
	r.keys("1", "3")
	s.update(func() { s.broken = "no pod of service/web is ready" })
	r.shows("9 Ports⚠")
	r.keys("9")
	r.shows("no pod of service/web is ready")
	s.update(func() { s.broken = "" })
	r.shows("connected to a ready pod")
	r.keys("g", "c")
	r.shows("copied: http://127.0.0.1:8080")
	r.keys("delete")
	r.until("the end of it", func(screen string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.unforwarded == 1 && !strings.Contains(screen, "OF THIS MACHINE")
	})
	if len(r.u.forwards.list) != 0 {
		t.Errorf("%d are left", len(r.u.forwards.list))
	}
}

func TestForwardOffersAFreePortForOneThatIsTaken(t *testing.T) {
	s := shop()
	s.taken = []int{8080}
	r := newRig(t, s, 120, 30)
	r.keys("9")
	r.shows("web.shop.svc")
	r.keys("G", "F", "enter")
	r.shows("port 8080 of this machine is taken", "take a free one", "address already in use")
	r.keys("enter")
	r.shows("127.0.0.1:40123")
	if n := len(r.u.forwards.list); n != 1 {
		t.Errorf("%d are listed", n)
	}
}

func TestForwardAsksWhichPort(t *testing.T) {
	s := shop()
	s.services[1].Ports = []kube.ServicePort{{Port: 80, Target: "8080", Protocol: "TCP"}, {Port: 53, Protocol: "UDP"}, {Port: 443, Target: "8443", Protocol: "TCP"}}
	r := newRig(t, s, 120, 30)
	r.keys("9")
	r.shows("web.shop.svc")
	r.keys("G", "F")
	r.shows("forward which port of service/web?", "127.0.0.1:8443", "only TCP can be forwarded")
	r.keys(`"443"`, "enter", "enter")
	r.shows("https://127.0.0.1:8443")
	// Typed at once.
	r.keys("F", `"9000:80"`, "enter")
	r.shows("http://127.0.0.1:9000 is forwarded to service shop/web:80")
	if spec := r.u.forwards.list[1].spec; spec != (kube.ForwardSpec{Namespace: "shop", Target: kube.Object{Kind: "Service", Name: "web"}, Local: 9000, Remote: 80}) {
		t.Errorf("forwards %+v", spec)
	}
}

func TestForwardOfPodsAndWorkloads(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("3")
	r.shows("cart-7d9f4-x2k")
	r.keys("/", `"cart"`, "enter", "F")
	r.shows("forward pod/cart-7d9f4-x2k, local:remote 8080:8080")
	r.keys("esc")
	r.shows("CrashLoopBackOff")
	for kind, want := range map[string]string{"Deployment/cart": "cart-7d9f4-x2k", "StatefulSet/db": "db-0", "Deployment/nothing": "", "ReplicaSet/web-9cc6f": "web-9cc6f-lm2"} {
		k, name, _ := strings.Cut(kind, "/")
		if got := r.u.podOf(&subject{ref: kube.Ref{Type: kube.ResourceType{Kind: k}, Namespace: "shop", Name: name}}); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

func TestForwardText(t *testing.T) {
	for text, want := range map[string]string{
		"8080:80": "8080:80", ":80": "0:80", "0:80": "0:80", "80": "8080:80", "9090": "9090:9090", "443": "8443:443", " 5000:5001 ": "5000:5001",
		"x": "", "80:": "", "70000:80": "", "80:70000": "", "-1:80": "", "80:0": "", "1:2:3": "",
	} {
		t.Run(text, func(t *testing.T) {
			s := shop()
			r := newRig(t, s, 80, 24)
			r.u.forwardText(kube.ForwardSpec{Namespace: "shop", Target: kube.Object{Kind: "Service", Name: "web"}}, text)
			if want == "" {
				r.shows("is not a pair of ports")
				return
			}
			r.until("it", func(string) bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return len(s.forwarded) == 1
			})
			if got := fmt.Sprintf("%d:%d", s.forwarded[0].Local, s.forwarded[0].Remote); got != want {
				t.Errorf("forwards %s, want %s", got, want)
			}
		})
	}
}

func TestPortsStates(t *testing.T) {
	s := shop()
	s.services = nil
	r := newRig(t, s, 80, 24)
	r.keys("9")
	r.shows("there are no services")
	s = shop()
	s.snapshot = cluster.Snapshot{Name: "dev", Phase: cluster.PhaseStopped}
	r = newRig(t, s, 80, 24)
	r.shows("stopped")
	r.keys("9")
	r.frame(80, 24)
}

func TestPortsFrames(t *testing.T) {
	s := nastyFlows()
	r := newRig(t, s, 80, 24)
	r.keys("9")
	r.shows("kubernetes")
	frames(t, r, []string{"G"}, []string{"w"})
	r.send(sizeMsg(120, 40))
	for i := range 12 {
		r.u.forwards.start(kube.ForwardSpec{Namespace: "shop", Target: kube.Object{Kind: "Service", Name: "\x1b[2J漢字"}, Local: 9000 + i, Remote: 80})
	}
	r.shows("PORTS OF THIS MACHINE 14", "connected to a ready pod")
	s.update(func() { s.broken = "a\x1b[2J漢字" + strings.Repeat("x", 300) })
	frames(t, r, []string{"g"}, []string{"G"}, []string{"/", `"zzz"`, "enter"})
}
