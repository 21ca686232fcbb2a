package main

import (
	"context"
	"fmt"
	"time"
)

// nodes measures the verbs of single nodes on a running, idle cluster of three.
func (b *bench) nodes(ctx context.Context) error {
	const last = 3
	took := map[string][]time.Duration{}
	verb := func(name string, args ...string) error {
		d, err := b.timed(ctx, append([]string{"node", name, "-p", b.name}, args...)...)
		took[name] = append(took[name], d)
		return err
	}
	for i := range b.runs {
		number := fmt.Sprint(last + 1 + i)
		steps := [][]string{{"add"}, {"update", number, "--cpus", "1"}, {"stop", number}, {"start", number}, {"list"}, {"delete", number}}
		for _, s := range steps {
			if err := verb(s[0], s[1:]...); err != nil {
				return err
			}
		}
	}
	for _, f := range []struct {
		verb, what string
		goal       time.Duration
	}{
		{"add", "node add, to Ready", 2500 * time.Millisecond}, {"delete", "node delete, idle", 3 * time.Second},
		{"stop", "node stop", 3 * time.Second}, {"start", "node start, to Ready", 2500 * time.Millisecond},
		{"update", "node update --cpus", 2500 * time.Millisecond}, {"list", "node list", 2 * time.Second},
	} {
		report(f.what, f.goal, result{took: middle(took[f.verb])})
	}
	return nil
}
