// Package search examines the search domains that a node has from its machine. Below some every name exists, because the
// domain has a wildcard: a pod that looks for www.example.com finds www.example.com.corp.test first, and talks to the wrong
// server. Begin reading at Examine.
package search

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

const (
	// tries is how often a domain is asked about until somebody answers, in pauses that double from firstPause: the network may
	// come up later than the node, but a machine without one is not asked for ever.
	tries      = 5
	firstPause = 2 * time.Second
	// maxName is the length of a name with its final dot; a domain for which this leaves no room has no wildcard to fear.
	maxName = 254
)

// Ask looks up a name. known is false if nobody could say whether it exists; answers are its addresses.
type Ask func(ctx context.Context, name string) (answers []string, known bool)

// Examine asks once for a random name below each domain, all at the same time, and calls wildcard for those in which it exists.
// It returns when all have been answered, and gives up on those that nobody answers. wildcard is never called concurrently.
func Examine(ctx context.Context, domains []string, ask Ask, wildcard func(domain string, answers []string)) {
	var mu sync.Mutex // held while wildcard runs
	var all sync.WaitGroup
	for _, domain := range domains {
		all.Go(func() {
			if answers := examine(ctx, domain, ask); len(answers) > 0 {
				mu.Lock()
				defer mu.Unlock()
				wildcard(domain, answers)
			}
		})
	}
	all.Wait()
}

func examine(ctx context.Context, domain string, ask Ask) []string {
	name := strings.ToLower(rand.Text()) + "." + strings.Trim(domain, ".") + "."
	if strings.Trim(domain, ".") == "" || len(name) > maxName {
		return nil
	}
	pause := firstPause
	for range tries {
		answers, known := ask(ctx, name)
		if known {
			return answers
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause *= 2
	}
	return nil
}
