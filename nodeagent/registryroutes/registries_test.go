package registryroutes

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatTheDaemonServes(t *testing.T) {
	set := map[string]*cluster.NodeRegistries{}
	var broken error
	server := httptest.NewServer(New(func(addon string, n *cluster.NodeRegistries) error { set[addon] = n; return broken }).Handler())
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	ask := func(ctx context.Context, method, path, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	ctx, end := context.WithCancel(t.Context())
	resp := ask(ctx, http.MethodPost, "/registry", `{"url":"https://10.201.0.1:1","names":["localhost:5000"]}`)
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "{}\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if want := (&cluster.NodeRegistries{URL: "https://10.201.0.1:1", Names: []string{"localhost:5000"}}); !reflect.DeepEqual(set["registry"], want) {
		t.Errorf("got %+v", set["registry"])
	}
	end()
	_ = resp.Body.Close()
	for _, c := range []struct {
		method, path, body string
		status             int
		broken             error
	}{
		{http.MethodDelete, "/registry", "", http.StatusNoContent, nil},
		{http.MethodPost, "/registry", "{", http.StatusBadRequest, nil},
		{http.MethodPost, "/a..b", "{}", http.StatusBadRequest, nil},
		{http.MethodPost, "/registry", "{}", http.StatusInternalServerError, errors.New("the disk is full")},
		{http.MethodGet, "/registry", "", http.StatusMethodNotAllowed, nil},
	} {
		broken = c.broken
		resp := ask(t.Context(), c.method, c.path, c.body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s %s: got %s", c.method, c.path, c.body, resp.Status)
		}
	}
}
