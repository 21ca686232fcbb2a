package diagnose

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

const (
	// recently is how long a failed lookup counts.
	recently = time.Minute
	// often is how many times a pod that is otherwise healthy has to ask without success: a first question may come too
	// early.
	often = 3
	// maxHosts is how many names of one log are looked at.
	maxHosts = 3
)

// notResolved are the ways in which programs report that a name does not exist; the name is captured.
var notResolved = []*regexp.Regexp{
	regexp.MustCompile(`lookup ([^\s:]+)(?: on \S+)?: no such host`),                                                                             // Go
	regexp.MustCompile(`(?:ENOTFOUND|EAI_AGAIN) ([^\s'",]+)`),                                                                                    // Node.js
	regexp.MustCompile(`(?i)could not resolve host(?:name)?:? "?'?([^\s'";]+)`),                                                                  // curl, git, ssh
	regexp.MustCompile(`bad address '([^']+)'`),                                                                                                  // busybox
	regexp.MustCompile(`server can't find ([^\s:]+): NXDOMAIN`),                                                                                  // nslookup
	regexp.MustCompile(`UnknownHostException: ([^\s:]+)`),                                                                                        // Java
	regexp.MustCompile(`could not translate host name "([^"]+)"`),                                                                                // libpq
	regexp.MustCompile(`Unknown MySQL server host '([^']+)'`),                                                                                    // MySQL
	regexp.MustCompile(`host not found in (?:upstream|resolver) "([^":]+)`),                                                                      // nginx
	regexp.MustCompile(`unable to resolve host address [‘'"]?([^\s’'"]+)`),                                                                       // wget
	regexp.MustCompile(`Failed to resolve '([^']+)'`),                                                                                            // urllib3
	regexp.MustCompile(`host='([^']+)'.*(?:Name or service not known|Name does not resolve)`),                                                    // requests
	regexp.MustCompile(`connecting to ([^\s:]+):\d+\. (?:Name or service not known|Name does not resolve|Temporary failure in name resolution)`), // redis-py
	regexp.MustCompile(`([\w][\w.-]*): (?:Name or service not known|Name does not resolve|Temporary failure in name resolution|nodename nor servname)`),
}

// hostsIn are the names that a log complains about, the last one first.
func hostsIn(lines []string) (hosts []string) {
	for _, l := range slices.Backward(lines) {
		for _, r := range notResolved {
			if m := r.FindStringSubmatch(l); m != nil {
				h, _, _ := strings.Cut(strings.ToLower(m[1]), ":") // with a port, or without
				if h = strings.TrimSuffix(h, "."); h != "" && !slices.Contains(hosts, h) && isHost(h) {
					hosts = append(hosts, h)
				}
				break
			}
		}
		if len(hosts) == maxHosts {
			break
		}
	}
	return hosts
}

// isHost excludes other matches of the looser patterns.
func isHost(h string) bool {
	if len(h) > 253 || strings.Trim(h, "0123456789.") == "" {
		return false
	}
	return strings.IndexFunc(h, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '_')
	}) < 0 && !slices.Contains([]string{"error", "gaierror", "getaddrinfo"}, h)
}

// nameMissing looks for a name that a container which exited did not find.
func (d *diagnosis) nameMissing(c container, e ending, lines []string, f *finding) bool {
	seen := d.lookups[podName(c.pod)]
	hosts := hostsIn(lines)
	for _, l := range slices.Backward(seen) { // what the log says comes first
		if l.Count > 1 && !slices.Contains(hosts, l.Name) && d.Now.Sub(l.Last) < backOffMax && d.worthReporting(l.Name, c.pod.Namespace) {
			hosts = append(hosts, l.Name)
		}
	}
	for _, host := range hosts {
		exists, sure := d.exists(host, c.pod.Namespace)
		if !sure {
			q := Question{Topic: Lookup, Namespace: c.pod.Namespace, Name: c.pod.Name, Host: host}
			a, ok := d.ask(q)
			exists = !ok || a.Found
			if d.Answers[q].Failed { // then the log counts, if a mistake is likely
				suggestion, _ := d.nearMiss(host, c.pod.Namespace)
				exists = suggestion == ""
			}
		}
		if exists {
			continue // by now, or it is unknown
		}
		d.tellName(f, host, c.pod.Namespace)
		f.Cause += "; because of that " + c.word() + " " + exitWords(c, e)
		if i := slices.IndexFunc(seen, func(l FailedLookup) bool { return l.Name == host }); i >= 0 {
			f.Evidence = append(f.Evidence, lookupWords(seen[i]))
		}
		d.named[podName(c.pod)+" "+host] = true
		f.Advice = correctName(host, c.pod)
		return true
	}
	return false
}

// tellName fills in what is known about a name that does not exist.
func (d *diagnosis) tellName(f *finding, host, namespace string) {
	f.Kind, f.key = cluster.ProblemName, host
	f.Summary = "asks DNS for " + host + ": no such name"
	f.Cause = "nothing has this name"
	if suggestion, why := d.nearMiss(host, namespace); suggestion != "" {
		f.Summary += "; meant " + suggestion + "?"
		f.Cause = why
	} else if service, in, ok := serviceName(host, namespace); ok {
		f.Cause = "there is no Service " + service + " in namespace " + in
		if len(d.Namespaces) > 0 && !slices.ContainsFunc(d.Namespaces, func(n *corev1.Namespace) bool { return n.Name == in }) {
			f.Cause = "there is no namespace " + in
		}
	}
}

// silentLookups reports names that pods keep asking for without success and without exiting because of it.
func (d *diagnosis) silentLookups() {
	for _, p := range d.Pods {
		if p.DeletionTimestamp != nil || p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			continue
		}
		for _, l := range d.lookups[podName(p)] {
			if l.Count < often || d.named[podName(p)+" "+l.Name] || !d.worthReporting(l.Name, p.Namespace) {
				continue
			}
			if d.over(l.Last, recently) {
				continue
			}
			f := finding{of: d.ownerOf(p), pod: p, Problem: cluster.Problem{Severity: cluster.SeverityWarning, Since: l.First}}
			d.tellName(&f, l.Name, p.Namespace)
			f.Evidence = []string{lookupWords(l)}
			f.Advice = correctName(l.Name, p)
			d.add(f)
		}
	}
}

// correctName is what to do about a name that a pod asks for and that does not exist.
func correctName(host string, p *corev1.Pod) []cluster.Advice {
	return advise("correct the name where the pod gets it from; see how it is looked up",
		cluster.Bonsai("dns", "query").On(host).With("--from", podName(p), "--trace"))
}

// lookupWords is what DNS has seen of a failed lookup.
func lookupWords(l FailedLookup) string {
	text := "DNS: " + count(l.Count, "lookup") + " of " + l.Name + ", and no such name"
	if len(l.Tries) > 1 {
		var tries []string
		for _, t := range lastOf(l.Tries, 4) {
			tries = append(tries, strings.TrimSuffix(t, "."))
		}
		text += "; tried " + listed(tries)
	}
	return text
}

// worthReporting reports whether a name that does not exist is certainly a mistake: it is one of the cluster's, or
// resembles an existing Service. Programs try many other names on purpose.
func (d *diagnosis) worthReporting(host, namespace string) bool {
	if exists, sure := d.exists(host, namespace); sure {
		return !exists
	}
	suggestion, _ := d.nearMiss(host, namespace)
	return suggestion != ""
}

// exists reports whether a name leads to a Service; sure is false if it may be a name of something else.
func (d *diagnosis) exists(host, namespace string) (exists, sure bool) {
	service, in, ok := serviceName(host, namespace)
	if !ok {
		return false, false
	}
	for _, s := range d.Services {
		if s.Name == service && s.Namespace == in {
			return true, true
		}
	}
	return false, inClusterDomain(host)
}

func inClusterDomain(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, "."+cluster.ClusterDomain)
}

// serviceName parses a name as that of a Service: web, web.shop, web.shop.svc, db-0.db.shop.svc, each with or without
// the cluster's domain.
func serviceName(host, namespace string) (service, in string, ok bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(host), "."), "."+cluster.ClusterDomain)
	bare, svc := strings.CutSuffix(host, ".svc")
	labels := strings.Split(bare, ".")
	switch n := len(labels); {
	case slices.Contains(labels, ""):
	case n == 1 && !svc:
		return labels[0], namespace, true
	case n == 2:
		return labels[0], labels[1], true
	case n > 2 && n < 5 && svc: // a pod of a headless Service, or a port's SRV name
		return labels[n-2], labels[n-1], true
	}
	return "", "", false
}
