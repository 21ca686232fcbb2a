package diagnose

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestAutoscalers(t *testing.T) {
	const object = "horizontalpodautoscaler/shop/cart"
	const before = "the HPA was unable to compute the replica count: failed to get cpu utilization: "
	const fetch = before + "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: "
	able, active := autoscalingv2.AbleToScale, autoscalingv2.ScalingActive
	for name, test := range map[string]struct {
		condition       autoscalingv2.HorizontalPodAutoscalerConditionType
		reason, message string
		since           time.Duration
		target          string
		wants           []want
	}{
		"no metrics API": {
			condition: active, reason: "FailedGetResourceMetric", message: fetch + "the server could not find the requested resource (get pods.metrics.k8s.io)", since: 30 * time.Second,
			wants: []want{{cluster.ProblemAutoscaler, object, "cannot scale: there are no metrics", "the addon metrics-server is disabled", "addons enable metrics-server"}},
		},
		"metrics API is down": {
			condition: active, reason: "FailedGetResourceMetric", message: fetch + "the server is currently unable to handle the request (get pods.metrics.k8s.io)", since: time.Hour,
			wants: []want{{cluster.ProblemAutoscaler, object, "cannot scale: the metrics API does not answer", "APIService v1beta1.metrics.k8s.io exists", "describe apiservice v1beta1.metrics.k8s.io"}},
		},
		"no requests": {
			condition: active, reason: "FailedGetResourceMetric", message: before + "missing request for cpu in container cart of Pod cart-7d9f4-a", since: time.Hour,
			wants: []want{{
				cluster.ProblemAutoscaler, object, "cannot scale: its pods do not say how much cpu they request", "missing request for cpu in container cart of Pod cart-7d9f4-a",
				"set resources deployment cart -n shop --requests=cpu=100m",
			}},
		},
		"no adapter": {
			condition: active, reason: "FailedGetPodsMetric", since: time.Hour,
			message: "the HPA was unable to compute the replica count: unable to get metric rps: unable to fetch metrics from custom metrics API: no custom metrics API registered",
			wants:   []want{{cluster.ProblemAutoscaler, object, "cannot scale: nothing provides its metrics", "no custom metrics API registered", "describe hpa cart -n shop"}},
		},
		"no target": {
			condition: able, reason: "FailedGetScale", message: `the HPA controller was unable to get the target's current scale: deployments.apps "crat" not found`, since: time.Hour, target: "crat",
			wants: []want{{cluster.ProblemAutoscaler, object, "cannot scale: deployment crat does not exist; meant cart?", "namespace shop has no such object", "edit hpa cart -n shop"}},
		},
		"no such kind": {
			condition: able, reason: "FailedGetScale", message: `the HPA controller was unable to get the target's current scale: no matches for kind "Deployment" in group "extensions"`, since: time.Hour,
			wants: []want{{cluster.ProblemAutoscaler, object, "cannot scale: the API server has no kind Deployment in apps/v1", "no matches for kind", "edit hpa cart -n shop"}},
		},
		"ambiguous": {
			condition: active, reason: "AmbiguousSelector", message: "pods by selector app=cart are controlled by multiple HPAs: [shop/a shop/b]", since: time.Hour,
			wants: []want{{cluster.ProblemAutoscaler, object, "cannot scale", "controlled by multiple HPAs", "describe hpa cart"}},
		},
		"metrics come later":   {condition: active, reason: "FailedGetResourceMetric", message: fetch + "no metrics returned from resource metrics API", since: time.Minute},
		"its target is new":    {condition: able, reason: "FailedGetScale", message: `deployments.apps "cart" not found`, since: 2 * time.Second},
		"switched off":         {condition: active, reason: "ScalingDisabled", message: "scaling is disabled since the replica count of the target is zero", since: time.Hour},
		"nothing known so far": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.ReplicaSets = []*appsv1.ReplicaSet{replicaSet(0, 0, "")}
			h := &autoscalingv2.HorizontalPodAutoscaler{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", CreationTimestamp: ago(time.Hour)},
				Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
					Kind: "Deployment", Name: "cart", APIVersion: "apps/v1",
				}},
			}
			if test.target != "" {
				h.Spec.ScaleTargetRef.Name = test.target
			}
			if test.condition != "" {
				h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{
					Type: test.condition, Status: corev1.ConditionFalse, Reason: test.reason, Message: test.message, LastTransitionTime: ago(test.since),
				}}
			}
			s.Autoscalers = []*autoscalingv2.HorizontalPodAutoscaler{h}
			check(t, s, test.wants...)
		})
	}
}
