package usage

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func TestWhatIsAUse(t *testing.T) {
	admin := &user.DefaultInfo{Name: "kubernetes-admin", Groups: []string{user.SystemPrivilegedGroup}}
	account := func(name string) user.Info {
		return &user.DefaultInfo{Name: "system:serviceaccount:" + name, Groups: []string{"system:serviceaccounts"}}
	}
	const here, node = "127.0.0.1:40000", "10.201.0.10:40000"
	for name, test := range map[string]struct {
		request, agent string // "METHOD path"
		who            user.Info
		from           string
		want           bool
	}{
		"list":                          {"GET /api/v1/pods", "kubectl/v1", admin, here, true},
		"get":                           {"GET /apis/apps/v1/namespaces/a/deployments/b", "", admin, here, true},
		"change":                        {"DELETE /api/v1/namespaces/a/pods/b", "", admin, here, true},
		"logs":                          {"GET /api/v1/namespaces/a/pods/b/log", "", admin, here, true},
		"exec":                          {"GET /api/v1/namespaces/a/pods/b/exec", "", admin, here, true},
		"from a container":              {"GET /api/v1/pods", "", admin, node, true},
		"a first watch":                 {"GET /api/v1/pods?watch=true", "", admin, here, true},
		"a first watch from anything":   {"GET /api/v1/pods?watch=true&resourceVersion=0", "", admin, here, true},
		"a watch that begins as list":   {"GET /api/v1/pods?watch=true&resourceVersion=7&sendInitialEvents=true", "", admin, here, true},
		"a watch that goes on":          {"GET /api/v1/pods?watch=true&resourceVersion=7", "", admin, here, false},
		"health":                        {"GET /readyz", "", admin, here, false},
		"metrics":                       {"GET /metrics", "", admin, here, false},
		"discovery":                     {"GET /apis/apps/v1", "", admin, here, false},
		"what a user may do":            {"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "", admin, here, false},
		"the terminal UI looks":         {"GET /api/v1/pods", "bonsai-ui", admin, here, false},
		"the terminal UI watches":       {"GET /api/v1/pods?watch=true", "bonsai-ui", admin, here, false},
		"the terminal UI deletes":       {"DELETE /api/v1/namespaces/a/pods/b", "bonsai-ui", admin, here, true},
		"the terminal UI executes":      {"GET /api/v1/namespaces/a/pods/b/exec", "bonsai-ui", admin, here, true},
		"bonsai's own kubectl":          {"GET /api/v1/pods", "bonsai/v1.37.2 (linux/amd64) kubernetes/abc", admin, here, true},
		"a kubelet":                     {"PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a", "", &user.DefaultInfo{Name: "system:node:a", Groups: []string{user.NodesGroup}}, node, false},
		"kube-proxy":                    {"GET /api/v1/services", "", &user.DefaultInfo{Name: "system:kube-proxy"}, node, false},
		"an agent":                      {"GET /api/v1/services", "", &user.DefaultInfo{Name: "bonsai:agent:a"}, node, false},
		"the server itself":             {"GET /api/v1/pods", "", &user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}}, here, false},
		"the scheduler":                 {"GET /api/v1/pods", "", &user.DefaultInfo{Name: user.KubeScheduler}, here, false},
		"nobody":                        {"GET /api/v1/pods", "", &user.DefaultInfo{Name: user.Anonymous}, here, false},
		"a controller":                  {"GET /api/v1/pods", "", account("kube-system:deployment-controller"), here, false},
		"a pod":                         {"GET /api/v1/pods", "", account("default:operator"), node, false},
		"a user with a pod's token":     {"GET /api/v1/pods", "", account("default:ci"), here, true},
		"a user by IPv6":                {"GET /api/v1/pods", "", account("default:ci"), "[::1]:40000", true},
		"a user by IPv4 in IPv6":        {"GET /api/v1/pods", "", account("default:ci"), "[::ffff:127.0.0.1]:40000", true},
		"an account of whoever":         {"GET /api/v1/pods", "", account("default:ci"), "@", false},
		"a user with a user's own name": {"GET /api/v1/pods", "", &user.DefaultInfo{Name: "jane"}, node, true},
	} {
		t.Run(name, func(t *testing.T) {
			var uses, ends, served int
			h := Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }), func(context.Context, string) (func(), error) {
				uses++
				return func() { ends++ }, nil
			})
			h.ServeHTTP(httptest.NewRecorder(), requestOf(t, test.request, test.agent, test.who, test.from))
			want := 0
			if test.want {
				want = 1
			}
			if uses != want || ends != want || served != 1 {
				t.Errorf("%d uses, %d ends, served %d times; want %d uses", uses, ends, served, want)
			}
		})
	}
}

// A watch may stay open for as long as a terminal does, and is not a use for as long; whoever follows a log reads it.
func TestHowLongAUseLasts(t *testing.T) {
	for path, want := range map[string]bool{"/api/v1/pods?watch=true": false, "/api/v1/namespaces/a/pods/b/log?follow=true": true} {
		using := false
		h := Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if using != want {
				t.Errorf("%s is a use while it is open: %t, want %t", path, using, want)
			}
		}), func(context.Context, string) (func(), error) {
			using = true
			return func() { using = false }, nil
		})
		h.ServeHTTP(httptest.NewRecorder(), requestOf(t, "GET "+path, "", &user.DefaultInfo{Name: "jane"}, "127.0.0.1:1"))
		if using {
			t.Errorf("%s is a use after its end", path)
		}
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	h := Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it is served") }), func(context.Context, string) (func(), error) {
		return nil, errors.New("no engine")
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, requestOf(t, "GET /api/v1/pods", "", &user.DefaultInfo{Name: "jane"}, "127.0.0.1:1"))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the cluster is paused and cannot be woken: no engine; try: bonsai unpause") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func requestOf(t *testing.T, line, agent string, who user.Info, from string) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Header.Set("User-Agent", agent)
	r.RemoteAddr = from
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := resolver.NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(request.WithUser(request.WithRequestInfo(r.Context(), info), who))
}
