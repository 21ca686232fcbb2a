package condition

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// cluster is a View of objects as JSON.
type cluster struct {
	t       *testing.T
	objects map[string][]string // by resource
	answers map[string]Answer
}

func (c cluster) Objects(k Kind, namespace string) (list []Object) {
	for _, text := range c.objects[k.Resource] {
		var o Object
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
		if k.Cluster || text2(o, "namespace") == namespace || text2(o, "namespace") == "" && namespace == "shop" {
			list = append(list, o)
		}
	}
	return list
}

func text2(o Object, field string) string { return text(get(o, "metadata", field)) }

func (c cluster) Ask(_ context.Context, q Question) Answer {
	return c.answers[string(q.Topic)+" "+q.Namespace+" "+q.Of]
}

func (cluster) Now() time.Time { return time.Unix(1e9, 0) }

func shop(t *testing.T) cluster {
	return cluster{t, map[string][]string{
		"pods": {
			`{"metadata":{"name":"web-1","labels":{"app":"web"}},"spec":{"nodeName":"a","containers":[{"name":"web","image":"docker.io/bonsai/hello:latest","resources":{"limits":{"memory":"64Mi","cpu":"500m"}}},{"name":"side","image":"x"}]},
			  "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"restartCount":3,"state":{"running":{}},"lastState":{"terminated":{"reason":"OOMKilled","exitCode":137}}}]}}`,
			`{"metadata":{"name":"web-2","labels":{"app":"web"},"annotations":{"a.b/c":"d"}},"spec":{"containers":[{"image":"y"}]},
			  "status":{"phase":"Pending","conditions":[{"type":"Ready","status":"False"}],"initContainerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff"}}}]}}`,
			`{"metadata":{"name":"else","namespace":"kube-system","labels":{"tier":"x"}}}`,
		},
		"events": {`{"metadata":{"name":"e"},"reason":"FailedScheduling","involvedObject":{"kind":"Pod","name":"web-2"}}`},
		"deployments": {
			`{"metadata":{"name":"web","generation":2},"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":2}}`,
			`{"metadata":{"name":"old","generation":3},"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":2}}`,
			`{"metadata":{"name":"none","generation":1},"spec":{"replicas":0},"status":{"observedGeneration":1}}`,
		},
		"services": {`{"metadata":{"name":"web"}}`, `{"metadata":{"name":"empty"}}`},
		"endpointslices": {`{"metadata":{"name":"web-x","labels":{"kubernetes.io/service-name":"web"}},"ports":[{"port":8080}],
			"endpoints":[{"addresses":["1.1.1.1"],"conditions":{"ready":true}},{"addresses":["1.1.1.2"],"conditions":{"ready":false}}]}`},
		"nodes": {`{"metadata":{"name":"a"},"spec":{"taints":[{"key":"x","effect":"NoSchedule"}]},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}`},
		"jobs":  {`{"metadata":{"name":"sum"},"status":{"conditions":[{"type":"Complete","status":"True"}]}}`},
	}, map[string]Answer{
		"dns shop web":               {OK: true, Seen: "10.96.0.7"},
		"dns shop wbe":               {Seen: "NXDOMAIN"},
		"http shop web:80/healthz":   {OK: true, Code: 200, Body: "ok\n", Seen: "200"},
		"http shop web:80/broken":    {Code: 503, Seen: "503"},
		"reach shop client web:80":   {OK: true},
		"reach shop client empty:80": {Seen: "endpoints"},
		"reach shop pending web:80":  {Unasked: true, Seen: "it does not run"},
	}}
}

func TestConditions(t *testing.T) {
	for text, want := range map[string]bool{
		"pod/web-1 exists":               true,
		"Pod/nobody exists":              false,
		"pod/nobody absent":              true,
		"pod/web-1 absent":               false,
		"pod/else exists":                false,
		"pod/else in kube-system exists": true,
		"pod/web-1 ready":                true,
		"pod/web-2 ready":                false,
		"pod/web-1 is Ready":             true,
		"node/a is Ready":                false,
		`pod/web-1 .spec.containers[name=web].resources.limits.memory = 65536Ki`: true,
		"pod/web-1 .spec.containers[0].resources.limits.cpu <= 0.5":              true,
		"pod/web-1 .spec.containers[0].resources.limits.cpu > 500m":              false,
		"pod/web-1 .spec.containers[*].image = x":                                true,
		"pod/web-1 .spec.containers[*].image != x":                               false,
		"pod/web-1 .spec.containers[7].image exists":                             false,
		"pod/web-1 .spec.tolerations absent":                                     true,
		"pod/web-1 .spec.nodeName != b":                                          true,
		"pod/nobody .spec.nodeName != b":                                         false, // there is no such object
		"pod/web-1 image = bonsai/hello":                                         true,
		"pod/web-2 image = bonsai/hello":                                         false,
		"pod/web-1 label app = web":                                              true,
		"pod/web-1 label app absent":                                             false,
		"pod/web-2 annotation a.b/c = d":                                         true,
		`pod/web-2 .metadata.annotations["a.b/c"] = d`:                           true,
		"pod/web-2 waiting ErrImagePull":                                         true,
		"pod/web-2 waiting CrashLoopBackOff":                                     false,
		"pod/web-1 terminated OOMKilled":                                         true,
		"pod/web-1 terminated 137":                                               true,
		"pod/web-1 terminated 1":                                                 false,
		"pod/web-1 restarts >= 3":                                                true,
		"pod/web-2 event FailedScheduling":                                       true,
		"pod/web-1 event FailedScheduling":                                       false,
		"deployment/web ready":                                                   true,
		"deploy/old ready":                                                       false,
		"deployment/none ready":                                                  true,
		"job/sum ready":                                                          true,
		"svc/web endpoints = 1":                                                  true,
		"service/web ready":                                                      true,
		"service/empty ready":                                                    false,
		"node/a .spec.taints[key=x].effect = NoSchedule":                         true,
		"pods count = 2":                                                         true,
		"pods[app=web] count >= 2":                                               true,
		"pods[app!=web] count = 0":                                               true,
		"pods[!app] count = 0":                                                   true,
		"pods[tier] in kube-system count = 1":                                    true,
		"pods[app=web] where ready count = 1":                                    true,
		"pods[app=web] any waiting ImagePullBackOff":                             true,
		"pods[app=web] all ready":                                                false,
		"pods[app=nothing] all ready":                                            false,
		"pods[app=web] none .status.phase = Failed":                              true,
		"dns web answers":                                                        true,
		"dns wbe answers":                                                        false,
		"dns wbe fails":                                                          true,
		"dns unasked fails":                                                      false, // nothing is known yet
		"not dns unasked answers":                                                false,
		"not reach unasked web:80 and pod/web-1 exists":                          false,
		`http web:80/healthz has "ok"`:                                           true,
		"http web:80/broken status = 503":                                        true,
		"reach pending web:80":                                                   false,
		"not reach pending web:80":                                               false, // nobody can say so
		"http web:80/broken answers":                                             false,
		"reach client web:80":                                                    true,
		"not reach client empty:80":                                              true,
		"not not pod/web-1 exists":                                               true,
		"pod/web-1 exists and pod/nobody exists or pod/web-2 exists":             true,
		"pod/nobody exists and pod/web-1 exists":                                 false,
		`pod/web-1 label app = "web"`:                                            true,
	} {
		c, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Eval(t.Context(), shop(t), "shop"); got.OK != want {
			t.Errorf("%s: got %+v, want %v", text, got, want)
		}
	}
}

// shuffled is a View with another order each time, as a store of watched objects has.
type shuffled struct {
	cluster
	calls *int
}

func (s shuffled) Objects(k Kind, namespace string) []Object {
	list := s.cluster.Objects(k, namespace)
	if *s.calls++; *s.calls%2 == 0 {
		slices.Reverse(list)
	}
	return list
}

func TestOrderOfObjectsDoesNotMatter(t *testing.T) {
	calls := 0
	for text, want := range map[string]bool{"pod/web-2 ready": false, "pod/web-1 ready": true, "deployment/old ready": false} {
		c, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // an odd number of calls, or an even one
			if got := c.Eval(t.Context(), shuffled{shop(t), &calls}, "shop"); got.OK != want {
				t.Errorf("%s: got %+v, want %v", text, got, want)
			}
		}
	}
}

func TestErrorsSayWhatIsExpected(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "an object, such as pod/web, is missing",
		"web":                            "neither one object",
		"pod/":                           "no name",
		"pod/x":                          "a test, such as ready, is missing",
		"pod/x working":                  `"working" is not a test`,
		"pod/x ready now":                `"now" was not expected`,
		"pod/x .spec":                    "one of = !=",
		"pod/x .spec..x = 1":             "empty name",
		"pod/x .spec[ = 1":               "[ without ]",
		"pod/x .spec[a] = 1":             "use [*]",
		"pods":                           "count, where",
		"pods exists":                    "count, where",
		"pods[=x] count = 1":             "not a label",
		"pods where ready":               "comes count",
		"pods any absent":                "not a test",
		"dns web":                        "answers or fails",
		"http web answers":               "no port",
		"reach a b":                      "no port",
		`pod/x label a = "b`:             "no end",
		"pod/x ready and":                "missing at the end",
		"pod/x\nready":                   "one line",
		strings.Repeat("not ", 60) + "x": "too many",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestNeeds(t *testing.T) {
	c, err := Parse("service/web endpoints >= 1 and not pods[app=x] any event Failed or node/a is Ready and pod/y in kube-system ready and dns web answers")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range c.Needs("shop") {
		got = append(got, n.Namespace+"/"+n.Kind.Resource)
	}
	want := []string{"shop/services", "shop/endpointslices", "shop/pods", "shop/events", "/nodes", "kube-system/pods"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !c.Asks() {
		t.Error("it asks DNS")
	}
}

// FuzzParse: no text makes the parser or the evaluation panic, and what is parsed says the same again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"pod/a exists", `pods[a=b] where .x["y"][*][0][k=v] has "z" count >= 1 or not dns a fails`, "http a:1/ status = 2 and reach a b:1"} {
		f.Add(seed)
	}
	view := shop(&testing.T{})
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		c.Needs("shop")
		first := c.Eval(t.Context(), view, "shop")
		again, err := Parse(c.String())
		if err != nil || again.Eval(t.Context(), view, "shop") != first {
			t.Errorf("%q: %v", text, err)
		}
	})
}
