package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEndpointsFollowTheNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.run()
		defer w.stop()
		w.ready()
		w.health(cluster.AddonInstalling, "none of 3 nodes answers yet")
		if got := w.Nodes()["dev-1"]; got != cluster.PhaseStarting {
			t.Errorf("dev-1 is %s before anybody has heard of it", got)
		}

		w.agents["dev-2"].says("Starting")
		w.settle(eagerPause)
		w.ready()
		w.agents["dev-2"].says("Running")
		w.settle(0)
		w.ready("dev-2")
		w.health(cluster.AddonDegraded, "1 of 3 nodes answer, not dev-1, dev-3")
		w.agents["dev-1"].says("Degraded") // it answers
		w.agents["dev-3"].says("Running")
		w.settle(eagerPause)
		w.ready("dev-1", "dev-2", "dev-3")
		w.health(cluster.AddonRunning, "")
		if got := w.Nodes(); got["dev-1"] != cluster.PhaseDegraded || got["dev-3"] != cluster.PhaseRunning || len(got) != 3 {
			t.Errorf("the nodes are %v", got)
		}

		w.agents["dev-3"].dies()
		w.settle(grace - time.Millisecond) // it may be back in a moment
		w.ready("dev-1", "dev-2", "dev-3")
		w.settle(time.Millisecond)
		w.ready("dev-1", "dev-2")
		w.health(cluster.AddonDegraded, "2 of 3 nodes answer, not dev-3")
		if got := w.Nodes()["dev-3"]; got != cluster.PhaseUnknown {
			t.Errorf("dev-3 is %s after its agent has died", got)
		}
		w.agents["dev-3"].says("Running")
		w.settle(eagerPause)
		w.ready("dev-1", "dev-2", "dev-3")
	})
}

func TestAnAgentThatComesBackSoonChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.agents["dev-2"].says("Running")
		w.run()
		defer w.stop()
		w.ready("dev-1", "dev-2")
		writes := w.writes
		w.agents["dev-1"].dies()
		w.settle(100 * time.Millisecond)
		w.agents["dev-1"].says("Starting") // the next agent, without records yet
		w.settle(100 * time.Millisecond)
		w.agents["dev-1"].says("Running")
		w.settle(time.Second)
		w.ready("dev-1", "dev-2")
		if w.writes != writes {
			t.Errorf("the endpoints were written %d times", w.writes-writes)
		}
	})
}

func TestTheSliceIsWhatKubeProxyUnderstands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		slice, err := w.client.DiscoveryV1().EndpointSlices(namespace).Get(t.Context(), sliceName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var ports []string
		for _, p := range slice.Ports {
			ports = append(ports, fmt.Sprintf("%s %d/%s", *p.Name, *p.Port, *p.Protocol))
		}
		if want := []string{"dns 10271/UDP", "dns-tcp 10271/TCP", "metrics 10272/TCP"}; !slices.Equal(ports, want) {
			t.Errorf("ports are %v, want %v", ports, want)
		}
		var ends []string
		for _, e := range slice.Endpoints {
			ends = append(ends, fmt.Sprintf("%v on %s for %v ready %v", e.Addresses, *e.NodeName, e.Hints.ForNodes, *e.Conditions.Ready))
		}
		if want := []string{"[10.201.0.10] on dev-1 for [{dev-1}] ready true", "[10.201.0.11] on dev-2 for [{dev-2}] ready false"}; !slices.Equal(ends, want) {
			t.Errorf("endpoints are %v, want %v", ends, want)
		}
		if slice.AddressType != discoveryv1.AddressTypeIPv4 || slice.Labels["kubernetes.io/service-name"] != "kube-dns" || slice.Labels[discoveryv1.LabelManagedBy] == "" {
			t.Errorf("type %s, labels %v", slice.AddressType, slice.Labels)
		}
	})
}

func TestNothingIsWrittenWithoutAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.agents["dev-2"].says("Running")
		w.run()
		defer w.stop()
		w.ready("dev-1", "dev-2")
		writes := w.writes
		for range 5 {
			w.agents["dev-1"].says("Running")
			w.agents["dev-1"].says("Degraded")
			w.settle(time.Minute)
		}
		if w.writes != writes {
			t.Errorf("%d writes of the same", w.writes-writes)
		}
	})
}

// TestAnswersGoOnWhileThisProcessIsRestarted: the nodes know nothing of it.
// firstWord is what an agent gets to say how its server is (package agents).
const firstWord = time.Second

func TestAnswersGoOnWhileThisProcessIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.agents["dev-1"].says("Running")
		w.agents["dev-2"].says("Running")
		w.run()
		w.ready("dev-1", "dev-2")
		w.stop()
		if got := w.Nodes(); got != nil {
			t.Errorf("after its end the addon knows of %v", got)
		}
		w.agents["dev-1"].says("silent") // it takes its time
		w.agents["dev-2"].says("silent")
		writes := w.writes
		w.run()
		w.settle(firstWord / 2)
		w.ready("dev-1", "dev-2")
		w.agents["dev-1"].says("Running")
		w.settle(firstWord)
		w.ready("dev-1") // the other one has had its time
		if got := w.writes - writes; got != 1 {
			t.Errorf("%d writes, want 1", got)
		}
		w.stop()
	})
}

func TestReconnectsAreEagerFirstAndPatientLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.run()
		defer w.stop()
		w.settle(time.Second)
		if got := len(w.agents["dev-1"].times()); got < 20 || got > 22 {
			t.Errorf("%d tries in the first second", got)
		}
		w.settle(eagerTime)
		before := len(w.agents["dev-1"].times())
		w.settle(10 * time.Second)
		if got := len(w.agents["dev-1"].times()) - before; got < 9 || got > 11 {
			t.Errorf("%d tries in ten seconds, after %s", got, eagerTime)
		}
		if got := w.Nodes()["dev-1"]; got != cluster.PhaseUnknown {
			t.Errorf("a node that never came is %s", got)
		}
		w.agents["dev-1"].says("Running")
		w.settle(patientPause)
		w.ready("dev-1")
		// An agent that dies later is waited for eagerly again.
		w.agents["dev-1"].dies()
		w.settle(0)
		before = len(w.agents["dev-1"].times())
		w.settle(time.Second)
		if got := len(w.agents["dev-1"].times()) - before; got < 19 || got > 21 {
			t.Errorf("%d tries in the second after the agent died", got)
		}
	})
}

// TestServersKnowTheResolversOfTheMachine: at once, after a change, and after the agent was restarted.
func TestServersKnowTheResolversOfTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		news := make(chan cluster.Resolvers)
		w.machine = func(ctx context.Context, _ *slog.Logger, each func(cluster.Resolvers)) {
			for {
				select {
				case <-ctx.Done():
					return
				case r := <-news:
					each(r)
				}
			}
		}
		home := cluster.Resolvers{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:53")}, Since: time.Now()}
		vpn := cluster.Resolvers{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.8.0.1:53")}, Search: []string{"corp.test"}, Since: time.Now()}
		one, two := w.agents["dev-1"], w.agents["dev-2"]
		one.says("Running")
		w.run()
		defer w.stop()
		if _, times := one.received(); times != 0 {
			t.Error("it received something before anything was known")
		}
		news <- home
		w.settle(0)
		if got, _ := one.received(); !got.Equal(home) {
			t.Errorf("the first node knows %+v", got)
		}
		two.says("Running") // which comes later
		w.settle(2 * patientPause)
		if got, _ := two.received(); !got.Equal(home) {
			t.Errorf("the second node knows %+v", got)
		}
		news <- vpn
		w.settle(0)
		for name, a := range w.agents {
			if got, _ := a.received(); !got.Equal(vpn) {
				t.Errorf("%s knows %+v", name, got)
			}
		}
		_, before := one.received()
		w.settle(time.Minute)
		if _, times := one.received(); times != before {
			t.Errorf("without news it received %d times", times-before)
		}
		one.dies()
		w.settle(0)
		one.says("Running")
		w.settle(2 * patientPause)
		if got, times := one.received(); times == before || !got.Equal(vpn) {
			t.Errorf("after its restart it knows %+v, received %d times", got, times-before)
		}
	})
}

func TestStrangeAnswersDoNotCount(t *testing.T) {
	for _, answer := range []string{"404", "silent", `{"phase":"Excellent"}`, `{"phase":7}`, `{}`, "{" + strings.Repeat("x", 64<<10+1), "Stopping", "Failed"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.agents["dev-1"].says("Running")
			w.run()
			defer w.stop()
			w.ready("dev-1")
			w.agents["dev-1"].dies()
			w.agents["dev-1"].says(answer)
			w.settle(3 * time.Second)
			w.ready()
			w.health(cluster.AddonDegraded, "the node does not answer")
		})
	}
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		w.plan(2)
		w.settle(0)
		w.ready("dev-1")
		w.health(cluster.AddonDegraded, "1 of 2 nodes answer, not dev-2")
		w.agents["dev-2"].says("Running")
		w.settle(eagerPause)
		w.ready("dev-1", "dev-2")
		w.plan(1)
		w.settle(0)
		w.ready("dev-1")
		if got := w.Nodes(); len(got) != 1 {
			t.Errorf("the nodes are %v", got)
		}
		before := len(w.agents["dev-2"].times())
		w.agents["dev-2"].dies()
		w.settle(time.Minute)
		if got := len(w.agents["dev-2"].times()); got != before {
			t.Errorf("a node that is no longer planned was asked %d times", got-before)
		}
	})
}

func TestWithoutNodesItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.run()
		defer w.stop()
		w.health(cluster.AddonRunning, "")
		w.ready()
	})
}

func TestTheSliceIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].says("Running")
		w.run()
		defer w.stop()
		w.ready("dev-1")
		slicesOf := w.client.DiscoveryV1().EndpointSlices(namespace)
		slice, err := slicesOf.Get(t.Context(), sliceName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		slice.Endpoints[0].Conditions.Ready = new(false)
		if _, err := slicesOf.Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.ready("dev-1")
		// Deleted, and made again by the Manager.
		if err := slicesOf.Delete(t.Context(), sliceName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.health(cluster.AddonInstalling, "its endpoints are being written")
		if _, err := slicesOf.Create(t.Context(), w.shell(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle(0)
		w.ready("dev-1")
		w.health(cluster.AddonRunning, "")
	})
}

func TestWritingIsTriedAgainAndThenReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.agents["dev-1"].says("Running")
		set := func(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.refuse = err }
		set(apierrors.NewInternalError(errors.New("etcd is away")))
		w.run()
		w.settle(2 * tryPause)
		w.health(cluster.AddonInstalling, "its endpoints are being written")
		set(nil)
		w.settle(tryPause)
		w.ready("dev-1")
		set(apierrors.NewInternalError(errors.New("etcd is away")))
		w.agents["dev-1"].dies()
		if err := <-w.err; err == nil || !strings.Contains(err.Error(), "write the endpoints of kube-dns") || !strings.Contains(err.Error(), "etcd is away") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestWatchersAreNotified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.run()
		defer w.stop()
		before := w.notified
		w.agents["dev-1"].says("Starting") // no endpoint changes, but what is known of the node may
		w.agents["dev-2"].says("Running")
		w.settle(eagerPause)
		if w.notified <= before {
			t.Error("nothing was notified")
		}
		before = w.notified
		w.settle(time.Minute)
		if w.notified != before {
			t.Errorf("notified %d times without a change", w.notified-before)
		}
	})
}
