package diagnose

import (
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

const (
	// scaleGrace is how long an autoscaler may lack its target, which is often created after it.
	scaleGrace = 20 * time.Second
	// metricsGrace is how long metrics may be missing where something provides them: they come after the first minute.
	metricsGrace = 2 * time.Minute
)

// autoscalers looks for HorizontalPodAutoscalers that cannot scale. They say so themselves, in conditions whose messages are
// those of pkg/controller/podautoscaler.
func (d *diagnosis) autoscalers() {
	for _, h := range d.Autoscalers {
		if h.DeletionTimestamp != nil {
			continue
		}
		able, active := scalingCondition(h, autoscalingv2.AbleToScale), scalingCondition(h, autoscalingv2.ScalingActive)
		switch {
		case able != nil && able.Status == corev1.ConditionFalse && able.Reason == "FailedGetScale":
			d.scalesNothing(h, able)
		case active != nil && active.Status == corev1.ConditionFalse && active.Reason != "ScalingDisabled": // scaled to zero
			d.seesNothing(h, active)
		}
	}
}

func scalingCondition(h *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
	i := slices.IndexFunc(h.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &h.Status.Conditions[i]
}

func autoscalerFinding(h *autoscalingv2.HorizontalPodAutoscaler, c *autoscalingv2.HorizontalPodAutoscalerCondition) finding {
	return finding{of: owner{"horizontalpodautoscaler", h.Namespace, h.Name}, Problem: cluster.Problem{
		Kind: cluster.ProblemAutoscaler, Severity: cluster.SeverityWarning, Since: c.LastTransitionTime.Time,
		Summary: "cannot scale", Cause: oneLine(c.Message),
		Advice: advise("", cluster.Kubectl("describe", "hpa").On(h.Name).In(h.Namespace)),
	}}
}

// scalesNothing reports an autoscaler whose target does not exist.
func (d *diagnosis) scalesNothing(h *autoscalingv2.HorizontalPodAutoscaler, c *autoscalingv2.HorizontalPodAutoscalerCondition) {
	if !d.over(c.LastTransitionTime.Time, scaleGrace) {
		return
	}
	f, target := autoscalerFinding(h, c), h.Spec.ScaleTargetRef
	switch {
	case strings.Contains(c.Message, "not found"):
		kind := strings.ToLower(target.Kind)
		var names []string
		for _, o := range d.owners {
			if o.kind == kind && o.namespace == h.Namespace {
				names = append(names, o.name)
			}
		}
		for _, s := range d.StatefulSets {
			if kind == "statefulset" && s.Namespace == h.Namespace {
				names = append(names, s.Name)
			}
		}
		slices.Sort(names)
		f.Summary += ": " + kind + " " + target.Name + " does not exist" + meant(target.Name, slices.Compact(names))
		f.Cause = "spec.scaleTargetRef names it, and namespace " + h.Namespace + " has no such object"
	case strings.Contains(c.Message, "no matches for kind"):
		f.Summary += ": the API server has no kind " + target.Kind + " in " + target.APIVersion
	}
	f.Advice = append(advise("correct scaleTargetRef", cluster.Kubectl("edit", "hpa").On(h.Name).In(h.Namespace).Change()),
		cluster.Advise("or delete it", cluster.Kubectl("delete", "hpa").On(h.Name).In(h.Namespace).Change()))
	d.add(f)
}

// seesNothing reports an autoscaler that does not get what it scales by.
func (d *diagnosis) seesNothing(h *autoscalingv2.HorizontalPodAutoscaler, c *autoscalingv2.HorizontalPodAutoscalerCondition) {
	f := autoscalerFinding(h, c)
	grace := metricsGrace
	switch message := c.Message; {
	case strings.Contains(message, "could not find the requested resource (get pods.metrics.k8s.io)"):
		grace = scaleGrace
		f.Summary += ": there are no metrics"
		f.Cause = "the API metrics.k8s.io, from which it gets the use of CPU and memory, does not exist: the addon metrics-server is disabled"
		f.Advice = advise("", cluster.Bonsai("addons", "enable").On(cluster.MetricsAddon).Cure())
	case strings.Contains(message, "unable to handle the request (get pods.metrics.k8s.io)"):
		f.Summary += ": the metrics API does not answer"
		f.Cause = "APIService v1beta1.metrics.k8s.io exists, but what it leads to does not answer"
		f.Advice = advise("see why", cluster.Kubectl("describe", "apiservice").On("v1beta1.metrics.k8s.io"))
	case strings.Contains(message, "missing request for "):
		resource := between(message, "missing request for ", " in ")
		f.Summary += ": its pods do not say how much " + resource + " they request"
		f.Cause = "it scales by the share of the request that is used; " + oneLine(message[strings.Index(message, "missing request for "):])
		f.Advice = d.askForRequests(h, resource)
	case strings.Contains(message, "no custom metrics API registered"), strings.Contains(message, "no external metrics API registered"):
		grace = scaleGrace
		f.Summary += ": nothing provides its metrics"
	}
	if !d.over(c.LastTransitionTime.Time, grace) {
		return
	}
	d.add(f)
}

// askForRequests gives the pods of a target a request, as an example.
func (d *diagnosis) askForRequests(h *autoscalingv2.HorizontalPodAutoscaler, resource string) []cluster.Advice {
	example := map[string]string{"cpu": "100m", "memory": "128Mi"}[resource]
	target := h.Spec.ScaleTargetRef
	kind := strings.ToLower(target.Kind)
	if example == "" || !slices.Contains([]string{"deployment", "statefulset", "replicaset"}, kind) {
		return advise("set resources.requests in its containers")
	}
	return advise("give its containers a request, for example", cluster.Kubectl("set", "resources", kind).On(target.Name).In(h.Namespace).
		With("--requests="+resource+"="+example).Change())
}
