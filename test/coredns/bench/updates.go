package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// update is one change of an EndpointSlice: how long after the request was sent a watch of this process had the event,
// and a server the new answer.
type update struct {
	event, answer time.Duration
}

// timeUpdates changes the address of an endpoint of a headless service again and again, and keeps asking one of the
// servers for it, with a new question as soon as the last one is answered. The servers take turns.
func (b *bench) timeUpdates(ctx context.Context) (map[string][]update, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(b.updates)*time.Second)
	defer cancel()
	const service = 0 // headless
	api := b.client.DiscoveryV1().EndpointSlices(namespaceOf(service))
	slice, err := api.Get(ctx, nameOf(service), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	events, err := api.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", slice.Name).String(),
	})
	if err != nil {
		return nil, err
	}
	defer events.Stop()
	out := map[string][]update{}
	for n := range b.updates {
		for i, s := range b.servers {
			address := fmt.Sprintf("10.250.%d.%d", n*len(b.servers)>>8+i, n&255)
			slice.Endpoints[0].Addresses = []string{address}
			begin := time.Now()
			var u update
			var all errgroup.Group
			all.Go(func() (err error) {
				slice, err = api.Update(ctx, slice, metav1.UpdateOptions{})
				return err
			})
			all.Go(func() (err error) {
				u.event, err = await(ctx, events, address, begin)
				return err
			})
			all.Go(func() (err error) {
				u.answer, err = s.until(ctx, serviceName(service), address, begin)
				return err
			})
			if err := all.Wait(); err != nil {
				return nil, err
			}
			out[s.name] = append(out[s.name], u)
		}
	}
	return out, nil
}

// await returns how long after begin the watch reported the address.
func await(ctx context.Context, events watch.Interface, address string, begin time.Time) (time.Duration, error) {
	for {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the watch does not report %s: %w", address, ctx.Err())
		case e, ok := <-events.ResultChan():
			if !ok {
				return 0, errors.New("the watch has ended")
			}
			if slice, ok := e.Object.(*discoveryv1.EndpointSlice); ok && slice.Endpoints[0].Addresses[0] == address {
				return time.Since(begin), nil
			}
		}
	}
}

// until returns how long after begin the server's answer had the address.
func (s *server) until(ctx context.Context, name, address string, begin time.Time) (time.Duration, error) {
	for ctx.Err() == nil {
		reply, err := s.ask.Ask(question(name, dns.TypeA), false)
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool {
			a, ok := rr.(*dns.A)
			return ok && a.A.String() == address
		}) {
			return time.Since(begin), nil
		}
	}
	return 0, fmt.Errorf("%s never answers %s with %s: %w", s.name, name, address, ctx.Err())
}
