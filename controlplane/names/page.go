package names

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/servicename"
	"bonsai/bootstrap/termsafe"
	"bonsai/controlplane/observe/services"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is an answer of the server itself: why a request leads to no app, and what to do. Its texts may have names from the
// cluster, and from whoever sends requests.
type page struct {
	Status       int
	Title, Cause string
	Links        []link
	Next         []next
}

// link leads somewhere else.
type link struct{ Text, URL, Note string }

// next is what to type next.
type next struct {
	Text    string
	Command cluster.Command
}

// write answers with the page: HTML for browsers, plain text for everybody else.
func (p *page) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(p.Status)
		_, _ = w.Write([]byte(p.text()))
		return
	}
	// Nothing is loaded, and no script runs, whatever a name may have brought in.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(p.Status)
	_ = pageTemplate.Execute(w, p) // into a connection that may be gone
}

// text is the page for a terminal.
func (p *page) text() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(termsafe.String(fmt.Sprintf(format, args...)))
		b.WriteByte('\n')
	}
	line("bonsai: %s", p.Title)
	if p.Cause != "" {
		line("  cause: %s", p.Cause)
	}
	for _, l := range p.Links {
		line("  %s  %s", l.URL, l.Note)
	}
	for _, n := range p.Next {
		if n.Text == "" {
			line("  %s", n.Command)
		} else {
			line("  %s:  %s", n.Text, n.Command)
		}
	}
	return b.String()
}

// index lists the Services, and has the file for browsers that use the proxy.
func (s *Server) index(w http.ResponseWriter, r *http.Request, spec cluster.Spec, at cluster.Names) *page {
	if r.URL.Path == cluster.PACPath && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
		_, _ = w.Write([]byte(pac(spec, at.Port)))
		return nil
	}
	if r.URL.Path != "/" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return wrongHost(spec, r.Host, servicename.ErrForeign)
	}
	all, err := s.o.Directory.Services(r.Context())
	if err != nil {
		return unavailable(spec, err)
	}
	slices.SortFunc(all, func(a, b services.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	p := &page{Status: http.StatusOK, Title: "Services of cluster " + spec.Name}
	add := func(text, url, note string) {
		if r.TLS != nil {
			url = servicename.Secure(at.Secure(), url)
		}
		p.Links = append(p.Links, link{Text: text, URL: url, Note: note})
	}
	for _, h := range s.Status().Hosts {
		if !strings.HasPrefix(h.Host, "*") {
			add(h.Host, servicename.HostURL(at.Port, h.Host, false), claimants(h, all))
		}
	}
	for _, one := range all {
		for _, port := range one.Ports {
			if port.TCP() && port.Speaks() != servicename.Other && one.External == "" {
				add(one.Namespace+"/"+one.Name, servicename.URL(at.Port, one.Namespace, one.Name, servicename.PortIn(one.Ports, port)), "")
			}
		}
	}
	return p
}

// claimants says whose a host is, and who else would like to have it.
func claimants(h cluster.NamedHost, all []services.Service) string {
	note := "from " + strings.Join(h.From, " and ")
	if len(h.Also) > 0 {
		note += "; " + strings.Join(h.Also, " and ") + " claims it, too, and gets what that has no rule for"
	}
	if t, err := servicename.Parse(h.Host); err == nil && slices.ContainsFunc(all, func(s services.Service) bool { return s.Namespace == t.Namespace && s.Name == t.Service }) {
		note += "; it is before Service " + t.Namespace + "/" + t.Service + ", which has this name as well"
	}
	return note
}

// wrongHost is the page for a request with a host that is not a name. A page of the Internet may have made its own name lead
// here (DNS rebinding), so that no app may answer.
func wrongHost(spec cluster.Spec, host string, err error) *page {
	return &page{
		Status: http.StatusMisdirectedRequest, Title: fmt.Sprintf("%q is not the name of a Service", host),
		Cause: err.Error() + "; a name here is SERVICE.NAMESPACE.localhost",
		Next:  []next{{Text: "see all Services", Command: cluster.Bonsai("service").Of(spec.Name)}},
	}
}

// foreignPage is the page for a request of a page of another site.
func foreignPage(spec cluster.Spec, r *http.Request, err error) *page {
	origin := cmp.Or(r.Header.Get("Origin"), "ORIGIN")
	allow := cluster.Bonsai("addons", "configure").On(cluster.NamesAddon, cluster.NamesOriginsSetting+"="+origin).Of(spec.Name).Change()
	if origin == "ORIGIN" || origin == "null" {
		allow = allow.Fill(cluster.NamesOriginsSetting + "=" + origin)
	}
	return &page{Status: http.StatusForbidden, Title: "A page of another site may not use the cluster", Cause: err.Error(), Next: []next{{Text: "let it", Command: allow}}}
}

// noPort is the page for a Service without the port that is meant.
func noPort(spec cluster.Spec, service services.Service, t servicename.Target) *page {
	p := &page{Status: http.StatusNotFound, Title: fmt.Sprintf("Service %s/%s has no port %s for TCP", service.Namespace, service.Name, t.Port)}
	if t.Port == "" {
		p.Title = fmt.Sprintf("Service %s/%s has no port for TCP", service.Namespace, service.Name)
	}
	var have []string
	for _, port := range service.Ports {
		have = append(have, fmt.Sprintf("%s %d/%s", port.Name, port.Number, cmp.Or(port.Protocol, "TCP")))
	}
	p.Cause = "it has " + cmp.Or(strings.Join(have, ", "), "none")
	p.Next = []next{{Command: cluster.Kubectl("describe", "service").On(service.Name).In(service.Namespace).Of(spec.Name)}}
	return p
}

// noEndpoint is the page for a Service with no pod that is ready. err is what dialling it resulted in, nil if it was not dialled.
func noEndpoint(to destination, all []services.Endpoint, err error) *page {
	of := to.service.Namespace + "/" + to.service.Name
	p := &page{Status: http.StatusServiceUnavailable, Title: fmt.Sprintf("No pod of Service %s is ready", of)}
	describe := next{Command: cluster.Kubectl("describe", "service").On(to.service.Name).In(to.service.Namespace).Of(to.cluster)}
	pods := next{Text: "see the pods", Command: cluster.Kubectl("get", "pods").In(to.service.Namespace).Of(to.cluster)}
	switch {
	case to.target.Pod != "":
		p.Status, p.Title = http.StatusNotFound, fmt.Sprintf("Service %s has no pod %s", of, to.target.Pod)
		p.Next = []next{pods}
	case len(all) == 0:
		p.Title, p.Cause = fmt.Sprintf("Service %s has no pods", of), "its selector matches none, or they are not scheduled yet"
		p.Next = []next{describe, pods}
	default:
		p.Cause = fmt.Sprintf("of its %d pods none is ready", len(all))
		p.Next = []next{pods, {Text: "see why", Command: cluster.Bonsai("status").Of(to.cluster)}}
	}
	if err != nil && p.Cause == "" {
		p.Cause = err.Error()
	}
	return p
}

// speaksFirst is in net/http's error for a server that sends something before the request, as those of mail and databases do.
const speaksFirst = "readLoopPeekFailLocked"

// appFailed is the page for an app that is there, and does not answer as it should.
func appFailed(to destination, err error) *page {
	of, port := to.service.Namespace+"/"+to.service.Name, to.port.Number
	p := &page{Status: http.StatusBadGateway, Title: fmt.Sprintf("Service %s does not answer", of), Cause: err.Error()}
	text := err.Error()
	describe := next{Command: cluster.Kubectl("describe", "service").On(to.service.Name).In(to.service.Namespace).Of(to.cluster)}
	switch {
	case isRefused(err) && strings.Contains(text, "connection refused"):
		p.Title = fmt.Sprintf("The app behind Service %s refuses the connection", of)
		p.Cause = fmt.Sprintf("its pods are ready, and nothing listens at the port that port %d of the Service leads to", port)
		p.Next = []next{describe}
	case strings.Contains(text, "malformed HTTP response \"\\x15\\x03"):
		p.Title = fmt.Sprintf("Port %d of Service %s wants TLS", port, of)
		p.Cause = "neither its name nor its appProtocol says so; https would"
		p.Next = []next{describe}
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "frame header looked like"), strings.Contains(text, speaksFirst):
		if strings.Contains(text, speaksFirst) {
			p.Cause = "it sends something before it is asked"
		}
		p.Title = fmt.Sprintf("Port %d of Service %s does not speak HTTP", port, of)
		p.Next = []next{{Text: "a port of this machine leads to it", Command: cluster.Bonsai("port", "add").On(fmt.Sprintf("%d:%s:%d", max(port, 1024), of, port)).Of(to.cluster).Change()}}
	default:
		p.Next = []next{{Text: "see the pods", Command: cluster.Kubectl("get", "pods").In(to.service.Namespace).Of(to.cluster)}}
	}
	return p
}
