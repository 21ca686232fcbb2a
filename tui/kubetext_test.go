package tui

import (
	"testing"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/words"
)

// TestValuesInWords is how values of the cluster read.
func TestValuesInWords(t *testing.T) {
	u, err := newUI(shop(), Options{}, feed.NewHub(t.Context(), calmPace))
	if err != nil {
		t.Fatal(err)
	}
	u.clock.now = func() time.Time { return fakeNow }
	at := fakeNow.Add(-time.Minute)
	marker := func(kind kube.LogMarkerKind, count int, end kube.ContainerState) string {
		return markerText(words.W{}, "dev-1", &kube.LogMarker{Kind: kind, Count: count, End: end})
	}
	for _, test := range []struct{ got, want string }{
		{u.containerText(kube.ContainerState{}), ""},
		{u.containerText(kube.ContainerState{Phase: kube.ContainerRunning, Started: at}), "running since 2026-03-14 12:03:31"},
		{u.containerText(kube.ContainerState{Phase: kube.ContainerWaiting}), "waiting"},
		{u.containerText(kube.ContainerState{Phase: kube.ContainerWaiting, Reason: "ErrImagePull", Message: "not found"}), "waiting: ErrImagePull not found"},
		{u.containerText(kube.ContainerState{Phase: kube.ContainerTerminated, Reason: "Completed", Finished: at}), "exited 0 (Completed) at 2026-03-14 12:03:31"},
		{u.containerText(kube.ContainerState{Phase: kube.ContainerTerminated, ExitCode: 137, Signal: 9, Message: "bye"}), "killed by signal 9: bye"},
		{conditionText(&kube.Condition{Type: "Ready", Status: "False", Message: "containers"}), "Ready False containers"},
		{quantitiesText(map[string]string{"memory": "64Mi", "cpu": "100m"}), "cpu 100m, memory 64Mi"},
		{u.envSource(kube.EnvSource{Kind: kube.EnvSecret, Name: "db", Key: "password"}), "Secret db, key password"},
		{u.envSource(kube.EnvSource{Kind: kube.EnvField, Name: "spec.nodeName"}), "field spec.nodeName"},
		{u.containerPort(&kube.ContainerPort{Port: 53, Protocol: "UDP"}), "53/UDP"},
		{u.containerPort(&kube.ContainerPort{Name: "http", Port: 8080, Protocol: "TCP", HostPort: 80}), "http 8080/TCP (port 80 of the node)"},
		{u.mountText(&kube.Mount{Path: "/data", Volume: "data"}), "/data from data"},
		{u.mountText(&kube.Mount{Path: "/data", Volume: "data", SubPath: "web", ReadOnly: true}), "/data from data/web (read-only)"},
		{servicePort(&kube.ServicePort{Port: 80, Protocol: "TCP"}), "80/TCP"},
		{servicePort(&kube.ServicePort{Port: 80, Target: "http", Protocol: "TCP"}), "80→http/TCP"},
		{u.addressText(kube.Address{}), ""},
		{u.addressText(kube.Address{Address: "10.96.0.1:443", From: kube.ReachPods}), "10.96.0.1:443 in pods"},
		{u.addressText(kube.Address{Address: "10.201.0.10:30080", From: kube.ReachNodes}), "10.201.0.10:30080 in the nodes' network"},
		{u.addressText(kube.Address{Address: "web.shop.svc", From: kube.ReachPods, Alias: "example.com"}), "web.shop.svc in pods, which is example.com"},
		{u.eventSource(&kube.EventLine{Source: "kubelet", Node: "dev-1"}), "kubelet on dev-1"},
		{u.eventSource(&kube.EventLine{Source: "default-scheduler"}), "default-scheduler"},
		{marker(kube.LogRestarted, 2, kube.ContainerState{}), "restart 2"},
		{marker(kube.LogRestarted, 2, kube.ContainerState{Phase: kube.ContainerTerminated, ExitCode: 137, Reason: "OOMKilled"}), "restart 2 · exit 137 (OOMKilled)"},
		{marker(kube.LogEnded, 0, kube.ContainerState{Phase: kube.ContainerTerminated, Reason: "Completed", Started: at, Finished: fakeNow}), "ended · exit 0 · ran 1m0s"},
		{marker(kube.LogEnded, 0, kube.ContainerState{Phase: kube.ContainerTerminated, ExitCode: 1, Reason: "Error", Started: at, Finished: at}), "ended · exit 1 · ran less than 1s"},
		{marker(kube.LogCrowded, 400, kube.ContainerState{}), "there are more containers; only these 400 are followed"},
		{marker(kube.LogDropped, 12_000, kube.ContainerState{}), "12 000 lines were dropped: they arrived faster than they could be shown"},
		{markerText(words.W{}, "", &kube.LogMarker{Kind: kube.LogUnreadable, Reason: "forbidden"}), "the log cannot be read: forbidden"},
		{marker(kube.LogNodeOutput, 0, kube.ContainerState{}), "node dev-1 is stopped; this is what its container printed"},
		{objectText(kube.Object{Kind: "Pod", Name: "web-0"}), "pod/web-0"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
