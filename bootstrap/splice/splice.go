// Package splice joins two connections.
package splice

import (
	"context"
	"io"
	"net"
	"sync"
)

// Both copies in both directions until both have ended, one has failed, or ctx ends. If one direction ends, only that end is
// passed on: the other may go on for long. Between TCP sockets the kernel moves the data. The caller closes the connections;
// if a direction fails or ctx ends, Both has closed them.
func Both(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		_ = a.Close()
		_ = b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { one(a, b) })
	both.Go(func() { one(b, a) })
	both.Wait()
}

// one copies one direction and passes its end on.
func one(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		_ = to.Close()
		_ = from.Close()
	}
}
