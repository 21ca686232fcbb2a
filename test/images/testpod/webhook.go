package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
)

// serveTLS serves with the certificate that the test mounts at /tls, until ctx ends.
func serveTLS(ctx context.Context, h http.Handler) error {
	server := &http.Server{Addr: ":8443", Handler: h}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServeTLS("/tls/tls.crt", "/tls/tls.key") }()
	fmt.Println("serving")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// webhook admits everything and adds the label "webhook=was-here" on the way.
func webhook(ctx context.Context, _ []string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/mutate", func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID    string `json:"uid"`
				Object struct {
					Metadata struct {
						Labels map[string]string `json:"labels"`
					} `json:"metadata"`
				} `json:"object"`
			} `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		labels := map[string]string{"webhook": "was-here"}
		maps.Copy(labels, review.Request.Object.Metadata.Labels)
		patch, _ := json.Marshal([]map[string]any{{"op": "add", "path": "/metadata/labels", "value": labels}})
		writeJSON(w, map[string]any{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
			"response": map[string]any{
				"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": patch,
			},
		})
	})
	return serveTLS(ctx, mux)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
