package problems

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/controlplane/observe/problems/diagnose"
)

func TestReadRoutes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]string{
			gatewayAPI + "httproutes": `{"items":[{"metadata":{"namespace":"shop","name":"web"},"spec":{
				"parentRefs":[{"name":"front","namespace":"edge","sectionName":"web"},{"kind":"Service","group":"","name":"mesh"}],"hostnames":["shop.test"],
				"rules":[
					{"matches":[{"path":{"type":"PathPrefix","value":"/cart"}},{"path":{"type":"Exact","value":"/x"},"method":"GET"}],"backendRefs":[{"name":"cart","port":80},{"kind":"Bucket","group":"s3.test","name":"b"}]},
					{"backendRefs":[{"name":"all","namespace":"other","port":81}]}]}},
				{"metadata":{"namespace":"shop","name":"gone","deletionTimestamp":"2026-08-01T12:00:00Z"}}]}`,
			gatewayAPI + "gateways": `{"items":[{"metadata":{"namespace":"edge","name":"front"},"spec":{"listeners":[
				{"name":"plain"},{"name":"tls","tls":{"certificateRefs":[{"name":"cert"}]}}]}}]}`,
		}[r.URL.Path]
		if answer == "" {
			http.NotFound(w, r)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	got, err := routes(t.Context(), client.CoreV1().RESTClient())
	const of = "gateway edge/front/web/"
	want := []diagnose.Route{
		{
			Kind: "HTTPRoute", Namespace: "shop", Name: "web",
			Backends: []diagnose.Backend{{Namespace: "shop", Service: "cart", Port: 80, For: "shop.test/cart"}, {Namespace: "other", Service: "all", Port: 81, For: "shop.test/"}},
			Claims:   []diagnose.Claim{{Of: of, For: "shop.test/cart"}, {Of: of, For: "shop.test/"}},
		},
		{Kind: "Gateway", Namespace: "edge", Name: "front", Secrets: []diagnose.TLSSecret{{Namespace: "edge", Name: "cert", For: "listener tls"}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}
