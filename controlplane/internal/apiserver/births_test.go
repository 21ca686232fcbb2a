package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"bonsai/controlplane/observe/birth"
)

func TestCallersHaveNamesThatUsersKnow(t *testing.T) {
	const account = "system:serviceaccount:kube-system:replicaset-controller"
	for _, c := range []struct{ user, agent, kubectl, want string }{
		{"kubernetes-admin", "kubectl/v1.37.2 (linux/amd64)", "kubectl apply", "kubectl apply"},
		{"kubernetes-admin", "bonsai/v1.37.2 (linux/amd64)", "kubectl run", "kubectl run"},
		{"jane", "Helm/3.19", "", "Helm"},
		{"jane", "", "", "jane"},
		{"system:node:dev-2", "bonsai/v1.37.2", "", "kubelet on dev-2"},
		{account, "bonsai/v1.37.2 (linux/amd64) kubernetes/abc/" + account, "", "kube-controller-manager (replicaset-controller)"},
		{account, "curl/8", "", "service account kube-system/replicaset-controller"},
		{"system:serviceaccount:ci:runner", "tekton/1", "", "service account ci/runner"},
		{"system:kube-scheduler", "bonsai/v1.37.2", "", "kube-scheduler"},
		{"system:apiserver", "bonsai/v1.37.2", "", "kube-apiserver"},
		{"jane", strings.Repeat("x", 1000), "", strings.Repeat("x", 80)},
	} {
		h := http.Header{}
		h.Set("User-Agent", c.agent)
		if c.kubectl != "" {
			h.Set("Kubectl-Command", c.kubectl)
		}
		if got := caller(&user.DefaultInfo{Name: c.user}, h); got != c.want {
			t.Errorf("%s with %q is %q, want %q", c.user, c.agent, got, c.want)
		}
	}
}

func TestStepOf(t *testing.T) {
	info := func(verb, group, resource, sub string) *request.RequestInfo {
		return &request.RequestInfo{IsResourceRequest: true, Verb: verb, APIGroup: group, Resource: resource, Subresource: sub}
	}
	for _, c := range []struct {
		info *request.RequestInfo
		want step
	}{
		{nil, none},
		{info("create", "", "pods", ""), creation},
		{info("patch", "", "pods", ""), creation},
		{info("create", "", "pods", "binding"), binding},
		{info("patch", "", "pods", "status"), report},
		{info("update", "", "pods", "status"), report},
		{info("list", "", "pods", ""), none},
		{info("watch", "", "pods", ""), none},
		{info("create", "", "pods", "exec"), none},
		{info("create", "metrics.k8s.io", "pods", ""), none},
		{info("create", "", "services", ""), none},
	} {
		if got := stepOf(c.info); got != c.want {
			t.Errorf("%+v is step %d, want %d", c.info, got, c.want)
		}
	}
}

// BenchmarkOtherRequests is what every request pays that is no step of a birth.
func BenchmarkOtherRequests(b *testing.B) {
	h := births{birth.NewRecorder(1)}.handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest(http.MethodGet, "/api/v1/pods", nil)
	ctx := request.WithRequestInfo(context.Background(), &request.RequestInfo{Verb: "list", Resource: "pods"})
	r, w := r.WithContext(ctx), httptest.NewRecorder()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
