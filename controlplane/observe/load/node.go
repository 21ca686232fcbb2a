package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
)

const (
	// askInterval is the pause between two questions to a node.
	askInterval = 2 * time.Second
	// secondQuestion comes sooner, so that the first Load has figures already.
	secondQuestion = cluster.LoadInterval * 3 / 4
	// answerLimit bounds a question.
	answerLimit = time.Second
)

// node is one node that is asked again and again, apart from all others: one that is gone holds up nobody.
type node struct {
	plan cluster.Node
	stop func() // and wait

	mu   sync.Mutex // guards the rest
	last cluster.NodeUsage
}

// newest returns what the node last told. Its Pods are not to be changed.
func (n *node) newest() cluster.NodeUsage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

// ask begins to ask a node.
func (v *View) ask(plan cluster.Node) *node {
	n := &node{plan: plan, last: cluster.NodeUsage{Node: plan.Name}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.run(ctx, http.Client{Transport: v.Agent(plan)}, v.Scale.Of(answerLimit)) })
	n.stop = func() {
		cancel()
		running.Wait()
	}
	return n
}

func (n *node) run(ctx context.Context, client http.Client, limit time.Duration) {
	defer client.CloseIdleConnections()
	address := "https://" + netip.AddrPortFrom(n.plan.IP, cluster.AgentPort).String() + "/v1/usage"
	for before := (*cluster.NodeCounters)(nil); ; {
		pause := askInterval
		r, err := read(ctx, client, address, limit)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			n.failed(err)
		case before == nil:
			before, pause = r, secondQuestion
		default:
			n.measured(between(*before, *r))
			before = r
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (n *node) measured(u cluster.NodeUsage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	u.Node = n.plan.Name
	n.last = u
}

func (n *node) failed(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last.Reason = err.Error()
}

// read asks the agent once.
func read(ctx context.Context, client http.Client, address string, limit time.Duration) (*cluster.NodeCounters, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		// The address says nothing to a user, who knows nodes by name.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("its agent did not answer in time")
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	// All of it, so that the connection can be used again.
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read its answer: %w", err)
	case resp.StatusCode == http.StatusNotFound:
		return nil, errors.New("its agent is of an older version, which cannot measure; restart the cluster")
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	r := &cluster.NodeCounters{}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	return r, nil
}
