package search

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream has one domain with a wildcard and one about which it says nothing for a while.
type upstream struct {
	mu    sync.Mutex // guards asked
	asked []string
	since time.Time
}

func (u *upstream) ask(_ context.Context, name string) ([]string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = append(u.asked, name)
	switch {
	case strings.HasSuffix(name, ".corp.test."):
		return []string{"10.9.9.9"}, true
	case strings.HasSuffix(name, ".late.test."):
		return []string{"10.9.9.8"}, time.Since(u.since) > 5*time.Second
	case strings.HasSuffix(name, ".silent.test."):
		return nil, false
	}
	return nil, true
}

func TestWildcardsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{since: time.Now()}
		long := strings.Repeat("a.", 100) + "test" // fits
		domains := []string{"home.test", ".corp.test.", "late.test", "silent.test", ".", long, strings.Repeat("b.", 120) + "test"}
		var found []string
		Examine(t.Context(), domains, u.ask, func(domain string, answers []string) { found = append(found, domain+" "+strings.Join(answers, " ")) })
		if want := []string{".corp.test. 10.9.9.9", "late.test 10.9.9.8"}; !slices.Equal(found, want) {
			t.Errorf("found %v, want %v", found, want)
		}
		if took := time.Since(u.since); took > 2*time.Minute {
			t.Errorf("it gave up after %s", took)
		}
		names := map[string]bool{}
		for _, name := range u.asked {
			label, _, _ := strings.Cut(name, ".")
			if len(label) < 20 || len(name) > maxName {
				t.Errorf("asked for %s", name)
			}
			names[name] = true
		}
		if len(names) != 5 || len(u.asked) != 3+3+tries {
			t.Errorf("asked %d times for %d names", len(u.asked), len(names))
		}
	})
}

func TestExamineEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		Examine(ctx, []string{"silent.test"}, (&upstream{}).ask, func(string, []string) { t.Error("found something") })
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
