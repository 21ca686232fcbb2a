package netpolicy

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/nodeagent/netpolicy/rules"
)

const (
	// runtimePause is the pause before the container runtime is asked again after it was restarted.
	runtimePause = 250 * time.Millisecond
	// runtimeLimit is how long rules wait for it.
	runtimeLimit = 3 * time.Second
)

// followRuntime learns the addresses of the node's pods from the container runtime. It has them when a sandbox starts, before any
// container in it does; the API server gets them from the kubelet up to a second later, when the pod may already have talked.
func (p *Part) followRuntime(ctx context.Context) {
	// Rules without what it knows could be less than those of before, if pods have just been started.
	giveUp := time.AfterFunc(p.cfg.Scale.Of(runtimeLimit), func() {
		p.change(func() (news bool) {
			if ctx.Err() != nil || p.known.runtime {
				return false
			}
			p.log.Warn("the container runtime cannot be followed; the API server has the addresses of pods, too, but later")
			p.known.runtime = true
			return true
		})
	})
	defer giveUp.Stop()
	for ctx.Err() == nil {
		if err := p.readRuntime(ctx); ctx.Err() == nil {
			p.log.Debug("the container runtime cannot be followed", "cause", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(runtimePause):
		}
	}
	p.change(func() bool {
		p.known.runtime, p.world.Sandboxes = false, nil
		return true
	})
}

func (p *Part) readRuntime(ctx context.Context) error {
	conn, err := grpc.NewClient("unix://"+p.cfg.Runtime, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to the container runtime: %w", err)
	}
	defer func() { _ = conn.Close() }()
	client := runtimeapi.NewRuntimeServiceClient(conn)
	events, err := client.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
	if err != nil {
		return fmt.Errorf("follow the container runtime: %w", err)
	}
	// The sandboxes that are there; what starts meanwhile is an event.
	list, err := client.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{
		State: &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
	}})
	if err != nil {
		return fmt.Errorf("list the sandboxes of pods: %w", err)
	}
	s := sandboxes{}
	for _, item := range list.Items {
		status, err := client.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: item.Id})
		if err == nil { // otherwise it has just gone
			s.see(status.Status)
		}
	}
	p.useSandboxes(s)
	for {
		e, err := events.Recv()
		if err != nil {
			return fmt.Errorf("follow the container runtime: %w", err)
		}
		if s.event(e) {
			p.useSandboxes(s)
		}
	}
}

func (p *Part) useSandboxes(s sandboxes) {
	newest := map[rules.Key]sandbox{} // of two of one pod, one is about to go
	for _, b := range s {
		if other, ok := newest[b.pod]; !ok || other.created < b.created {
			newest[b.pod] = b
		}
	}
	of := make(map[rules.Key]netip.Addr, len(newest))
	for pod, b := range newest {
		of[pod] = b.ip
	}
	p.change(func() bool {
		p.known.runtime, p.world.Sandboxes = true, of
		return true
	})
}

// sandboxes are those with a network of their own, by ID.
type sandboxes map[string]sandbox

type sandbox struct {
	pod     rules.Key
	ip      netip.Addr
	created int64 // nanoseconds
}

// event reports whether it changed anything.
func (s sandboxes) event(e *runtimeapi.ContainerEventResponse) bool {
	switch e.ContainerEventType {
	case runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT:
		if status := e.PodSandboxStatus; status != nil && status.Id == e.ContainerId {
			return s.see(status)
		}
	case runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT:
		if _, ok := s[e.ContainerId]; ok {
			delete(s, e.ContainerId)
			return true
		}
	}
	return false
}

func (s sandboxes) see(status *runtimeapi.PodSandboxStatus) bool {
	ip, err := netip.ParseAddr(status.GetNetwork().GetIp())
	if err != nil || !ip.Is4() {
		return false // it is on the node's network, or gone
	}
	pod := rules.Key{Namespace: status.GetMetadata().GetNamespace(), Name: status.GetMetadata().GetName()}
	s[status.Id] = sandbox{pod, ip, status.CreatedAt}
	return true
}
