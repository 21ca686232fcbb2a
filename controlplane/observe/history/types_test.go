package history

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/history/journal"
)

// serving is an API server that has only types, and counts who asks for them.
func serving(t testing.TB, asked *atomic.Int32) *rest.Config {
	t.Helper()
	types := func(group string, resources ...string) discovery.APIGroupDiscovery {
		g := discovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: group}, Versions: []discovery.APIVersionDiscovery{{Version: "v1"}}}
		for _, r := range resources {
			kind := strings.ToUpper(r[:1]) + strings.TrimSuffix(r[1:], "s")
			g.Versions[0].Resources = append(g.Versions[0].Resources, discovery.APIResourceDiscovery{
				Resource: r, SingularResource: strings.ToLower(kind), Scope: discovery.ScopeNamespace, ResponseKind: &metav1.GroupVersionKind{Group: group, Version: "v1", Kind: kind},
			})
		}
		return g
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := discovery.APIGroupDiscoveryList{TypeMeta: metav1.TypeMeta{APIVersion: "apidiscovery.k8s.io/v2", Kind: "APIGroupDiscoveryList"}}
		if r.URL.Path == "/api" {
			asked.Add(1)
			list.Items = append(list.Items, types("", "configmaps"))
		} else {
			list.Items = append(list.Items, types("shop.test", "orders"))
		}
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		if err := json.NewEncoder(w).Encode(list); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL}
}

// The API server is asked for its types once, and again if they may have changed, or lack one.
func TestTypesAreAskedForOnce(t *testing.T) {
	var asked atomic.Int32
	h, err := Open(Options{Cluster: "dev", Dir: t.TempDir(), Limits: journal.DefaultLimits, Store: newStore(), Log: slog.New(slog.DiscardHandler), Scale: 1, Client: serving(t, &asked)}, &Writers{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	resolve := func(name string, want int32) selector {
		t.Helper()
		s, err := h.selector(t.Context(), cluster.ObjectQuery{Type: name, Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if n := asked.Load(); n != want {
			t.Errorf("it was asked %d times, want %d", n, want)
		}
		return s
	}
	if s := resolve("ConfigMap", 1); s.resource != "configmaps" || s.group != "" || s.known == nil {
		t.Errorf("got %+v", s)
	}
	if s := resolve("orders.shop.test", 1); s.resource != "orders" || s.group != "shop.test" {
		t.Errorf("got %+v", s)
	}
	if s := resolve("nix", 2); s.resource != "nix" || s.known != nil {
		t.Errorf("got %+v", s)
	}
	h.typesSeen.seen(key, time.Now())
	resolve("configmap", 2)
	h.typesSeen.seen("/registry/apiextensions.k8s.io/customresourcedefinitions/orders.shop.test", time.Now())
	resolve("configmap", 3)
	resolve("configmap", 4) // the API server may have answered too early
	if h.typesSeen.known(time.Now().Add(typesAge+typesSettle)) != nil {
		t.Error("types are believed for ever")
	}
	h.typesSeen.seen("/registry/apiextensions.k8s.io/customresourcedefinitions/orders.shop.test", time.Now().Add(-2*typesSettle))
	resolve("configmap", 4)
}

func TestKeysThatCanMatch(t *testing.T) {
	if (selector{}).wanted() != nil {
		t.Error("not all keys are wanted, though any object is meant")
	}
	wanted := selector{ObjectQuery: cluster.ObjectQuery{Name: "c"}}.wanted()
	for text, want := range map[string]bool{key: true, "/registry/shop.test/orders/a/c": true, "/registry/configmaps/c/d": false, "kubectl": false, "c": false} {
		if wanted([]byte(text)) != want {
			t.Errorf("%s: wanted is not %v", text, want)
		}
	}
}
