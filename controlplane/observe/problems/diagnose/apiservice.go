package diagnose

import (
	"time"

	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/bootstrap/cluster"
)

// apiGrace is how long the server of an APIService may be silent: it is just being installed, or comes up with the
// cluster.
const apiGrace = 20 * time.Second

// apiServices looks for those whose servers do not answer. One makes every look at all APIs incomplete: namespaces
// cannot be deleted, and quotas and garbage collection stop for its kinds.
func (d *diagnosis) apiServices() {
	for _, a := range d.APIServices {
		cause, silent := d.unavailable(a)
		if !silent || a.DeletionTimestamp != nil {
			continue
		}
		c := available(a)
		d.add(finding{of: owner{kind: "apiservice", name: a.Name}, key: "api", Problem: cluster.Problem{
			Kind: cluster.ProblemAPI, Severity: cluster.SeverityError, Since: c.LastTransitionTime.Time,
			Summary: "nobody answers for API " + a.Spec.Group + "/" + a.Spec.Version, Cause: cause, Advice: []cluster.Advice{apiAdvice(a.Name)},
		}})
	}
}

// unavailable reports whether the server of an API has been silent for a while, and why. The reasons are those of
// kube-aggregator's pkg/controllers/status/remote.
func (d *diagnosis) unavailable(a *registrationv1.APIService) (cause string, silent bool) {
	c := available(a)
	if a.Spec.Service == nil || c == nil || c.Status == registrationv1.ConditionTrue {
		return "", false
	}
	where := a.Spec.Service.Namespace + "/" + a.Spec.Service.Name
	switch c.Reason {
	case "ServiceNotFound":
		cause = "its Service " + where + " does not exist"
	case "EndpointsNotFound", "MissingEndpoints":
		cause = "no pod of its Service " + where + " is ready"
	default:
		cause = oneLine(c.Message)
	}
	silent = d.over(d.sinceBegun(c.LastTransitionTime.Time), apiGrace)
	if silent {
		d.blamed[where] = true
	}
	return cause, silent
}

func available(a *registrationv1.APIService) *registrationv1.APIServiceCondition {
	for i := range a.Status.Conditions {
		if a.Status.Conditions[i].Type == registrationv1.Available {
			return &a.Status.Conditions[i]
		}
	}
	return nil
}

func apiAdvice(name string) cluster.Advice {
	return cluster.Advise("get its pods running, or remove it if its owner was uninstalled", cluster.Kubectl("delete", "apiservice").On(name).Change())
}
