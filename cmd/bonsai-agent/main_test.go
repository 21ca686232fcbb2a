package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlagsStandAnywhere(t *testing.T) {
	for _, c := range []struct {
		args      string
		json, all bool
		rest      []string
		bad       bool
	}{
		{args: "", rest: nil},
		{args: "ps -a", all: true, rest: []string{"ps"}},
		{args: "-a ps", all: true, rest: []string{"ps"}},
		{args: "ls -o json", json: true, rest: []string{"ls"}},
		{args: "import -", rest: []string{"import", "-"}},
		{args: "-o yaml", bad: true},
		{args: "--what", bad: true},
	} {
		asJSON, all, rest, err := flags(strings.Fields(c.args))
		if c.bad != (err != nil) || asJSON != c.json || all != c.all || !slices.Equal(rest, c.rest) {
			t.Errorf("%q: json %v, all %v, rest %q, err %v", c.args, asJSON, all, rest, err)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{}, {"dance"}, {"images"}, {"images", "eat"}, {"images", "rm"}, {"images", "pull"}, {"images", "held"}, {"status", "now"}, {"probe"}, {"disk", "now"}, {"probe", "::"}, {"registries", "now"}, {"crictl"}} {
		if err := dispatch(t.Context(), "bonsai-agent", args, nil, &bytes.Buffer{}); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want the usage", args, err)
		}
	}
	if err := dispatch(t.Context(), "crictl", nil, nil, &bytes.Buffer{}); !errors.Is(err, errUsage) {
		t.Errorf("crictl: got %v, want the usage", err)
	}
}

func TestProbe(t *testing.T) {
	// A certificate that nobody trusts and an answer that nobody wants: reachable all the same.
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	var out bytes.Buffer
	if err := probe(t.Context(), []string{server.URL}, &out); err != nil || !strings.Contains(out.String(), "answers 403 Forbidden") {
		t.Errorf("probe says %q (%v)", out.String(), err)
	}
	server.Close()
	if err := probe(t.Context(), []string{server.URL}, &out); err == nil || errors.Is(err, errUsage) {
		t.Errorf("a closed port gives %v", err)
	}
}

func TestComponentTable(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var out bytes.Buffer
	err := componentTable(&out, []cluster.Component{
		{Name: "containerd", Phase: cluster.PhaseRunning, Since: now.Add(-90 * time.Second), PID: 20},
		{Name: "kubelet", Phase: cluster.PhaseFailed, Restarts: 3, Reason: "exit status 1"},
	}, now)
	want := "COMPONENT    STATE     RESTARTS   SINCE   PID   REASON\n" +
		"containerd   Running   0          1m30s   20    \n" +
		"kubelet      Failed    3          -       0     exit status 1\n"
	if err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out.String(), want)
	}
}
