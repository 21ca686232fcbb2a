package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// surviveClosedOutput keeps an operation on a cluster alive if the reader of its output exits, as in "bonsai start |
// head -1": dying of SIGPIPE would leave half of it. It is Notify and not Ignore because children inherit ignored
// signals.
func surviveClosedOutput() (stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}
