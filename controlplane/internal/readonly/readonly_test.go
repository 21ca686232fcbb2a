package readonly

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWrap(t *testing.T) {
	handler := Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		func(r *http.Request) bool { return r.Header.Get("Own") != "" })
	for _, tc := range []struct {
		method, path string
		served       bool
	}{
		{"GET", "/api/v1/namespaces/default/pods", true},
		{"GET", "/api/v1/namespaces/default/pods/a", true},
		{"GET", "/api/v1/pods?watch=true", true},
		{"GET", "/apis/apps/v1/namespaces/default/deployments/a/status", true},
		{"GET", "/apis/apps/v1/namespaces/default/deployments/a/scale", true},
		{"GET", "/apis/example.com/v1/widgets", true},
		{"GET", "/openapi/v3", true},
		{"GET", "/version", true},
		{"HEAD", "/readyz", true},
		{"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", true},
		{"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", true},
		{"POST", "/api/v1/namespaces/default/pods", false},
		{"PUT", "/api/v1/namespaces/default/pods/a", false},
		{"PATCH", "/api/v1/namespaces/default/pods/a", false},
		{"DELETE", "/api/v1/namespaces/default/pods/a", false},
		{"DELETE", "/api/v1/namespaces/default/pods", false},
		{"PATCH", "/apis/apps/v1/namespaces/default/deployments/a/scale", false},
		{"POST", "/apis/example.com/v1/widgets", false},
		{"POST", "/api/v1/namespaces/default/serviceaccounts/default/token", false},
		{"POST", "/somewhere/else", false},
		// What leads to nodes and pods, also by reading.
		{"GET", "/api/v1/namespaces/default/pods/a/log", false},
		{"GET", "/api/v1/namespaces/default/pods/a/exec?command=sh", false},
		{"GET", "/api/v1/namespaces/default/pods/a/portforward", false},
		{"GET", "/api/v1/nodes/a/proxy/logs", false},
		{"GET", "/api/v1/namespaces/default/services/a/proxy/", false},
	} {
		for _, own := range []string{"", "yes"} {
			r := httptest.NewRequest(tc.method, tc.path, nil)
			r.Header.Set("Own", own)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if got := w.Code == http.StatusTeapot; got != (tc.served || own != "") {
				t.Errorf("%s %s, own %q: %d", tc.method, tc.path, own, w.Code)
			}
			if w.Code == http.StatusTeapot {
				continue
			}
			var s metav1.Status
			if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.Code != http.StatusMethodNotAllowed || !strings.Contains(s.Message, "bundle") || s.Kind != "Status" {
				t.Errorf("%s %s: %v, %s", tc.method, tc.path, err, w.Body)
			}
		}
	}
}
