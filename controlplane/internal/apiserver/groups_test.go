package apiserver

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
)

func TestGroupsAreServedAndListedUntilTheirEnd(t *testing.T) {
	var g Groups
	discovery := aggregated.NewResourceManager("apis")
	g.list(discovery)
	served := g.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	status := func(path string) int {
		w := httptest.NewRecorder()
		served.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code
	}
	listed := func() (names []string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/apis", nil)
		r.Header.Set("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		w := httptest.NewRecorder()
		discovery.ServeHTTP(w, r)
		var list apidiscoveryv2.APIGroupDiscoveryList
		data, _ := io.ReadAll(w.Body)
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		for _, one := range list.Items {
			names = append(names, one.Name)
		}
		return names
	}

	end := g.Serve("metrics.test", apidiscoveryv2.APIVersionDiscovery{Version: "v1"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for path, want := range map[string]int{
		"/apis/metrics.test/v1": http.StatusOK, "/apis/metrics.test/v1/pods": http.StatusOK,
		// These are upstream's: it makes the lists of APIServices.
		"/apis": http.StatusNotFound, "/apis/metrics.test": http.StatusNotFound, "/apis/metrics.test/": http.StatusNotFound,
		"/apis/metrics.tests/v1": http.StatusNotFound, "/api/metrics.test/v1": http.StatusNotFound,
	} {
		if got := status(path); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
	if got := listed(); len(got) != 1 || got[0] != "metrics.test" {
		t.Errorf("discovery lists %v", got)
	}
	end()
	if got := status("/apis/metrics.test/v1"); got != http.StatusNotFound {
		t.Errorf("after its end the group answers %d", got)
	}
	if got := listed(); len(got) != 0 {
		t.Errorf("after its end discovery lists %v", got)
	}
}
