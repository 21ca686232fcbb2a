package tui

import (
	"slices"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/servicename"
	"bonsai/tui/paint"
)

// nameURL is where a browser reaches a Service by its name on this machine; empty if it has none.
func (u *ui) nameURL(l *kube.ServiceLine) string {
	names := u.state.Snapshot.Names
	if names == nil || !names.Open || external(l) {
		return ""
	}
	ports := make([]servicename.Port, len(l.Ports))
	for i, p := range l.Ports {
		ports[i] = servicename.Port{Name: p.Name, AppProtocol: p.AppProtocol, Protocol: p.Protocol, Number: p.Port}
	}
	port, ok := servicename.Choose(ports, "")
	if !ok || port.Speaks() == servicename.Other {
		return ""
	}
	return servicename.URL(names.Port, l.Namespace, l.Name, "")
}

// hostFacts are the URLs of the hosts of Ingresses and routes that lead to a Service, with what else claims them.
func (u *ui) hostFacts(l *kube.ServiceLine) (facts []fact) {
	names := u.state.Snapshot.Names
	if names == nil || !names.Open {
		return nil
	}
	for _, h := range names.Hosts {
		if strings.HasPrefix(h.Host, "*") || !slices.Contains(h.Services, l.Namespace+"/"+l.Name) {
			continue
		}
		url := servicename.HostURL(names.Port, paint.Clean(h.Host), false)
		if len(h.Also) == 0 {
			facts = append(facts, fact{paint.Accent, url})
			continue
		}
		also := paint.Clean(strings.Join(h.Also, ", "))
		facts = append(facts, fact{paint.Warn, u.T("%s is from %s, and %s claims it, too", url, paint.Clean(strings.Join(h.From, ", ")), also)})
	}
	return facts
}
