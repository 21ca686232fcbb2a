package diagnose

import (
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/nearmiss"
)

// meant is the end of a sentence that says which name was probably meant.
func meant(word string, names []string) string {
	if n := nearmiss.Nearest(word, names); n != "" {
		return "; meant " + n + "?"
	}
	return ""
}

// nearMiss returns the name of a Service that was probably meant by host, in the form that was used, and the reason.
func (d *diagnosis) nearMiss(host, namespace string) (suggestion, why string) {
	service, in, ok := serviceName(host, namespace)
	if !ok {
		return "", ""
	}
	services := make([]nearmiss.Service, len(d.Services))
	for i, s := range d.Services {
		services[i] = nearmiss.Service{Namespace: s.Namespace, Name: s.Name}
	}
	best := nearmiss.Find(host, namespace, services)
	if len(best) == 0 {
		return "", ""
	}
	var names, places []string
	for _, m := range best {
		names = append(names, m.Right)
		if !slices.Contains(places, m.Service.Namespace) {
			places = append(places, m.Service.Namespace)
		}
	}
	switch first := best[0]; {
	case first.Reason == nearmiss.Domain:
		why = "the names of Services end in .svc." + cluster.ClusterDomain
	case first.Service.Name == service:
		why = "Service " + service + " is in namespace " + listed(places) + ", not in " + in
	default:
		why = "there is no Service " + service + " in namespace " + in + ", but " + first.Service.Name
	}
	return strings.Join(names, " or "), why
}
