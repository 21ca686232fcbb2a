package volumes

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// volumesAPI asks for volumes in a temporary folder.
func volumesAPI(t *testing.T, floor uint64) (dir string, ask func(method, path string) *httptest.ResponseRecorder) {
	t.Helper()
	dir = t.TempDir()
	api := New(dir, floor).Handler()
	return dir, func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
}

func TestHandler(t *testing.T) {
	dir, ask := volumesAPI(t, 0)
	for range 2 {
		w := ask(http.MethodPut, "/pvc-1")
		var got volume
		if err := json.NewDecoder(w.Body).Decode(&got); err != nil || w.Code != http.StatusOK || got.Path != filepath.Join(dir, "pvc-1") {
			t.Fatalf("PUT answers %d %+v (%v)", w.Code, got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "pvc-1")); err != nil || !info.IsDir() {
		t.Errorf("no folder: %v", err)
	}
	var report Report
	if err := json.NewDecoder(ask(http.MethodGet, "/").Body).Decode(&report); err != nil || len(report.Volumes) != 1 || report.FreeBytes == 0 {
		t.Errorf("GET answers %+v (%v)", report, err)
	}
	for range 2 {
		if w := ask(http.MethodDelete, "/pvc-1"); w.Code != http.StatusNoContent {
			t.Errorf("DELETE answers %d %s", w.Code, w.Body)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
}

func TestHandlerSaysWhyAVolumeCannotBe(t *testing.T) {
	_, ask := volumesAPI(t, 1<<62)
	for _, c := range []struct {
		method, path string
		code         int
		text         string
	}{
		{http.MethodPut, "/pvc-1", http.StatusInsufficientStorage, "full"},
		{http.MethodPut, "/..%2Fpvc-1", http.StatusBadRequest, "not the name"},
		{http.MethodDelete, "/..%2F..%2Fetc", http.StatusBadRequest, "not the name"},
		{http.MethodDelete, "/%2E", http.StatusBadRequest, "not the name"},
	} {
		if w := ask(c.method, c.path); w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s %s answers %d %q, want %d and %q", c.method, c.path, w.Code, w.Body, c.code, c.text)
		}
	}
}
