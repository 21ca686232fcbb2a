package compile

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"bonsai/bootstrap/gatewaytable"
)

// httpRules reads the rules of an HTTPRoute.
func (b *builder) httpRules(r *gatewayv1.HTTPRoute, out *routeRules) {
	for _, spec := range r.Spec.Rules {
		rule := gatewaytable.Rule{From: fmt.Sprintf("httproute/%s", keyOf(r))}
		if t := spec.Timeouts; t != nil {
			// There are no retries, so that the shorter of both counts.
			for _, text := range []*gatewayv1.Duration{t.Request, t.BackendRequest} {
				if d := duration(text); d > 0 && (rule.Timeout == 0 || d < rule.Timeout) {
					rule.Timeout = d
				}
			}
		}
		ok := b.filters(httpKind, r.Namespace, spec.Filters, &rule, out)
		for _, ref := range spec.BackendRefs {
			if ref.Weight != nil && *ref.Weight == 0 {
				// It gets nothing, but has to exist.
				_ = b.routeBackend(httpKind, r.Namespace, ref.BackendObjectReference, out)
				continue
			}
			w := gatewaytable.Weighted{Weight: 1, Backend: b.routeBackend(httpKind, r.Namespace, ref.BackendObjectReference, out)}
			if ref.Weight != nil {
				w.Weight = *ref.Weight
			}
			var own gatewaytable.Rule
			ok = b.filters(httpKind, r.Namespace, ref.Filters, &own, out) && ok
			w.Request, w.Response = own.Request, own.Response
			rule.Mirrors = append(rule.Mirrors, own.Mirrors...)
			rule.Backends = append(rule.Backends, w)
		}
		if !ok { // it must not be served without a filter
			rule = gatewaytable.Rule{From: rule.From, Status: http.StatusInternalServerError}
		}
		matches := spec.Matches
		if len(matches) == 0 {
			matches = []gatewayv1.HTTPRouteMatch{{}}
		}
		for _, m := range matches {
			matched := rule
			if err := match(m, &matched); err != nil {
				out.unsupported = err.Error()
				continue
			}
			out.list = append(out.list, routeRule{Rule: matched})
		}
	}
}

// match adds what a request has to be.
func match(m gatewayv1.HTTPRouteMatch, to *gatewaytable.Rule) error {
	to.Path = gatewaytable.Path{Kind: gatewaytable.PathPrefix, Value: "/"}
	if p := m.Path; p != nil {
		if p.Value != nil {
			to.Path.Value = *p.Value
		}
		if p.Type != nil {
			switch *p.Type {
			case gatewayv1.PathMatchExact:
				to.Path.Kind = gatewaytable.PathExact
			case gatewayv1.PathMatchRegularExpression:
				to.Path.Kind = gatewaytable.PathRegex
			}
		}
	}
	if m.Method != nil {
		to.Method = string(*m.Method)
	}
	for _, h := range m.Headers {
		add := gatewaytable.Match{Name: http.CanonicalHeaderKey(string(h.Name)), Value: h.Value, Regex: h.Type != nil && *h.Type == gatewayv1.HeaderMatchRegularExpression}
		// Of several with the same name, the first counts.
		if !slices.ContainsFunc(to.Headers, func(have gatewaytable.Match) bool { return have.Name == add.Name }) {
			to.Headers = append(to.Headers, add)
		}
	}
	for _, q := range m.QueryParams {
		add := gatewaytable.Match{Name: string(q.Name), Value: q.Value, Regex: q.Type != nil && *q.Type == gatewayv1.QueryParamMatchRegularExpression}
		if !slices.ContainsFunc(to.Query, func(have gatewaytable.Match) bool { return have.Name == add.Name }) {
			to.Query = append(to.Query, add)
		}
	}
	return readable(to)
}

// readable returns why a regular expression of a rule cannot be used. A data plane would refuse the whole table.
func readable(r *gatewaytable.Rule) error {
	check := func(what, text string) error {
		if _, err := regexp.Compile("^(?:" + text + ")$"); err != nil {
			return fmt.Errorf("%s %q is not a regular expression of RE2: %w", what, text, err)
		}
		return nil
	}
	if r.Path.Kind == gatewaytable.PathRegex {
		if err := check("path", r.Path.Value); err != nil {
			return err
		}
	}
	for _, m := range slices.Concat(r.Headers, r.Query) {
		if !m.Regex {
			continue
		}
		if err := check(m.Name, m.Value); err != nil {
			return err
		}
	}
	return nil
}

// filters adds what filters do to a rule. It reports whether all are known.
func (b *builder) filters(kind, namespace string, list []gatewayv1.HTTPRouteFilter, to *gatewaytable.Rule, out *routeRules) bool {
	for _, f := range list {
		switch {
		case f.RequestHeaderModifier != nil:
			to.Request = changes(f.RequestHeaderModifier)
		case f.ResponseHeaderModifier != nil:
			to.Response = changes(f.ResponseHeaderModifier)
		case f.RequestRedirect != nil:
			to.Redirect = redirect(f.RequestRedirect)
		case f.URLRewrite != nil:
			to.Rewrite = &gatewaytable.Rewrite{Path: pathChange(f.URLRewrite.Path)}
			if f.URLRewrite.Hostname != nil {
				to.Rewrite.Host = string(*f.URLRewrite.Hostname)
			}
		case f.RequestMirror != nil:
			m := gatewaytable.Mirror{Backend: b.routeBackend(kind, namespace, f.RequestMirror.BackendRef, out), Numerator: 100, Denominator: 100}
			if p := f.RequestMirror.Percent; p != nil {
				m.Numerator = *p
			}
			if fr := f.RequestMirror.Fraction; fr != nil {
				m.Numerator, m.Denominator = fr.Numerator, 100
				if fr.Denominator != nil && *fr.Denominator > 0 {
					m.Denominator = *fr.Denominator
				}
			}
			if m.Backend != noBackend {
				to.Mirrors = append(to.Mirrors, m)
			}
		case f.CORS != nil:
			to.CORS = cors(f.CORS)
		case f.ExtensionRef != nil:
			out.refs = refusal{string(gatewayv1.RouteReasonInvalidKind), fmt.Sprintf("filters of kind %s are unknown here", f.ExtensionRef.Kind)}
			return false
		default:
			out.unsupported = fmt.Sprintf("filters of type %s are not supported", f.Type)
			return false
		}
	}
	return true
}

func changes(f *gatewayv1.HTTPHeaderFilter) *gatewaytable.HeaderChanges {
	out := &gatewaytable.HeaderChanges{Remove: f.Remove}
	for _, h := range f.Set {
		out.Set = append(out.Set, gatewaytable.Header{Name: string(h.Name), Value: h.Value})
	}
	for _, h := range f.Add {
		out.Add = append(out.Add, gatewaytable.Header{Name: string(h.Name), Value: h.Value})
	}
	return out
}

func redirect(f *gatewayv1.HTTPRequestRedirectFilter) *gatewaytable.Redirect {
	out := &gatewaytable.Redirect{Status: http.StatusFound, Path: pathChange(f.Path)}
	if f.Scheme != nil {
		out.Scheme = *f.Scheme
	}
	if f.Hostname != nil {
		out.Host = string(*f.Hostname)
	}
	if f.Port != nil {
		out.Port = uint16(*f.Port)
	}
	if f.StatusCode != nil {
		out.Status = *f.StatusCode
	}
	return out
}

func pathChange(p *gatewayv1.HTTPPathModifier) *gatewaytable.PathChange {
	if p == nil {
		return nil
	}
	return &gatewaytable.PathChange{Full: p.ReplaceFullPath, Prefix: p.ReplacePrefixMatch}
}

func cors(f *gatewayv1.HTTPCORSFilter) *gatewaytable.CORS {
	out := &gatewaytable.CORS{Credentials: f.AllowCredentials != nil && *f.AllowCredentials, MaxAge: time.Duration(f.MaxAge) * time.Second}
	for _, o := range f.AllowOrigins {
		out.Origins = append(out.Origins, string(o))
	}
	for _, m := range f.AllowMethods {
		out.Methods = append(out.Methods, string(m))
	}
	for _, h := range f.AllowHeaders {
		out.Headers = append(out.Headers, string(h))
	}
	for _, h := range f.ExposeHeaders {
		out.Expose = append(out.Expose, string(h))
	}
	return out
}

// duration reads one as Gateway API writes them (GEP-2257), which is a part of Go's form.
func duration(text *gatewayv1.Duration) time.Duration {
	if text == nil {
		return 0
	}
	d, err := time.ParseDuration(string(*text))
	if err != nil {
		return 0 // the resource's definition does not let it in
	}
	return d
}
