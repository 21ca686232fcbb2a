package main

import (
	"context"
	"net/http"
	"os"
)

// group of the aggregated API; it has one kind, Thing, with one object that names the pod.
const group = "things.bonsai.test"

func apiserver(ctx context.Context, _ []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	type object = map[string]any
	version := object{"groupVersion": group + "/v1", "version": "v1"}
	things := object{
		"apiVersion": group + "/v1", "kind": "ThingList", "metadata": object{},
		"items": []object{{"apiVersion": group + "/v1", "kind": "Thing", "metadata": object{"name": host}}},
	}
	mux := http.NewServeMux()
	answer := func(path string, v object) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, v) })
	}
	answer("/apis", object{"apiVersion": "v1", "kind": "APIGroupList", "groups": []object{{
		"name": group, "versions": []object{version}, "preferredVersion": version,
	}}})
	answer("/apis/"+group, object{
		"apiVersion": "v1", "kind": "APIGroup", "name": group, "versions": []object{version}, "preferredVersion": version,
	})
	answer("/apis/"+group+"/v1", object{
		"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": group + "/v1",
		"resources": []object{{
			"name": "things", "singularName": "thing", "kind": "Thing", "namespaced": false, "verbs": []string{"list", "get"},
		}},
	})
	answer("/apis/"+group+"/v1/things", things)
	answer("/readyz", object{})
	return serveTLS(ctx, mux)
}
