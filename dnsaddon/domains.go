package dnsaddon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/search"
)

// ProblemWildcard is the Kind of a problem with a search domain.
const ProblemWildcard = "DNSSearchWildcard"

// examineSearch gives pods the search domains of the machine, at the start and when they change, but not those below which every
// name exists.
func (d *DNS) examineSearch(ctx context.Context, r *running) {
	if d.cfg.Search != cluster.DNSSearchNone {
		select {
		case <-ctx.Done():
			return
		case <-r.watcher.Synced(): // the user's configuration may say who is asked about the domain
		}
	}
	for changed := false; ; changed = true {
		d.mu.Lock()
		domains := r.search
		d.omitted, d.wildcards = nil, nil
		if d.cfg.Search == cluster.DNSSearchNone {
			d.omitted = domains
		}
		d.mu.Unlock()
		if changed {
			d.give(r) // at the start they have the node's
		}
		if d.cfg.Search != cluster.DNSSearchNone {
			d.examine(ctx, r, domains)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.searched:
		}
	}
}

// examine asks about domains until all have been answered, or others have come.
func (d *DNS) examine(ctx context.Context, r *running, domains []string) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		search.Examine(ctx, domains, func(ctx context.Context, name string) ([]string, bool) { return lookUp(ctx, r, name) },
			func(domain string, answers []string) { d.wildcard(r, domain, answers) })
	}()
	select {
	case <-done:
	case <-r.searched:
		select {
		case r.searched <- struct{}{}:
		default: // another change has refilled it
		}
	}
	cancel()
	<-done
}

// give makes pods that start from now on get the search domains.
func (d *DNS) give(r *running) {
	if d.cfg.Give == nil {
		return
	}
	d.mu.Lock()
	domains := slices.DeleteFunc(slices.Clone(r.search), func(domain string) bool { return slices.Contains(d.omitted, domain) })
	d.mu.Unlock()
	if err := d.cfg.Give(domains); err != nil {
		d.log.Error("pods still get other search domains", "want", domains, "err", err)
	}
}

// lookUp asks the upstreams for the addresses of a name.
func lookUp(ctx context.Context, r *running, name string) (answers []string, known bool) {
	for _, step := range r.server.Lookup(ctx, cluster.DNSLookup{Name: name}).Steps {
		known = known || step.Rcode == dns.RcodeToString[dns.RcodeSuccess] || step.Rcode == dns.RcodeToString[dns.RcodeNameError]
		for _, a := range step.Answers {
			if f := strings.Fields(a); len(f) > 4 && (f[3] == "A" || f[3] == "AAAA") {
				answers = append(answers, f[4])
			}
		}
	}
	return answers, known
}

// wildcard is called for each domain below which every name exists.
func (d *DNS) wildcard(r *running, domain string, answers []string) {
	p := cluster.Problem{
		Kind: ProblemWildcard, Severity: cluster.SeverityWarning, Object: "node/" + d.cfg.Node,
		Summary: fmt.Sprintf("every name below the search domain %s exists (%s)", domain, answers[0]),
		Cause:   "a pod that looks for a name with few dots would find one below the domain instead",
		Advice: []cluster.Advice{cluster.Advise("pods do not get the domain any more; to give it to them",
			cluster.Bonsai("stop").Change(), cluster.Bonsai("start").With("--dns-search", cluster.DNSSearchAll).Change())},
	}
	if d.cfg.Search == cluster.DNSSearchAll {
		p.Advice = []cluster.Advice{cluster.Advise("keep the domain from pods",
			cluster.Bonsai("stop").Change(), cluster.Bonsai("start").With("--dns-search", cluster.DNSSearchAuto).Change())}
	}
	d.mu.Lock()
	omitted := slices.Clone(d.omitted)
	if d.cfg.Search != cluster.DNSSearchAll {
		omitted = append(omitted, domain)
	}
	d.omitted, d.wildcards = omitted, append(d.wildcards, p)
	d.mu.Unlock()
	d.log.Warn("every name below a search domain exists", "domain", domain, "answers", answers, "setting", d.cfg.Search)
	if d.cfg.Search != cluster.DNSSearchAll {
		d.give(r)
	}
}
