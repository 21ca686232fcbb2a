package main

import (
	"context"
	"fmt"
	"time"

	"bonsai/bootstrap/bonsaitest"
)

// Goals of clusters for Go tests: from the call to a configuration that works, and to nothing of it left.
const (
	libraryAPI    = 1200 * time.Millisecond
	libraryNodes  = 3 * time.Second
	libraryDelete = 500 * time.Millisecond
)

// library measures clusters as Go tests have them: an API server alone, and two nodes.
func (b *bench) library(ctx context.Context) error {
	for _, of := range []struct {
		what   string
		option bonsaitest.Option
		goal   time.Duration
		delete time.Duration // 0: it is not measured
	}{
		{"library: API server alone", bonsaitest.APIOnly(), libraryAPI, libraryDelete},
		{"library: two nodes", bonsaitest.Nodes(2), libraryNodes, 0},
	} {
		var starts, deletes []time.Duration
		for range b.runs {
			c, err := bonsaitest.New(ctx, bonsaitest.Executable(b.bin), bonsaitest.Home(b.home), of.option)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := c.Delete(ctx); err != nil {
				return fmt.Errorf("delete cluster %s: %w", c.Name, err)
			}
			starts, deletes = append(starts, c.Took), append(deletes, time.Since(began))
		}
		report(of.what, of.goal, result{took: middle(starts)})
		if of.delete != 0 {
			report(of.what+", delete", of.delete, result{took: middle(deletes)})
		}
	}
	return nil
}
