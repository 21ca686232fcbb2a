package diagnose

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/servicename"
)

// Route is what an Ingress, an HTTPRoute or a Gateway refers to.
type Route struct {
	Kind, Namespace, Name string // Kind as in the API: "HTTPRoute"
	Created               time.Time
	Backends              []Backend
	Secrets               []TLSSecret
	// Claims are the requests that it wants, in a form that can be compared and shown, such as "shop.test/cart".
	Claims []Claim
}

// Backend is a port of a Service to which requests are sent.
type Backend struct {
	Namespace, Service string
	Port               int32  // 0 if it is named
	PortName           string // "" if it is a number
	For                string // the requests, such as "shop.test/cart"
}

// TLSSecret is a Secret with a certificate.
type TLSSecret struct{ Namespace, Name, For string }

// Claim is what only one may have of those with the same Of.
type Claim struct {
	Of  string // class or Gateway
	For string // the requests, such as "shop.test/cart"
}

// routeCRD defines HTTPRoutes, and comes with Gateways.
const routeCRD = "httproutes.gateway.networking.k8s.io"

// canary is the annotation of ingress-nginx for an Ingress that shares host and path with another one.
const canary = "nginx.ingress.kubernetes.io/canary"

// routes looks at what Ingresses, HTTPRoutes and Gateways refer to: Services, their ports, Secrets; and at what two of them
// claim.
func (d *diagnosis) routes() {
	var all []Route
	for _, i := range d.Ingresses {
		if i.DeletionTimestamp == nil {
			all = append(all, ingressRoute(i))
		}
	}
	for _, c := range d.Definitions {
		if c.Name == routeCRD && c.DeletionTimestamp == nil {
			if a, ok := d.ask(Question{Topic: Routes}); ok {
				all = append(all, a.Routes...)
			}
		}
	}
	slices.SortFunc(all, func(a, b Route) int { // the oldest has what it claims
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	first := map[Claim]Route{}
	for _, r := range all {
		if !d.over(r.Created, serviceGrace) {
			continue
		}
		for _, b := range r.Backends {
			d.backend(r, b)
		}
		for _, s := range r.Secrets {
			d.tlsSecret(r, s)
		}
		d.claimed(r, first)
	}
}

func ingressRoute(i *networkingv1.Ingress) Route {
	r := Route{Kind: "Ingress", Namespace: i.Namespace, Name: i.Name, Created: i.CreationTimestamp.Time}
	to := func(b *networkingv1.IngressBackend, requests string) {
		if b != nil && b.Service != nil {
			r.Backends = append(r.Backends, Backend{i.Namespace, b.Service.Name, b.Service.Port.Number, b.Service.Port.Name, requests})
		}
	}
	to(i.Spec.DefaultBackend, "all other hosts")
	class := i.Annotations[classAnnotation]
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			requests := cmp.Or(rule.Host, "*") + cmp.Or(p.Path, "/")
			to(&p.Backend, requests)
			if i.Annotations[canary] != "true" {
				if p.PathType != nil && *p.PathType == networkingv1.PathTypeExact {
					requests += " (exactly)"
				}
				r.Claims = append(r.Claims, Claim{"class " + class, requests})
			}
		}
	}
	for _, t := range i.Spec.TLS {
		if t.SecretName != "" {
			r.Secrets = append(r.Secrets, TLSSecret{i.Namespace, t.SecretName, cmp.Or(listed(t.Hosts), "all hosts")})
		}
	}
	return r
}

func (r Route) finding(kind, key string) finding {
	return finding{of: owner{strings.ToLower(r.Kind), r.Namespace, r.Name}, key: key, Problem: cluster.Problem{
		Kind: kind, Severity: cluster.SeverityWarning, Since: r.Created,
		Advice: advise("change it by hand", cluster.Kubectl("edit", strings.ToLower(r.Kind)).On(r.Name).In(r.Namespace).Change()),
	}}
}

// backend reports a Service that does not exist, or lacks the port.
func (d *diagnosis) backend(r Route, b Backend) {
	f := r.finding(cluster.ProblemBackend, b.Namespace+"/"+b.Service+"/"+strconv.Itoa(int(b.Port))+b.PortName)
	f.Cause = "requests for " + b.For + " are to go there"
	s := d.service(b.Namespace, b.Service)
	if s == nil {
		var here, elsewhere []string
		for _, o := range d.Services {
			switch {
			case o.Namespace == b.Namespace:
				here = append(here, o.Name)
			case o.Name == b.Service:
				elsewhere = append(elsewhere, o.Namespace)
			}
		}
		slices.Sort(here)
		slices.Sort(elsewhere)
		f.Summary = "leads to Service " + b.Service + ", which does not exist"
		near := meant(b.Service, here)
		f.Summary += near
		if near == "" && len(elsewhere) > 0 {
			f.Cause += "; Service " + b.Service + " is in namespace " + listed(elsewhere) + ", not in " + b.Namespace
		}
		f.Advice = append(f.Advice, cluster.Advise("create it; see those that exist", cluster.Kubectl("get", "services").In(b.Namespace)))
		d.add(f)
		return
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName && len(s.Spec.Ports) == 0 || b.Port == 0 && b.PortName == "" {
		return
	}
	var names, words []string
	for _, p := range s.Spec.Ports {
		if b.PortName != "" && p.Name == b.PortName || b.PortName == "" && p.Port == b.Port {
			return
		}
		word := strconv.Itoa(int(p.Port))
		if p.Name != "" {
			names = append(names, p.Name)
			word += " (" + p.Name + ")"
		}
		words = append(words, word)
	}
	port := cmp.Or(b.PortName, strconv.Itoa(int(b.Port)))
	f.Summary = "leads to port " + port + " of Service " + s.Name + ", which has no such port"
	if b.PortName != "" {
		f.Summary += meant(b.PortName, names)
	}
	if len(words) == 1 {
		f.Cause = "Service " + s.Name + " has port " + words[0] + "; " + f.Cause
	} else if len(words) > 1 {
		f.Cause = "Service " + s.Name + " has the ports " + listed(words) + "; " + f.Cause
	}
	d.add(f)
}

// tlsSecret reports a Secret that does not exist, or has no certificate.
func (d *diagnosis) tlsSecret(r Route, s TLSSecret) {
	f := r.finding(cluster.ProblemBackend, "secret/"+s.Namespace+"/"+s.Name)
	f.Cause = "the certificate for " + s.For + " is to come from it"
	all, ok := d.ask(Question{Topic: NamesSecret, Namespace: s.Namespace})
	if !ok {
		return
	}
	if !slices.Contains(all.Lines, s.Name) {
		f.Summary = "Secret " + s.Name + " does not exist" + meant(s.Name, all.Lines)
		f.Advice = append(f.Advice, cluster.Advise("create it; see those that exist", cluster.Kubectl("get", "secrets").In(s.Namespace)))
		d.add(f)
		return
	}
	keys, ok := d.ask(Question{Topic: KeysOfSecret, Namespace: s.Namespace, Name: s.Name})
	if !ok {
		return
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if !slices.Contains(keys.Lines, key) {
			f.Summary = "Secret " + s.Name + " has no key " + key
			f.Advice = append(f.Advice, cluster.Advise("see its keys", cluster.Kubectl("describe", "secret").On(s.Name).In(s.Namespace)))
			d.add(f)
			return
		}
	}
}

// claimed reports what another Ingress or route has claimed before.
func (d *diagnosis) claimed(r Route, first map[Claim]Route) {
	for _, c := range r.Claims {
		o, taken := first[c]
		if !taken {
			first[c] = r
			if o, taken = otherKind(r, c, first); !taken {
				continue
			}
		}
		if o.Kind == r.Kind && o.Namespace == r.Namespace && o.Name == r.Name {
			continue
		}
		f := r.finding(cluster.ProblemHost, o.Kind+"/"+o.Namespace+"/"+o.Name)
		f.Summary = "claims " + c.For + ", which " + o.Kind + " " + o.Namespace + "/" + o.Name + " has"
		f.Cause = "only one of them gets the requests, usually the older one"
		d.add(f)
	}
}

// otherKind is who has claimed a host below localhost before, as an object of another kind: all of them share the port of the names
// on this machine. Routes of one kind may have different listeners there, such as one with TLS and one without.
func otherKind(r Route, c Claim, first map[Claim]Route) (_ Route, taken bool) {
	host, _, _ := strings.Cut(c.For, "/")
	if !strings.HasSuffix(host, "."+servicename.Top) || r.Kind == "Ingress" && c.Of != "class " && c.Of != "class "+cluster.GatewayClass {
		return Route{}, false
	}
	own := Claim{r.Kind + " on this machine", c.For}
	if _, known := first[own]; !known {
		first[own] = r
	}
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		if o, ok := first[Claim{kind + " on this machine", c.For}]; ok && kind != r.Kind {
			return o, true
		}
	}
	return Route{}, false
}
