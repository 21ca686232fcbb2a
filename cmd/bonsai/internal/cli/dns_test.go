package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
)

// scripted is the daemon of a script: it replies as a file says, and records the requests.
type scripted struct {
	localapi.Backend // nil: only DNS, births, load and history are asked for
	asked            string
	script           struct {
		Status      []cluster.DNSStatus
		Log         []cluster.DNSQuery
		Hangs       bool // the log, or the stream of loads, goes on
		Loads       []cluster.Load
		Flows       []cluster.Flows
		Way         cluster.Why
		Answer      cluster.DNSAnswer
		Flushed     []cluster.DNSFlushed
		Births      []cluster.Birth
		History     cluster.History
		Differences []cluster.Difference
		Reverted    cluster.Reverted
		Host        cluster.HostDNS
		Problem     *cluster.Problem
	}
}

// startDaemon is: daemon FILE. It serves the local API of the script's cluster until the script ends.
func startDaemon(ts *testscript.TestScript, _ bool, args []string) {
	b := &scripted{asked: ts.MkAbs("asked.json")}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &b.script))
	state := statedir.Dir{Root: ts.Getenv(statedir.EnvHome)}.Cluster(cluster.DefaultName)
	ts.Check(state.CreateSocketDir())
	server, err := localapi.Listen(state.APISocket(), b, slog.New(slog.DiscardHandler))
	ts.Check(err)
	ts.Defer(func() { ts.Check(errors.Join(server.Close(), state.Remove())) })
}

func (b *scripted) note(v any) error {
	if b.script.Problem != nil {
		return fault.FromProblem(*b.script.Problem)
	}
	data, err := json.Marshal(v)
	return errors.Join(err, os.WriteFile(b.asked, data, 0o600))
}

func (b *scripted) DNSStatus(context.Context) ([]cluster.DNSStatus, error) {
	return b.script.Status, b.note("status")
}

func (b *scripted) DNSLookup(_ context.Context, q cluster.DNSQuestion) (cluster.DNSAnswer, error) {
	return b.script.Answer, b.note(q)
}

func (b *scripted) HostDNS() cluster.HostDNS { return b.script.Host }

func (b *scripted) DNSFlush(_ context.Context, node string) ([]cluster.DNSFlushed, error) {
	return b.script.Flushed, b.note("flush " + node)
}

func (b *scripted) DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error {
	if err := b.note(q); err != nil {
		return err
	}
	watching()
	for _, v := range b.script.Log {
		if err := send(v); err != nil {
			return err
		}
	}
	return b.hang(ctx)
}

func (b *scripted) Load(ctx context.Context, send func(cluster.Load) error) error {
	if err := b.note("load"); err != nil {
		return err
	}
	for _, v := range b.script.Loads {
		if err := send(v); err != nil {
			return err
		}
	}
	return b.hang(ctx)
}

func (b *scripted) Flows(ctx context.Context, send func(cluster.Flows) error) error {
	if err := b.note("flows"); err != nil {
		return err
	}
	for _, v := range b.script.Flows {
		if err := send(v); err != nil {
			return err
		}
	}
	return b.hang(ctx)
}

func (b *scripted) Why(_ context.Context, q cluster.WhyQuestion) (cluster.Why, error) {
	return b.script.Way, b.note(q)
}

// hang waits for the end if the script says so.
func (b *scripted) hang(ctx context.Context) error {
	if !b.script.Hangs {
		return nil
	}
	if err := os.WriteFile(b.asked+".hangs", nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func TestLatency(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "", 1: "1µs", 999 * time.Nanosecond: "1µs", 85 * time.Microsecond: "85µs", 1234 * time.Microsecond: "1.2ms",
		12 * time.Millisecond: "12ms", 999 * time.Millisecond: "999ms", 2100 * time.Millisecond: "2.1s",
	} {
		if got := latency(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestRecordData(t *testing.T) {
	for record, want := range map[string]string{
		"web.shop.svc.cluster.local.\t30\tIN\tA\t10.96.1.2": "10.96.1.2",
		"x. 30 IN SRV 0 100 80 web.shop.svc.cluster.local.": "0 100 80 web.shop.svc.cluster.local.",
		"x.\t30\tIN\tTXT\t\"two  words\" \"and\ttabs\"":     "\"two  words\" \"and\ttabs\"",
		"unheard of":    "unheard of",
		"":              "",
		"a b c d":       "a b c d",
		"x. 30 IN TXT ": "",
	} {
		if got := recordData(record); got != want {
			t.Errorf("%q: %q, want %q", record, got, want)
		}
	}
}

// TestLogColumns keeps what is alike below each other, as long as it is not too wide.
func TestLogColumns(t *testing.T) {
	var l logLine
	line := func(pod, name string, answers ...string) string {
		return l.format(cluster.DNSQuery{
			Time: time.Date(2026, 1, 2, 10, 0, 0, 5e6, time.Local), Pod: pod, Client: netip.MustParseAddr("10.244.1.5"), Proto: "udp",
			Name: name, Type: "A", Rcode: "NOERROR", Answers: answers, Count: len(answers), Took: 85 * time.Microsecond, Source: cluster.DNSFromCluster,
		})
	}
	long := fmt.Sprintf("%0200d.", 7)
	for _, c := range []struct{ got, want string }{
		{line("shop/cart", "web.", "10.96.1.2"), "10:00:00.005  shop/cart  A     web.  NOERROR 10.96.1.2    85µs  cluster"},
		{line("", "db."), "10:00:00.005  10.244.1.5  A     db.   NODATA               85µs  cluster"},
		{line("a/b", long), "10:00:00.005  a/b         A     " + long + "  NODATA               85µs  cluster"},
		{line("a/b", "c."), "10:00:00.005  a/b         A     c.                                                  NODATA               85µs  cluster"},
	} {
		if c.got != c.want {
			t.Errorf("got  %q\nwant %q", c.got, c.want)
		}
	}
}
