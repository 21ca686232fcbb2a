package session

import (
	"reflect"
	"testing"

	"bonsai/bootstrap/kube"
)

func TestWhatPodsRequest(t *testing.T) {
	s := newSession(t, &objectAPI{objects: map[string]string{
		"/api/v1/pods": `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"web","namespace":"shop","uid":"u1"},"spec":{"nodeName":"dev-1","containers":[
			{"name":"a","resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}}},{"name":"b","resources":{"requests":{"cpu":"1"}}}]}},
			{"metadata":{"name":"none","namespace":"shop","uid":"u2"},"spec":{"containers":[{"name":"a"}]}}]}`,
		"/api/v1/nodes": `{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"dev-1"},"status":{"allocatable":{"cpu":"4","memory":"1Gi"}}}]}`,
	}})
	got, err := s.PodResources(t.Context())
	want := kube.ClusterResources{
		Pods: []kube.PodResources{
			{UID: "u1", Namespace: "shop", Name: "web", Node: "dev-1", Requests: kube.Amount{CPU: 1.1, Memory: 64 << 20}, Limits: kube.Amount{Memory: 128 << 20}},
			{UID: "u2", Namespace: "shop", Name: "none"},
		},
		Nodes: []kube.NodeResources{{Name: "dev-1", Allocatable: kube.Amount{CPU: 4, Memory: 1 << 30}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}
