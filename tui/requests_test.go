package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// gatewayLog sends the access log of a node: all of it, and then what is added.
func (s *fakeSession) gatewayLog(ctx context.Context, node string, f func([]kube.LogLine) error) error {
	sent := 0
	return s.follow(ctx, func() error {
		s.mu.Lock()
		lines, ok := s.access[node]
		fresh := slices.Clone(lines[min(sent, len(lines)):])
		s.mu.Unlock()
		if !ok {
			return fault.Newf(fault.NotFound, "node %s has no log of gateway", node)
		}
		sent += len(fresh)
		var list []kube.LogLine
		for _, text := range fresh {
			list = append(list, kube.LogLine{Source: kube.LogSource{Node: node, Container: "gateway"}, Text: strings.TrimSuffix(text, "\n")})
		}
		return f(list)
	})
}

func served(second int, path string, status int, service, from string) string {
	r := cluster.GatewayRequest{
		Began: fakeNow.Add(time.Duration(second-60) * time.Second), Took: 1234 * time.Microsecond, Client: "10.201.0.1:5000", Method: "GET", Host: "shop.test", Path: path,
		Proto: "HTTP/1.1", Status: status, Endpoint: "10.244.7.7:8080", Service: service, From: from, Agent: "curl",
	}
	return string(r.Append(nil))
}

// gatewayShop is the shop with an Ingress that the gateway serves.
func gatewayShop() *fakeSession {
	s := shop()
	s.types = append(s.types, kube.ResourceType{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true, Short: []string{"ing"}})
	s.columns["ingresses"] = []kube.Column{{Name: "Name"}, {Name: "Class"}}
	s.rows["ingresses"] = []kube.Row{{UID: "ing1", Namespace: "shop", Name: "front", Cells: []string{"front", "bonsai"}}}
	ip := slices.IndexFunc(s.columns["pods"], func(c kube.Column) bool { return c.Name == "IP" })
	s.rows["pods"][0].Cells[ip] = "10.244.7.7"
	s.access = map[string][]string{
		"dev-1": {`time=12:00 level=INFO msg="the gateway serves"`, served(1, "/one", 200, "shop/web:80", "ingress/shop/front"), served(3, "/other", 200, "shop/cart:80", "ingress/shop/back")},
		"dev-2": {served(2, "/two\x1b[2J漢", 503, "shop/web:80", "ingress/shop/front")},
	}
	return s
}

// TestRequestsOfAnIngress: those of all nodes in one list, which goes on, without those of others.
func TestRequestsOfAnIngress(t *testing.T) {
	s := gatewayShop()
	r := newRig(t, s, 140, 24)
	r.command("ingresses")
	r.shows("front")
	r.keys("enter")
	r.shows("ingress shop/front", "Requests")
	r.keys("tab")
	r.shows("[Requests 2]", "200 GET", "shop.test/one", "1.2ms", "shop/cart-7d9f4-x2k", "503 GET", `shop.test/two`)
	if text := r.screen(); strings.Contains(text, "/other") || strings.Index(text, "/one") > strings.Index(text, "/two") {
		t.Errorf("the list is\n%s", text)
	}
	s.update(func() {
		s.access["dev-2"] = append(s.access["dev-2"], served(5, "/three", 404, "", "ingress/shop/front"))
	})
	r.shows("[Requests 3]", "404 GET", "shop.test/three")
	// Looked at again, the logs are read again, and nothing is there twice.
	r.keys("tab", "shift+tab")
	s.update(func() {
		s.access["dev-1"] = append(s.access["dev-1"], served(6, "/four", 200, "shop/web:80", "ingress/shop/front"))
	})
	r.shows("[Requests 4]", "shop.test/four")
}

func TestRequestsOfAService(t *testing.T) {
	s := gatewayShop()
	web := kube.ResourceType{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true}
	for name, want := range map[string]int{"web": 2, "cart": 1, "we": 0} {
		wants := requestsOf(kube.Ref{Type: web, Namespace: "shop", Name: name})
		n := 0
		for _, line := range slices.Concat(s.access["dev-1"], s.access["dev-2"]) {
			if r, err := cluster.ParseGatewayRequest(line); err == nil && wants(&r) {
				n++
			}
		}
		if n != want {
			t.Errorf("Service %s has %d requests, want %d", name, n, want)
		}
	}
	for _, other := range []kube.ResourceType{{Version: "v1", Resource: "pods"}, {Group: "shop.example", Resource: "services"}, {Group: "extensions", Resource: "ingresses"}} {
		if requestsOf(kube.Ref{Type: other, Namespace: "shop", Name: "web"}) != nil {
			t.Errorf("%+v has requests", other)
		}
	}
}

func TestRequestsWithoutAGateway(t *testing.T) {
	s := gatewayShop()
	s.access = nil
	r := newRig(t, s, 100, 24)
	r.command("ingresses")
	r.shows("front")
	r.keys("enter", "tab")
	r.shows("[Requests]", "has served nothing on any node", "addons status gateway")
	s.update(func() { s.access = map[string][]string{"dev-1": {}} })
	r.until("that it has begun", func(text string) bool { return strings.Contains(text, "no requests through the gateway yet") })
}

func TestRequestsFrames(t *testing.T) {
	s := gatewayShop()
	for i := range 200 {
		s.access["dev-1"] = append(s.access["dev-1"], served(10, fmt.Sprintf("/%d/%s", i, strings.Repeat("長い", 60)), 200, "shop/web:80", "ingress/shop/front"))
	}
	for _, c := range [][2]int{{40, 8}, {41, 11}, {80, 24}, {200, 60}} {
		r := newRig(t, s, c[0], c[1])
		r.command("ingresses")
		r.until("the Ingress", func(string) bool {
			p, ok := r.u.page().(*listPage)
			return ok && len(p.subjects()) == 1
		})
		r.keys("enter", "tab")
		for range 3 {
			r.frame(c[0], c[1])
			r.keys("down", "/", "e", "enter")
		}
	}
}
