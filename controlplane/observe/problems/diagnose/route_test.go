package diagnose

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

// served is an Ingress that a controller serves: shop.test/ is sent to port 80 of Service web.
func served(name string, age time.Duration, change ...func(*networkingv1.Ingress)) *networkingv1.Ingress {
	i := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: ago(age)},
		Spec: networkingv1.IngressSpec{IngressClassName: new("nginx"), Rules: []networkingv1.IngressRule{{
			Host: "shop.test", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: new(networkingv1.PathTypePrefix), Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
				},
			}}}},
		}}},
		Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}}},
	}
	for _, f := range change {
		f(i)
	}
	return i
}

func backendOf(i *networkingv1.Ingress) *networkingv1.IngressServiceBackend {
	return i.Spec.Rules[0].HTTP.Paths[0].Backend.Service
}

func TestWhatIngressesReferTo(t *testing.T) {
	const object, goes = "ingress/shop/web", "requests for shop.test/ are to go there"
	tls := func(i *networkingv1.Ingress) {
		i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"shop.test"}, SecretName: "shop-tls"}}
	}
	secrets := func(names []string, keys ...string) map[Question]Answer {
		return map[Question]Answer{
			{Topic: NamesSecret, Namespace: "shop"}:                    {Lines: names},
			{Topic: KeysOfSecret, Namespace: "shop", Name: "shop-tls"}: {Lines: keys},
		}
	}
	for name, test := range map[string]struct {
		change  func(*networkingv1.Ingress)
		answers map[Question]Answer
		wants   []want
	}{
		"all is well": {},
		"slip in the Service": {change: func(i *networkingv1.Ingress) { backendOf(i).Name = "wbe" }, wants: []want{{
			cluster.ProblemBackend, object, "leads to Service wbe, which does not exist; meant web?", goes, "edit ingress web -n shop",
		}}},
		"Service of another namespace": {change: func(i *networkingv1.Ingress) { backendOf(i).Name = "redis" }, wants: []want{{
			cluster.ProblemBackend, object, "leads to Service redis, which does not exist", goes + "; Service redis is in namespace default, not in shop", "get services -n shop",
		}}},
		"default backend": {change: func(i *networkingv1.Ingress) {
			i.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "errors"}}
		}, wants: []want{{cluster.ProblemBackend, object, "leads to Service errors, which does not exist", "requests for all other hosts are to go there", ""}}},
		"no such port": {change: func(i *networkingv1.Ingress) { backendOf(i).Port.Number = 8080 }, wants: []want{{
			cluster.ProblemBackend, object, "leads to port 8080 of Service web, which has no such port", "Service web has the ports 80 (http) and 9090 (metrics); " + goes, "edit ingress",
		}}},
		"slip in the name of a port": {change: func(i *networkingv1.Ingress) { backendOf(i).Port = networkingv1.ServiceBackendPort{Name: "metrix"} }, wants: []want{{
			cluster.ProblemBackend, object, "leads to port metrix of Service web, which has no such port; meant metrics?", "Service web has the ports", "edit ingress",
		}}},
		"named port":  {change: func(i *networkingv1.Ingress) { backendOf(i).Port = networkingv1.ServiceBackendPort{Name: "http"} }},
		"new":         {change: func(i *networkingv1.Ingress) { backendOf(i).Name, i.CreationTimestamp = "wbe", ago(time.Second) }},
		"is going":    {change: func(i *networkingv1.Ingress) { backendOf(i).Name, i.DeletionTimestamp = "wbe", new(ago(0)) }},
		"not a path":  {change: func(i *networkingv1.Ingress) { i.Spec.Rules[0].HTTP = nil }},
		"not known":   {change: tls},
		"certificate": {change: tls, answers: secrets([]string{"shop-tls"}, "tls.crt", "tls.key")},
		"no Secret": {tls, secrets([]string{"shop-tsl"}), []want{{
			cluster.ProblemBackend, object, "Secret shop-tls does not exist; meant shop-tsl?", "the certificate for shop.test is to come from it", "get secrets -n shop",
		}}},
		"no key": {tls, secrets([]string{"shop-tls"}, "tls.crt"), []want{{
			cluster.ProblemBackend, object, "Secret shop-tls has no key tls.key", "the certificate for shop.test", "describe secret shop-tls -n shop",
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			web := s.Services[2]
			web.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "metrics", Port: 9090}}
			i := served("web", time.Minute)
			if test.change != nil {
				test.change(i)
			}
			s.Ingresses, s.Answers = []*networkingv1.Ingress{i}, test.answers
			check(t, s, test.wants...)
		})
	}
}

func TestHostsThatTwoClaim(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*networkingv1.Ingress)
		fine   bool
	}{
		"the same":      {},
		"another path":  {func(i *networkingv1.Ingress) { i.Spec.Rules[0].HTTP.Paths[0].Path = "/cart" }, true},
		"another host":  {func(i *networkingv1.Ingress) { i.Spec.Rules[0].Host = "test" }, true},
		"another class": {func(i *networkingv1.Ingress) { i.Spec.IngressClassName = new("traefik") }, true},
		"exactly the path": {func(i *networkingv1.Ingress) {
			i.Spec.Rules[0].HTTP.Paths[0].PathType = new(networkingv1.PathTypeExact)
		}, true},
		"a canary": {func(i *networkingv1.Ingress) { i.Annotations = map[string]string{canary: "true"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Services[2].Spec.Ports = []corev1.ServicePort{{Port: 80}}
			second := served("a", time.Minute)
			if test.change != nil {
				test.change(second)
			}
			s.Ingresses = []*networkingv1.Ingress{second, served("web", time.Hour)}
			if test.fine {
				check(t, s)
				return
			}
			check(t, s, want{cluster.ProblemHost, "ingress/shop/a", "claims shop.test/, which Ingress shop/web has", "only one of them gets the requests, usually the older one", "edit ingress a -n shop"})
		})
	}
}

func TestRoutesOfGateways(t *testing.T) {
	s := world()
	s.Services[2].Spec.Ports = []corev1.ServicePort{{Port: 80}}
	one := Route{Kind: "HTTPRoute", Namespace: "shop", Name: "one", Created: ago(time.Hour).Time, Claims: []Claim{{"gateway x/", "shop.test/"}},
		Backends: []Backend{{Namespace: "shop", Service: "web", Port: 80, For: "shop.test/"}}}
	two := one
	two.Name, two.Created, two.Backends = "two", ago(time.Minute).Time, []Backend{{Namespace: "default", Service: "web", Port: 80, For: "shop.test/"}}
	asked := map[Question]Answer{{Topic: Routes}: {Routes: []Route{two, one}}}
	s.Answers = asked
	check(t, s) // a cluster without Gateway API is not asked
	s.Definitions = []*metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: routeCRD}}}
	s.Answers = nil
	if r := check(t, s); len(r.Questions) != 1 || r.Questions[0].Topic != Routes {
		t.Errorf("the questions are %+v", r.Questions)
	}
	s.Answers = asked
	check(t, s,
		want{cluster.ProblemBackend, "httproute/shop/two", "leads to Service web, which does not exist", "Service web is in namespace shop, not in default", "edit httproute two -n shop"},
		want{cluster.ProblemHost, "httproute/shop/two", "claims shop.test/, which HTTPRoute shop/one has", "", ""})
}

// An Ingress and a route share the names on this machine, whatever their class and Gateway.
func TestHostsOnThisMachineThatTwoClaim(t *testing.T) {
	for name, test := range map[string]struct {
		host, of, class string
		fine            bool
	}{
		"below localhost":          {"shop.localhost", "gateway x/", "bonsai", false},
		"elsewhere":                {"shop.test", "gateway x/", "bonsai", true},
		"of another controller":    {"shop.localhost", "gateway x/", "traefik", true},
		"another host":             {"other.localhost", "gateway x/", "bonsai", true},
		"of a class of its own":    {"shop.localhost", "gateway x/", "", false},
		"a name that ends like it": {"shoplocalhost", "gateway x/", "bonsai", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Services[2].Spec.Ports = []corev1.ServicePort{{Port: 80}}
			i := served("web", time.Hour)
			i.Spec.Rules[0].Host, i.Spec.IngressClassName = "shop.localhost", &test.class
			if test.host == "shop.test" || test.host == "shoplocalhost" {
				i.Spec.Rules[0].Host = test.host
			}
			s.Ingresses = []*networkingv1.Ingress{i}
			route := func(name, of string) Route {
				return Route{Kind: "HTTPRoute", Namespace: "shop", Name: name, Created: ago(time.Minute).Time, Claims: []Claim{{of, test.host + "/"}}}
			}
			s.Definitions = []*metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: routeCRD}}}
			s.Answers = map[Question]Answer{{Topic: Routes}: {Routes: []Route{route("one", test.of)}}}
			if test.fine {
				check(t, s)
				return
			}
			check(t, s, want{cluster.ProblemHost, "httproute/shop/one", "claims shop.localhost/, which Ingress shop/web has", "only one of them gets the requests, usually the older one", ""})
		})
	}
	// One with TLS and one without do not claim the same requests.
	s := world()
	s.Definitions = []*metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: routeCRD}}}
	var routes []Route
	for _, name := range []string{"plain", "secure"} {
		routes = append(routes, Route{Kind: "HTTPRoute", Namespace: "shop", Name: name, Created: ago(time.Minute).Time, Claims: []Claim{{"gateway x/" + name, "shop.localhost/"}}})
	}
	s.Answers = map[Question]Answer{{Topic: Routes}: {Routes: routes}}
	check(t, s)
}
