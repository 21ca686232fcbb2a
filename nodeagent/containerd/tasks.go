package containerd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pollTasks is how often StopTasks checks whether tasks have ended; it runs for about a second at most.
const pollTasks = 20 * time.Millisecond

// StopTasks ends all containers of the node: it asks them to stop, and after grace kills those that still run. It
// returns once containerd has seen each of them end, so that the next boot finds nothing to clean up, or when ctx ends.
func (c *Client) StopTasks(ctx context.Context, grace time.Duration) error {
	ctx = inNamespace(ctx)
	if err := c.signalAll(ctx, unix.SIGTERM); err != nil {
		return err
	}
	graceful, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := c.waitNoTasks(graceful); err == nil || ctx.Err() != nil {
		return err
	}
	if err := c.signalAll(ctx, unix.SIGKILL); err != nil {
		return err
	}
	return c.waitNoTasks(ctx)
}

func (c *Client) signalAll(ctx context.Context, signal unix.Signal) error {
	running, err := c.runningTasks(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(running))
	var wg sync.WaitGroup
	for i, t := range running {
		wg.Go(func() {
			// All: a container whose first process does not pass signals on would leave the others behind.
			_, err := c.tasks().Kill(ctx, &tasksapi.KillRequest{ContainerID: t.ID, Signal: uint32(signal), All: signal == unix.SIGKILL})
			if code := status.Code(err); code != codes.OK && code != codes.NotFound && code != codes.FailedPrecondition {
				errs[i] = fmt.Errorf("send signal to container %s: %w", t.ID, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Client) waitNoTasks(ctx context.Context) error {
	for {
		running, err := c.runningTasks(ctx)
		if err != nil {
			return err
		}
		if len(running) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d containers to end: %w", len(running), ctx.Err())
		case <-time.After(pollTasks):
		}
	}
}

func (c *Client) runningTasks(ctx context.Context) ([]*tasktypes.Process, error) {
	resp, err := c.tasks().List(ctx, &tasksapi.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var running []*tasktypes.Process
	for _, t := range resp.Tasks {
		if t.Status != tasktypes.Status_STOPPED {
			running = append(running, t)
		}
	}
	return running, nil
}
