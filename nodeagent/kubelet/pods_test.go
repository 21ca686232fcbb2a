package kubelet

import (
	"context"
	"testing"
	"testing/synctest"
)

// Until begin, no source of pods is read: the API server's waits, and static pods are not looked for.
func TestPodsWaitForBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		static, asked := 0, 0
		s := &podSources{static: func() { static++ }, begun: make(chan struct{})}
		go func() {
			if s.await(t.Context()) {
				asked++
			}
		}()
		synctest.Wait()
		if static != 0 || asked != 0 {
			t.Errorf("static pods were read %d times, those of the API server %d times", static, asked)
		}
		s.begin()
		synctest.Wait()
		if static != 1 || asked != 1 {
			t.Errorf("static pods were read %d times, those of the API server %d times, want once", static, asked)
		}
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if (&podSources{begun: make(chan struct{})}).await(ended) {
		t.Error("a kubelet that ends asks for pods")
	}
}
