package names

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/nearmiss"
	"bonsai/bootstrap/servicename"
	"bonsai/controlplane/observe/services"
)

// handler serves requests; life is that of the listeners.
func (s *Server) handler(life context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := s.enter()
		if !ok {
			http.Error(w, "the cluster is stopping", http.StatusServiceUnavailable)
			return
		}
		defer leave()
		if p := s.serve(life, w, r); p != nil {
			p.write(w, r)
		}
	})
}

// serve answers a request, or returns why it does not.
func (s *Server) serve(life context.Context, w http.ResponseWriter, r *http.Request) *page {
	spec, at := s.current()
	if err, _ := r.Context().Value(stranger{}).(error); err != nil {
		return &page{Status: http.StatusForbidden, Title: "This port is not yours", Cause: err.Error()}
	}
	host := hostOf(r.Host)
	if err := sitesOf(spec, at, r).check(r); err != nil {
		return foreignPage(spec, r, err)
	}
	if r.Method == http.MethodConnect || r.URL.IsAbs() {
		return s.proxy(life, w, r)
	}
	if servicename.IsDashboard(host) { // whose cookies are for no app
		return wrongHost(spec, r.Host, errors.New("names of this kind are those of dashboards, which have ports of their own"))
	}
	if addr, err := netip.ParseAddr(host); host == servicename.Top || err == nil && addr.IsLoopback() {
		return s.index(w, r, spec, at)
	}
	t, bad := servicename.Parse(host)
	service := bad == nil && (t.Cluster == "" || t.Cluster == spec.Name) // that it may be
	if exact, wild := s.hostFor(host); exact == nil && wild == nil && !service {
		return s.notHere(spec, t, bad, r)
	}
	done, err := s.o.Use(r.Context(), "a request to "+host)
	if err != nil {
		return &page{Status: http.StatusServiceUnavailable, Title: "The cluster does not answer", Cause: err.Error(), Next: []next{{Command: cluster.Bonsai("status").Of(spec.Name)}}}
	}
	defer done()
	exact, wild := s.hostFor(host) // again: a cluster that was paused has compiled them in the meantime
	switch {
	case exact != nil:
		return s.toGateway(w, r, spec, *exact)
	case service: // which has its name before a wildcard does
		to, p := s.find(r.Context(), spec, t)
		if p == nil {
			s.forward(w, r, to)
			return nil
		}
		if wild == nil || p.Status != http.StatusNotFound || to.service.Name != "" {
			return p
		}
	case wild == nil: // it has just gone
		return s.notHere(spec, t, bad, r)
	}
	return s.toGateway(w, r, spec, *wild)
}

// notHere is the page for a host that is none of this cluster's; bad is why it is not the name of a Service at all.
func (s *Server) notHere(spec cluster.Spec, t servicename.Target, bad error, r *http.Request) *page {
	if bad != nil {
		return wrongHost(spec, r.Host, bad)
	}
	return s.otherCluster(spec, t, r)
}

// destination is where a request goes.
type destination struct {
	target  servicename.Target
	service services.Service
	port    servicename.Port
	// address is that of the Service, or of a pod of one without an address.
	address string
	cluster string
}

// find is where a name leads, or the page that says why it leads nowhere.
func (s *Server) find(ctx context.Context, spec cluster.Spec, t servicename.Target) (destination, *page) {
	to := destination{target: t, cluster: spec.Name}
	service, ok, err := s.o.Directory.Service(ctx, t.Namespace, t.Service)
	if split, can := t.Split(); can && err == nil && (!ok || t.Pod != "") {
		if other, found, e := s.o.Directory.Service(ctx, split.Namespace, split.Service); e == nil && found {
			service, ok, to.target = other, true, split
		} else if e != nil {
			err = e
		}
	}
	switch {
	case err != nil:
		return to, unavailable(spec, err)
	case !ok:
		return to, s.noService(ctx, spec, to.target)
	case service.External != "":
		return to, &page{
			Status: http.StatusBadGateway, Title: fmt.Sprintf("Service %s/%s is another name of %s", service.Namespace, service.Name, service.External),
			Cause: "that is outside the cluster, and is not reached through it",
		}
	}
	to.service = service
	if to.port, ok = servicename.Choose(service.Ports, to.target.Port); !ok {
		return to, noPort(spec, service, to.target)
	}
	if service.IP.IsValid() && to.target.Pod == "" {
		to.address = netip.AddrPortFrom(service.IP, uint16(to.port.Number)).String()
		return to, nil
	}
	endpoints, err := s.o.Directory.Endpoints(ctx, service.Namespace, service.Name)
	if err != nil {
		return to, unavailable(spec, err)
	}
	one, ok := pick(endpoints, to.target.Pod)
	port := one.Ports[to.port.Name]
	if !ok || port == 0 {
		return to, noEndpoint(to, endpoints, nil)
	}
	to.address = netip.AddrPortFrom(one.IP, uint16(port)).String()
	return to, nil
}

// pick is one of the endpoints that are ready, or the one of a pod.
func pick(all []services.Endpoint, pod string) (one services.Endpoint, ok bool) {
	var ready []services.Endpoint
	for _, e := range all {
		if pod != "" && e.Host != pod && e.Pod != pod {
			continue
		}
		if e.Ready || pod != "" { // whoever names a pod wants to see it, above all when it is not ready
			ready = append(ready, e)
		}
	}
	if len(ready) == 0 {
		return one, false
	}
	return ready[rand.IntN(len(ready))], true
}

// forward sends a request to an app, and its answer back.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, to destination) {
	scheme := "http"
	speaks := to.port.Speaks()
	if speaks == servicename.HTTPS {
		scheme = "https"
	}
	proxy := s.reverseProxy(w, r, s.transport.transportFor(speaks, r), func(err error) *page { return s.failed(r.Context(), to, err) })
	proxy.Rewrite = func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: scheme, Host: to.address})
		p.Out.Host = r.Host // so that links and redirects of the app lead back here
		p.SetXForwarded()
	}
	proxy.ServeHTTP(w, r)
}

// reverseProxy is one without Rewrite for a request; failed is the page for an error.
func (s *Server) reverseProxy(w http.ResponseWriter, r *http.Request, transport http.RoundTripper, failed func(error) *page) *httputil.ReverseProxy {
	if r.ProtoMajor == 1 {
		// Else an answer that comes before the end of a large upload would be held back. Of other protocols that is so anyway.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	return &httputil.ReverseProxy{
		Transport: transport, BufferPool: s.buffers, ErrorLog: s.errorLog,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // nobody is there to read an answer
			}
			failed(err).write(w, r)
		},
	}
}

// isGRPC says whether a request is one of gRPC, which is HTTP/2 only.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// failed is the page for an app that does not answer.
func (s *Server) failed(ctx context.Context, to destination, err error) *page {
	s.o.Log.Debug("a name does not answer", "service", to.service.Namespace+"/"+to.service.Name, "err", err)
	spec, _ := s.current()
	if len(spec.ActiveNodes()) == 0 {
		return &page{
			Status: http.StatusServiceUnavailable, Title: "The cluster has no node that runs", Cause: "pods are reached through nodes",
			Next: []next{{Command: cluster.Bonsai("node", "list").Of(spec.Name)}},
		}
	}
	endpoints, e := s.o.Directory.Endpoints(ctx, to.service.Namespace, to.service.Name)
	if e != nil {
		return unavailable(spec, errors.Join(err, e))
	}
	if _, ready := pick(endpoints, to.target.Pod); !ready {
		return noEndpoint(to, endpoints, err)
	}
	return appFailed(to, err)
}

// otherCluster is the page for a name of another cluster, whose port is another one.
func (s *Server) otherCluster(spec cluster.Spec, t servicename.Target, r *http.Request) *page {
	p := &page{Status: http.StatusNotFound, Title: fmt.Sprintf("This is the port of cluster %s", spec.Name), Cause: fmt.Sprintf("the name says cluster %s", t.Cluster)}
	port, ok := s.o.Elsewhere(t.Cluster)
	if !ok {
		p.Cause += ", of which no port is known"
		p.Next = []next{{Text: "see the clusters", Command: cluster.Bonsai("profile", "list").OfNone()}}
		return p
	}
	host := hostOf(r.Host)
	if port != 80 {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	}
	p.Links = []link{{Text: "the same name at that cluster's port", URL: (&url.URL{Scheme: "http", Host: host, Path: "/"}).String()}}
	return p
}

// noService is the page for a Service that does not exist.
func (s *Server) noService(ctx context.Context, spec cluster.Spec, t servicename.Target) *page {
	p := &page{
		Status: http.StatusNotFound, Title: fmt.Sprintf("Namespace %s has no Service %s", t.Namespace, t.Service), Cause: "cluster " + spec.Name + " does not have it",
		Next: []next{{Text: "see all Services", Command: cluster.Bonsai("service").Of(spec.Name)}},
	}
	all, err := s.o.Directory.Services(ctx)
	if err != nil {
		return p
	}
	var exist []nearmiss.Service
	for _, one := range all {
		exist = append(exist, nearmiss.Service{Namespace: one.Namespace, Name: one.Name})
	}
	_, at := s.current()
	for _, m := range nearmiss.Find(t.Service+"."+t.Namespace, t.Namespace, exist) {
		p.Links = append(p.Links, link{Text: m.Service.Namespace + "/" + m.Service.Name, URL: servicename.URL(at.Port, m.Service.Namespace, m.Service.Name, t.Port)})
	}
	if len(p.Links) > 0 {
		p.Cause = "similar names exist"
	}
	return p
}

// unavailable is the page for a control plane that does not answer.
func unavailable(spec cluster.Spec, err error) *page {
	title := "The control plane does not answer"
	if fault.KindOf(err) == fault.NotRunning {
		title = "The cluster is not ready"
	}
	return &page{Status: http.StatusServiceUnavailable, Title: title, Cause: err.Error(), Next: []next{{Command: cluster.Bonsai("status").Of(spec.Name)}}}
}
