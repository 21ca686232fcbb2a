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

// examineSearch finds the search domains below which every name exists, and keeps them from pods.
func (d *DNS) examineSearch(ctx context.Context, r *running) {
	if d.cfg.Search == cluster.DNSSearchNone {
		d.mu.Lock()
		d.omitted = r.search
		d.mu.Unlock()
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-r.watcher.Synced(): // the user's configuration may say who is asked about the domain
	}
	search.Examine(ctx, r.search, func(ctx context.Context, name string) ([]string, bool) { return lookUp(ctx, r, name) },
		func(domain string, answers []string) { d.wildcard(domain, answers) })
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
func (d *DNS) wildcard(domain string, answers []string) {
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
	if d.cfg.Search == cluster.DNSSearchAll || d.cfg.Omit == nil {
		return
	}
	if err := d.cfg.Omit(omitted); err != nil {
		d.log.Error("pods still get the search domain", "domain", domain, "err", err)
	}
}
