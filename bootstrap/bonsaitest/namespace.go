package bonsaitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// requestLimit bounds one request to the API server.
const requestLimit = 10 * time.Second

// Namespace makes a namespace for a test, which makes the tests of a shared cluster independent of each other, and returns its
// name. It is deleted when the test ends, without waiting for that; without controllers, what is in it stays as long as the
// cluster does.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	prefix := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name()))
	const most = 50 // of the 63 that are possible; the API server adds five, and a dash stays
	prefix = strings.Trim(prefix[:min(len(prefix), most)], "-") + "-"
	var made struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	body := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": strings.TrimPrefix(prefix, "-")}}
	if err := c.request(t.Context(), http.MethodPost, "/api/v1/namespaces", body, &made); err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	name := made.Metadata.Name
	t.Cleanup(func() {
		if err := c.request(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+name, nil, nil); err != nil {
			t.Logf("the namespace %s stays as long as the cluster does: %v", name, err)
		}
	})
	return name
}

// request asks the API server. Clientsets would link the types of all groups into every test.
func (c *Cluster) request(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.config.Host+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
