package feed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func query(name, rcode string) cluster.DNSQuery {
	return cluster.DNSQuery{Name: name, Type: "A", Rcode: rcode, Client: netip.MustParseAddr("10.244.1.5")}
}

// watcher is a subscriber that runs beside the test, in its bubble.
type watcher struct {
	cancel    context.CancelFunc
	done      chan error
	mu        sync.Mutex // guards published
	published []string
}

func watch(f *Feed, fold bool) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel, done: make(chan error, 1)}
	begin := time.Now()
	go func() {
		w.done <- f.Subscribe(ctx, fold, func(q cluster.DNSQuery) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.published = append(w.published, fmt.Sprintf("%v %s %s %d", time.Since(begin), q.Node, q.Name, len(q.Tries)))
			return nil
		})
	}()
	synctest.Wait()
	return w
}

// end cancels the subscription and returns what it received.
func (w *watcher) end(t *testing.T) []string {
	t.Helper()
	synctest.Wait()
	w.cancel()
	if err := <-w.done; err != nil {
		t.Errorf("the subscription ends with %v", err)
	}
	return w.published
}

func TestNothingIsKeptWhileNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New("n1")
		f.Publish(query("early.", yes))
		if f.Active() {
			t.Error("active without a subscriber")
		}
		one, two := watch(f, false), watch(f, false)
		if !f.Active() {
			t.Error("not active with two subscribers")
		}
		f.Publish(query("both.", yes))
		if got := one.end(t); !slices.Equal(got, []string{"0s n1 both. 0"}) {
			t.Errorf("the first received %q", got)
		}
		f.Publish(query("second.", yes))
		if got := two.end(t); !slices.Equal(got, []string{"0s n1 both. 0", "0s n1 second. 0"}) {
			t.Errorf("the second received %q", got)
		}
		if f.Active() {
			t.Error("active after all have gone")
		}
		f.Publish(query("late.", yes))
	})
}

func TestSearchesAreFoldedForThoseWhoWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New("n1")
		folded, all := watch(f, true), watch(f, false)
		f.Publish(query("db.prod.shop.svc.cluster.local.", no))
		time.Sleep(10 * time.Millisecond)
		f.Publish(query("db.prod.svc.cluster.local.", yes))
		f.Publish(query("nope.shop.svc.cluster.local.", no))
		time.Sleep(time.Second)
		want := []string{"10ms n1 db.prod.svc.cluster.local. 1", "160ms n1 nope.shop.svc.cluster.local. 0"}
		if got := folded.end(t); !slices.Equal(got, want) {
			t.Errorf("folded: %q, want %q", got, want)
		}
		want = []string{"0s n1 db.prod.shop.svc.cluster.local. 0", "10ms n1 db.prod.svc.cluster.local. 0", "10ms n1 nope.shop.svc.cluster.local. 0"}
		if got := all.end(t); !slices.Equal(got, want) {
			t.Errorf("all: %q, want %q", got, want)
		}
	})
}

// TestSlowSubscriber is one that does not read at all while far too much happens: nobody waits for it, and the sum
// of the questions that it receives and of those that are reported as dropped is right.
func TestSlowSubscriber(t *testing.T) {
	for _, fold := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := New("n1")
			ctx, cancel := context.WithCancel(t.Context())
			read := make(chan struct{})
			done := make(chan error, 1)
			var received, dropped uint64
			go func() {
				done <- f.Subscribe(ctx, fold, func(q cluster.DNSQuery) error {
					<-read
					received++
					dropped += q.Dropped
					return nil
				})
			}()
			synctest.Wait()
			const published = 5*queueLength + 17
			for range published {
				f.Publish(query("web.example.com.", yes))
			}
			close(read)
			synctest.Wait()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if dropped == 0 || received+dropped != published {
				t.Errorf("received %d and dropped %d of %d", received, dropped, published)
			}
		})
	}
}

func TestFailedSendEndsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New("n1")
		gone := errors.New("gone")
		done := make(chan error, 1)
		go func() {
			done <- f.Subscribe(t.Context(), true, func(cluster.DNSQuery) error { return gone })
		}()
		synctest.Wait()
		f.Publish(query("a.", yes))
		if err := <-done; !errors.Is(err, gone) || f.Active() {
			t.Errorf("got %v, active %v", err, f.Active())
		}
	})
}

// TestManyAtOnce is for the race detector: servers publish while subscribers come and go.
func TestManyAtOnce(t *testing.T) {
	f := New("n1")
	stop := make(chan struct{})
	var publishers, subscribers sync.WaitGroup
	for range 3 {
		publishers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if f.Active() {
					f.Publish(query("web.", yes))
				}
			}
		})
	}
	for range 8 {
		subscribers.Go(func() {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				n := 0
				if err := f.Subscribe(ctx, true, func(cluster.DNSQuery) error {
					if n++; n == 5 {
						cancel()
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	subscribers.Wait()
	close(stop)
	publishers.Wait()
	if f.Active() {
		t.Error("still active")
	}
}

func BenchmarkIdle(b *testing.B) {
	f := New("n1")
	for b.Loop() {
		if f.Active() {
			b.Fatal("active")
		}
	}
}
