package coredns

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"sigs.k8s.io/yaml"

	"bonsai/dnsaddon/zone"
	"bonsai/test/coredns/internal/compare"
	"bonsai/test/coredns/internal/reference"
	"bonsai/test/coredns/internal/stub"
	"bonsai/test/coredns/internal/world"
)

var (
	seed      = flag.Uint64("seed", 1, "of the differential tests")
	questions = flag.Int("questions", 100_000, "how many the differential test asks")
	perWorld  = flag.Int("per-world", 400, "how many questions are asked before the objects change")
	shown     = flag.Int("shown", 8, "how many failures of different kinds are shown in full")
)

// subject is a server under comparison.
type subject interface {
	// Set returns when the server answers from these objects.
	Set(*world.World) error
	// Addresses are where it answers, for UDP and TCP.
	Addresses() (udp, tcp string)
}

// comparison asks both servers the same questions about the same worlds.
type comparison struct {
	t           *testing.T
	want, got   subject
	asked       int
	deliberate  map[string]int // by reason
	mix         map[string]int // by kind of reply
	kinds       map[string]*failure
	unreachable error
}

// failure is the first of a kind.
type failure struct {
	world    *world.World
	number   int
	question world.Question
	verdict
	count int
}

// run asks n questions, perWorld of them about each world.
func (c *comparison) run(seed uint64, n, perWorld int) {
	c.deliberate, c.mix, c.kinds = map[string]int{}, map[string]int{}, map[string]*failure{}
	g := world.New(seed)
	var w *world.World
	for number := 0; c.asked < n; number++ {
		if number%20 == 0 {
			w = g.World()
		} else {
			w = g.Step(w)
		}
		c.set(w)
		source := g.Questions(w)
		batch := make([]world.Question, min(perWorld, n-c.asked))
		for i := range batch {
			batch[i] = source.Next()
		}
		c.ask(w, number, batch)
		c.asked += len(batch)
		if c.unreachable != nil {
			c.t.Fatal(c.unreachable)
		}
	}
}

func (c *comparison) set(w *world.World) {
	c.t.Helper()
	for _, s := range []subject{c.want, c.got} {
		if err := s.Set(w); err != nil {
			c.t.Fatal(err)
		}
	}
}

// ask asks a batch of questions, from several sockets at once.
func (c *comparison) ask(w *world.World, number int, batch []world.Question) {
	const sockets = 4
	var wg sync.WaitGroup
	var mu sync.Mutex
	for first := range sockets {
		wg.Go(func() {
			both := c.clients()
			defer both.close()
			for i := first; i < len(batch); i += sockets {
				v, err := both.judge(batch[i])
				mu.Lock()
				if err != nil {
					c.unreachable = fmt.Errorf("seed %d, world %d, %s: %w", *seed, number, batch[i], err)
				} else {
					c.count(w, number, batch[i], v)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// clients are those of one goroutine.
type clients struct{ want, got *compare.Client }

func (c *comparison) clients() clients {
	return clients{compare.NewClient(c.want.Addresses()), compare.NewClient(c.got.Addresses())}
}

func (both clients) close() {
	both.want.Close()
	both.got.Close()
}

// verdict is the result of a question.
type verdict struct {
	want, got *dns.Msg
	// what differs; nothing if it is deliberate, for a reason.
	what   []string
	reason string
}

func (both clients) judge(q world.Question) (v verdict, err error) {
	if v.want, err = both.want.Ask(q.Msg, q.TCP); err != nil {
		return v, err
	}
	if v.got, err = both.got.Ask(q.Msg, q.TCP); err != nil {
		return v, err
	}
	v.what = compare.Differences(v.want, v.got)
	if wrong := compare.Disorder(v.got); wrong != "" && compare.Disorder(v.want) == "" {
		v.what = append(v.what, "order: "+wrong)
	}
	if len(v.what) == 0 && v.got.Truncated && !q.TCP {
		if v.what, err = both.retry(q, v.got); err != nil {
			return v, err
		}
	}
	for _, d := range deliberate {
		if len(v.what) == 0 {
			break
		}
		ok, err := d.is(both, q, v)
		if err != nil {
			return v, err
		}
		if ok {
			v.what, v.reason = nil, d.reason
		}
	}
	return v, nil
}

// retry compares what both servers reply over TCP when it was too long for UDP, and whether bonsai's truncated reply
// contained a part of that and nothing else.
func (both clients) retry(q world.Question, cut *dns.Msg) ([]string, error) {
	want, err := both.want.Ask(q.Msg, true)
	if err != nil {
		return nil, err
	}
	got, err := both.got.Ask(q.Msg, true)
	if err != nil {
		return nil, err
	}
	var what []string
	for _, aspect := range compare.Differences(want, got) {
		what = append(what, aspect+" over TCP")
	}
	if !within(cut.Answer, got.Answer) || !within(cut.Ns, got.Ns) || !within(cut.Extra, got.Extra) {
		what = append(what, "what was cut off")
	}
	return what, nil
}

// count records what has to be reported.
func (c *comparison) count(w *world.World, number int, q world.Question, v verdict) {
	c.mix[mixOf(v.want)]++
	if v.reason != "" {
		c.deliberate[v.reason]++
	}
	if len(v.what) == 0 {
		return
	}
	kind := fmt.Sprintf("%s of %s (%s, %s)", strings.Join(v.what, ", "), dns.Type(q.Msg.Question[0].Qtype),
		dns.RcodeToString[v.want.Rcode], dns.RcodeToString[v.got.Rcode])
	if f := c.kinds[kind]; f != nil {
		f.count++
		return
	}
	c.kinds[kind] = &failure{w, number, q, v, 1}
}

// mixOf is the kind of a reply, to see whether the questions are meaningful.
func mixOf(m *dns.Msg) string {
	kind := dns.RcodeToString[m.Rcode]
	switch {
	case m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0:
		kind = "NODATA"
	case m.Rcode == dns.RcodeSuccess:
		kind = "records"
	}
	if m.RecursionAvailable {
		kind += ", forwarded"
	}
	if m.Truncated {
		kind += ", truncated"
	}
	return kind
}

// report fails the test for what was found, the most frequent kinds first.
func (c *comparison) report() {
	c.t.Helper()
	total := 0
	kinds := slices.SortedFunc(maps.Keys(c.kinds), func(a, b string) int { return c.kinds[b].count - c.kinds[a].count })
	for i, kind := range kinds {
		f := c.kinds[kind]
		total += f.count
		if i < *shown {
			c.t.Errorf("%d replies differ in %s\n%s", f.count, kind, c.describe(f))
		} else {
			c.t.Errorf("%d replies differ in %s: world %d, %s", f.count, kind, f.number, f.question)
		}
	}
	meant := 0
	for _, reason := range slices.Sorted(maps.Keys(c.deliberate)) {
		meant += c.deliberate[reason]
		c.t.Logf("%d differ deliberately: %s", c.deliberate[reason], reason)
	}
	for _, kind := range slices.Sorted(maps.Keys(c.mix)) {
		c.t.Logf("%d replies are %s", c.mix[kind], kind)
	}
	c.t.Logf("%d questions, %d replies differ, %d more deliberately (seed %d)", c.asked, total, meant, *seed)
}

// describe shows a failure with no more objects than necessary.
func (c *comparison) describe(f *failure) string {
	var out strings.Builder
	fmt.Fprintf(&out, "seed %d, world %d: %s\n", *seed, f.number, f.question)
	if small, ok := c.shrink(f); ok {
		for _, o := range small.Objects() {
			text, err := yaml.Marshal(o)
			if err != nil {
				text = []byte(err.Error())
			}
			fmt.Fprintf(&out, "--- %T\n%s", o, text)
		}
	} else {
		fmt.Fprintf(&out, "--- only after the changes that led to this world, not if its objects are set at once\n")
	}
	fmt.Fprintf(&out, "--- want\n%s--- got\n%s", f.want, f.got)
	return out.String()
}

// shrink removes objects from the world as long as the replies still differ, with all objects set at once. False means
// that they do not even differ with the whole world.
func (c *comparison) shrink(f *failure) (*world.World, bool) {
	small := f.world
	if !c.differs(small, f.question) {
		return nil, false
	}
	for {
		found := false
		for fewer := range small.Smaller() {
			if c.differs(fewer, f.question) {
				small, found = fewer, true
				break
			}
		}
		if !found {
			return small, true
		}
	}
}

func (c *comparison) differs(w *world.World, q world.Question) bool {
	c.set(&world.World{})
	c.set(w)
	both := c.clients()
	defer both.close()
	v, err := both.judge(q)
	if err != nil {
		c.t.Fatal(err)
	}
	return len(v.what) > 0
}

// startCoreDNS runs for the test.
func startCoreDNS(t *testing.T, pods, upstream string) *reference.Server {
	t.Helper()
	s, err := reference.Start(pods, upstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func startStub(t *testing.T) string {
	t.Helper()
	s, err := stub.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr
}

// TestComparison compares CoreDNS with itself: if it found differences, they would be random, and the other tests would
// be worthless.
func TestComparison(t *testing.T) {
	upstream := startStub(t)
	c := &comparison{t: t, want: startCoreDNS(t, "insecure", upstream), got: startCoreDNS(t, "insecure", upstream)}
	c.run(*seed, min(*questions, 10_000), *perWorld)
	c.report()
}

// TestCoreDNS is the main comparison.
func TestCoreDNS(t *testing.T) {
	upstream := startStub(t)
	c := &comparison{t: t, want: startCoreDNS(t, "insecure", upstream), got: startBonsai(t, zone.Insecure, upstream)}
	c.run(*seed, *questions, *perWorld)
	c.report()
	// Questions that all get the same answer would find nothing.
	for kind, percent := range map[string]int{"records": 15, "NODATA": 5, "NXDOMAIN": 20, "records, forwarded": 3} {
		if c.mix[kind] < c.asked*percent/100 {
			t.Errorf("only %d of %d replies are %s", c.mix[kind], c.asked, kind)
		}
	}
	if c.asked >= 50_000 && c.mix["records, truncated"] == 0 {
		t.Error("no reply was too long for a packet")
	}
}

// TestPodModes compares the answers of the other two modes of the names of pods.
func TestPodModes(t *testing.T) {
	for name, mode := range map[string]zone.PodMode{"verified": zone.Verified, "disabled": zone.Disabled} {
		t.Run(name, func(t *testing.T) {
			upstream := startStub(t)
			c := &comparison{t: t, want: startCoreDNS(t, name, upstream), got: startBonsai(t, mode, upstream)}
			c.run(*seed, *questions/10, *perWorld)
			c.report()
		})
	}
}

// TestUnsynced checks the replies before all objects are known: the cluster's names must not be answered, because
// clients would cache a denial for longer than the start takes. CoreDNS answers some of them nevertheless, and looks up
// unknown addresses of the cluster elsewhere.
func TestUnsynced(t *testing.T) {
	upstream := startStub(t)
	core := startCoreDNS(t, "insecure", upstream)
	core.SetSynced(false)
	both := (&comparison{t: t, want: core, got: startBonsai(t, zone.Insecure, upstream)}).clients()
	defer both.close()
	g := world.New(*seed)
	source := g.Questions(g.World())
	failed := 0
	for range 5000 {
		q := source.Next()
		v, err := both.judge(q)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ToLower(q.Msg.Question[0].Name)
		ours := slices.ContainsFunc([]string{world.Domain, "in-addr.arpa.", "ip6.arpa."}, func(zone string) bool { return dns.IsSubDomain(zone, name) })
		switch {
		case q.Msg.Question[0].Qtype == dns.TypeANY:
		case ours && v.got.Rcode != dns.RcodeServerFailure,
			v.want.Rcode == dns.RcodeServerFailure && v.got.Rcode != dns.RcodeServerFailure,
			!ours && len(v.what) > 0:
			t.Fatalf("%s\n--- want\n%s--- got\n%s", q, v.want, v.got)
		case v.want.Rcode == dns.RcodeServerFailure:
			failed++
		}
	}
	if failed < 1000 {
		t.Errorf("only %d of the questions were about names of the cluster", failed)
	}
}
