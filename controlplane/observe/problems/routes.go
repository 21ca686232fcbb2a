package problems

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"bonsai/controlplane/observe/problems/diagnose"
)

// gatewayAPI is where the API server has the kinds of Gateway API (https://gateway-api.sigs.k8s.io/reference/spec/).
const gatewayAPI = "/apis/gateway.networking.k8s.io/v1/"

// reference is a ParentReference, BackendObjectReference or SecretObjectReference.
type reference struct {
	Group       *string `json:"group"`
	Kind        *string `json:"kind"`
	Namespace   *string `json:"namespace"`
	Name        string  `json:"name"`
	SectionName *string `json:"sectionName"`
	Port        *int32  `json:"port"`
}

// is reports whether it refers to a kind, which is the default of references that name none.
func (r reference) is(group, kind string) bool {
	return orElse(r.Group, group) == group && orElse(r.Kind, kind) == kind
}

func orElse(s *string, other string) string {
	if s == nil {
		return other
	}
	return *s
}

// httpRoute is what a diagnosis reads of an HTTPRoute.
type httpRoute struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRefs []reference `json:"parentRefs"`
		Hostnames  []string    `json:"hostnames"`
		Rules      []struct {
			Matches []struct {
				Path *struct {
					Type  string `json:"type"`
					Value string `json:"value"`
				} `json:"path"`
				Headers     []json.RawMessage `json:"headers"`
				QueryParams []json.RawMessage `json:"queryParams"`
				Method      string            `json:"method"`
			} `json:"matches"`
			BackendRefs []reference `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

// gateway is what a diagnosis reads of a Gateway.
type gateway struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Listeners []struct {
			Name     string `json:"name"`
			Hostname string `json:"hostname"`
			TLS      *struct {
				CertificateRefs []reference `json:"certificateRefs"`
			} `json:"tls"`
		} `json:"listeners"`
	} `json:"spec"`
}

// routes reads the HTTPRoutes and Gateways of a cluster that has these kinds.
func routes(ctx context.Context, client rest.Interface) (all []diagnose.Route, err error) {
	var list struct {
		Items []httpRoute `json:"items"`
	}
	if err := read(ctx, client, "httproutes", &list); err != nil {
		return nil, err
	}
	for _, r := range list.Items {
		if r.DeletionTimestamp == nil {
			all = append(all, r.route())
		}
	}
	var gateways struct {
		Items []gateway `json:"items"`
	}
	if err := read(ctx, client, "gateways", &gateways); err != nil {
		return nil, err
	}
	for _, g := range gateways.Items {
		if g.DeletionTimestamp == nil {
			all = append(all, g.route())
		}
	}
	return all, nil
}

func read(ctx context.Context, client rest.Interface, resource string, into any) error {
	data, err := client.Get().AbsPath(gatewayAPI+resource).Param("limit", fmt.Sprint(maxNames)).DoRaw(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func (r *httpRoute) route() diagnose.Route {
	out := diagnose.Route{Kind: "HTTPRoute", Namespace: r.Namespace, Name: r.Name, Created: r.CreationTimestamp.Time}
	hosts := r.Spec.Hostnames
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	for _, rule := range r.Spec.Rules {
		for _, b := range rule.BackendRefs {
			if b.is("", "Service") {
				one := diagnose.Backend{Namespace: orElse(b.Namespace, r.Namespace), Service: b.Name, For: hosts[0] + "/"}
				if len(rule.Matches) > 0 && rule.Matches[0].Path != nil {
					one.For = hosts[0] + cmp.Or(rule.Matches[0].Path.Value, "/")
				}
				if b.Port != nil {
					one.Port = *b.Port
				}
				out.Backends = append(out.Backends, one)
			}
		}
		var paths []string
		for _, m := range rule.Matches {
			path := "/"
			switch {
			case len(m.Headers) > 0 || len(m.QueryParams) > 0 || m.Method != "" && m.Method != "*":
				continue // which narrow it down
			case m.Path != nil && m.Path.Type == "Exact":
				path = cmp.Or(m.Path.Value, path) + " (exactly)"
			case m.Path != nil:
				path = cmp.Or(m.Path.Value, path)
			}
			paths = append(paths, path)
		}
		if len(rule.Matches) == 0 {
			paths = []string{"/"}
		}
		for _, p := range r.Spec.ParentRefs {
			if !p.is("gateway.networking.k8s.io", "Gateway") {
				continue
			}
			of := fmt.Sprintf("gateway %s/%s/%s/", orElse(p.Namespace, r.Namespace), p.Name, orElse(p.SectionName, ""))
			for _, h := range hosts {
				for _, path := range paths {
					out.Claims = append(out.Claims, diagnose.Claim{Of: of, For: h + path})
				}
			}
		}
	}
	return out
}

func (g *gateway) route() diagnose.Route {
	out := diagnose.Route{Kind: "Gateway", Namespace: g.Namespace, Name: g.Name, Created: g.CreationTimestamp.Time}
	for _, l := range g.Spec.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, c := range l.TLS.CertificateRefs {
			if c.is("", "Secret") {
				out.Secrets = append(out.Secrets, diagnose.TLSSecret{Namespace: orElse(c.Namespace, g.Namespace), Name: c.Name, For: cmp.Or(l.Hostname, "listener "+l.Name)})
			}
		}
	}
	return out
}
