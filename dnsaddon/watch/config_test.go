package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"bonsai/dnsaddon/corefile"
	"bonsai/dnsaddon/zone"
)

func TestConfiguration(t *testing.T) {
	text := func(ttl int) string {
		return fmt.Sprintf(". {\n kubernetes cluster.local {\n ttl %d\n }\n forward . 1.1.1.1\n}", ttl)
	}
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		api.put(configMapObject("coredns", "Corefile", text(1)), configMapObject("other", "Corefile", text(99)))
		n := start(t, api)
		defer n.stop()
		n.wantTTLs(1)
		began := time.Now()

		api.put(configMapObject("coredns", "Corefile", text(2)))
		n.wantTTLs(1, 2)
		annotated := configMapObject("coredns", "Corefile", text(2))
		annotated.Annotations = map[string]string{"a": "b"}
		api.put(annotated)
		n.wantTTLs(1, 2) // nothing new for us
		api.put(configMapObject("coredns-custom", "ttl.override", "kubernetes cluster.local {\n ttl 3\n}"))
		n.wantTTLs(1, 2, 3)
		api.put(configMapObject("kube-dns", "stubDomains", `{"corp.example": ["10.0.0.1"]}`))
		n.wantTTLs(1, 2, 3, 3)
		if sources := n.configs[3].Sources; len(sources) != 3 {
			t.Errorf("got sources %v", sources)
		}
		// Values of the addon are less than what the user has written, and more than the Corefile.
		api.put(configMapObject("bonsai-dns", "values.override", "kubernetes cluster.local {\n ttl 4\n}"))
		n.wantTTLs(1, 2, 3, 3, 3)
		api.remove(configMapObject("coredns-custom", "", ""))
		n.wantTTLs(1, 2, 3, 3, 3, 4)
		api.remove(configMapObject("bonsai-dns", "", ""))
		n.wantTTLs(1, 2, 3, 3, 3, 4, 2)
		api.remove(configMapObject("coredns", "", ""))
		n.wantTTLs(1, 2, 3, 3, 3, 4, 2, 30)
		// A ConfigMap without data is one.
		api.put(&corev1.ConfigMap{ObjectMeta: named("kube-system", "coredns")})
		n.wantTTLs(1, 2, 3, 3, 3, 4, 2, 30, 30)
		if took := time.Since(began); took != 0 {
			t.Errorf("a caller waited for %v", took)
		}
		if api.asked("metadata.name") != api.asked(configMapsPath) {
			t.Errorf("ConfigMaps are read that are none of ours")
		}
	})
}

// TestVerifiedPods switches the verification of pod names on and off.
func TestVerifiedPods(t *testing.T) {
	verified := configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n pods verified\n }\n forward . 1.1.1.1\n}")
	insecure := configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n pods insecure\n }\n forward . 1.1.1.1\n}")
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		api.put(podObject("a", "10.1.0.7", corev1.PodRunning), podObject("b", "10.1.0.8", corev1.PodSucceeded), podObject("c", "", corev1.PodPending), insecure)
		n := start(t, api)
		defer n.stop()
		insecureAnswers := map[string]string{"10-1-0-7.default.pod.cluster.local. A": "NOERROR 10.1.0.7", "10-1-0-99.default.pod.cluster.local. A": "NOERROR 10.1.0.99"}
		n.want(insecureAnswers)

		// No pod name may be denied for lack of its pod: they are there before the configuration is.
		n.mu.Lock()
		n.configured = func(c corefile.Config) {
			if a := n.store.View().Lookup("10-1-0-7.default.pod.cluster.local.", dns.TypeA); len(a.Answer) != 1 {
				t.Errorf("pods %v: got %+v", c.Zone.Pods, a)
			}
		}
		n.mu.Unlock()
		for range 2 {
			api.put(verified)
			n.want(map[string]string{"10-1-0-7.default.pod.cluster.local. A": "NOERROR 10.1.0.7", "10-1-0-8.default.pod.cluster.local. A": "NXDOMAIN", "10-1-0-99.default.pod.cluster.local. A": "NXDOMAIN"})
			if got := n.store.Records().Pods; got != 1 {
				t.Errorf("got %d pods", got)
			}
			api.put(podObject("c", "10.1.0.9", corev1.PodRunning), podObject("a", "10.1.0.7", corev1.PodFailed))
			n.want(map[string]string{"10-1-0-9.default.pod.cluster.local. A": "NOERROR 10.1.0.9", "10-1-0-7.default.pod.cluster.local. A": "NXDOMAIN"})
			api.remove(podObject("c", "", ""))
			n.want(map[string]string{"10-1-0-9.default.pod.cluster.local. A": "NXDOMAIN"})

			api.put(podObject("d", "10.1.0.10", corev1.PodRunning))
			n.want(map[string]string{"10-1-0-10.default.pod.cluster.local. A": "NOERROR 10.1.0.10"})
			api.put(insecure)
			n.want(insecureAnswers)
			seen := api.asked(podsPath)
			api.put(podObject("a", "10.1.0.7", corev1.PodRunning))
			api.remove(podObject("d", "", ""))
			time.Sleep(time.Hour)
			if got := api.asked(podsPath); got != seen {
				t.Errorf("the pods are still followed: %d requests, then %d", seen, got)
			}
			n.store.SetOptions(zone.Options{Pods: zone.Verified})
			if got := n.store.Records().Pods; got != 0 {
				t.Errorf("%d pods were kept", got)
			}
		}
	})
}

// TestVerifiedFromTheStart has pods that come later than all else.
func TestVerifiedFromTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		api.put(podObject("a", "10.1.0.7", corev1.PodRunning), configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n pods verified\n }\n}"))
		slow := make(chan struct{})
		api.set(func() { api.slowPods = slow })
		n := start(t, api)
		defer n.stop()
		time.Sleep(10 * time.Second)
		if n.isSynced() {
			t.Error("synced without the pods")
		}
		n.want(map[string]string{"10-1-0-7.default.pod.cluster.local. A": "SERVFAIL"})
		close(slow)
		<-n.watcher.Synced()
		n.want(map[string]string{"10-1-0-7.default.pod.cluster.local. A": "NOERROR 10.1.0.7"})
	})
}

// TestVerifyingDoesNotWaitForever has an API server that never gives the pods to a configuration that needs them.
func TestVerifyingDoesNotWaitForever(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		n := start(t, api)
		defer n.stop()
		<-n.watcher.Synced()
		api.set(func() { api.slowPods = make(chan struct{}) })
		api.put(configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n pods verified\n ttl 3\n }\n}"))
		time.Sleep(podsLimit)
		n.wantTTLs(30, 3)
	})
}

func TestEvents(t *testing.T) {
	corefileWith := func(lines ...string) *corev1.ConfigMap {
		return configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local\n forward . 1.1.1.1\n"+strings.Join(lines, "\n")+"\n}")
	}
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		nodes := []*node{start(t, api), start(t, api), start(t, api)}
		for _, n := range nodes {
			defer n.stop()
		}
		messages := func() []string {
			synctest.Wait()
			var all []string
			api.set(func() {
				for _, e := range api.events {
					if e.Type != "Warning" || e.Reason != ReasonConfigProblem || e.InvolvedObject.Kind != "ConfigMap" || e.InvolvedObject.UID != "uid-coredns" ||
						e.InvolvedObject.Name != "coredns" || e.Namespace != "kube-system" || e.Count != 1 || e.FirstTimestamp.IsZero() {
						t.Errorf("got event %+v", e)
					}
					all = append(all, strings.Join(strings.Fields(e.Message)[:4], " "))
				}
			})
			slices.Sort(all)
			return all
		}
		want := func(want ...string) {
			t.Helper()
			if got := messages(); !slices.Equal(got, want) {
				t.Errorf("got events %q, want %q", got, want)
			}
		}
		want()
		api.put(corefileWith("frobnicate", "prometheus :9999"))
		want("Corefile line 4: frobnicate:")
		if got := api.asked("POST"); got != 3 {
			t.Errorf("got %d attempts to write the event, want one of each node", got)
		}
		// Known problems are not reported again, new ones are.
		api.put(corefileWith("frobnicate", "acl"))
		want("Corefile line 4: frobnicate:", "Corefile line 5: acl:")
		api.put(corefileWith())
		synctest.Wait()
		api.put(corefileWith("frobnicate"))
		want("Corefile line 4: frobnicate:", "Corefile line 4: frobnicate:", "Corefile line 5: acl:")
		if log := nodes[0].log.String(); strings.Count(log, "has a problem") != 3 {
			t.Errorf("got log\n%s", log)
		}
	})
}

// TestEventsDoNotHoldUpTheConfiguration has an API server that takes no events for a while.
func TestEventsDoNotHoldUpTheConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T, api *fakeAPI) {
		fill(api)
		n := start(t, api)
		defer n.stop()
		<-n.watcher.Synced()
		api.set(func() { api.noEvents = true })
		api.put(configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n ttl 3\n }\n frobnicate\n}"))
		n.wantTTLs(30, 3)
		api.put(configMapObject("coredns", "Corefile", ". {\n kubernetes cluster.local {\n ttl 4\n }\n frobnicate\n}"))
		n.wantTTLs(30, 3, 4)
		api.set(func() { api.noEvents = false })
		time.Sleep(writePause)
		synctest.Wait()
		api.set(func() {
			if len(api.events) == 0 {
				t.Error("no event was written after the API server was back")
			}
		})
	})
}
