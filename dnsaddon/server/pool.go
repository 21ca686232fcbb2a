package server

import (
	"net/netip"
	"sync"
	"time"
)

// Limits of the slow path. Its work is mostly waiting for upstreams.
const (
	maxWorkers = 1024
	// maxWaiting are the questions that wait for a worker; they take half a megabyte.
	maxWaiting = 1024
	// maxPerSource keeps one client from occupying the slow path.
	maxPerSource = 512
	// maxWait is how long an answer can still be useful: resolvers give up or ask again after 2.5 to 5 seconds.
	maxWait = 3 * time.Second
)

// job is a question for the slow path.
type job struct {
	source  netip.Addr
	arrived time.Time
	// run answers the question.
	run func()
	// refuse is called instead if the question cannot be processed. It must not block.
	refuse func(why dropReason)
}

// pool runs jobs on a bounded number of goroutines. Further jobs wait, and the newest is done first: under overload the
// client that has waited longest has already given up, and a queue in order would answer none in time.
type pool struct {
	limits  poolLimits
	workers sync.WaitGroup

	mu      sync.Mutex // guards what follows
	closed  bool
	running int
	waiting jobRing
	// bySource counts the jobs that wait or run.
	bySource map[netip.Addr]int
}

// poolLimits are maxWorkers, maxWaiting, maxPerSource and maxWait, smaller in tests.
type poolLimits struct {
	workers, waiting, perSource int
	wait                        time.Duration
}

func newPool(limits poolLimits) *pool {
	return &pool{
		limits:   limits,
		waiting:  jobRing{jobs: make([]job, limits.waiting)},
		bySource: map[netip.Addr]int{},
	}
}

// submit accepts a job, and refuses it or another one if there are too many.
func (p *pool) submit(j job) {
	if loser, why, ok := p.accept(j); ok {
		loser.refuse(why)
	}
}

func (p *pool) accept(j job) (loser job, why dropReason, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return j, dropClosing, true
	case p.bySource[j.source] >= p.limits.perSource:
		return j, dropSource, true
	}
	p.bySource[j.source]++
	if p.running < p.limits.workers {
		p.running++
		p.workers.Go(func() { p.work(j) })
		return job{}, 0, false
	}
	if loser, lost = p.waiting.push(j); lost {
		p.forget(loser)
	}
	return loser, dropOverload, lost
}

// work does j, then all waiting jobs, and returns when there are none.
func (p *pool) work(j job) {
	for {
		if time.Since(j.arrived) > p.limits.wait {
			j.refuse(dropStale)
		} else {
			j.run()
		}
		p.mu.Lock()
		p.forget(j)
		next, ok := p.waiting.pop()
		if !ok {
			p.running--
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		j = next
	}
}

// forget removes a job from the count of its source; p.mu is held.
func (p *pool) forget(j job) {
	if p.bySource[j.source]--; p.bySource[j.source] <= 0 {
		delete(p.bySource, j.source)
	}
}

// close refuses everything from now on and waits for running jobs. Waiting jobs are still done.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.workers.Wait()
}

// jobRing keeps the newest jobs; it is full at len(jobs).
type jobRing struct {
	jobs        []job
	oldest, len int
}

// push adds the newest job, replacing the oldest if the ring is full.
func (r *jobRing) push(j job) (loser job, lost bool) {
	if lost = r.len == len(r.jobs); lost {
		loser = r.jobs[r.oldest]
		r.oldest = (r.oldest + 1) % len(r.jobs)
		r.len--
	}
	r.jobs[(r.oldest+r.len)%len(r.jobs)] = j
	r.len++
	return loser, lost
}

// pop takes the newest job.
func (r *jobRing) pop() (j job, ok bool) {
	if r.len == 0 {
		return job{}, false
	}
	r.len--
	at := &r.jobs[(r.oldest+r.len)%len(r.jobs)]
	j, *at = *at, job{}
	return j, true
}
