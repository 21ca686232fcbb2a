package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"bonsai/bootstrap/fault"
)

// canAsk reports whether there is a person who could answer.
func (a *app) canAsk() bool { return isTerminal(a.Stdin) && isTerminal(a.Stderr) && !a.json() }

// ask puts a question to the user, and returns nil after yes.
func (a *app) ask(ctx context.Context, question string) error {
	fmt.Fprint(a.Stderr, question+" [y/N] ")
	answer := make(chan string, 1)
	go func() { // a read of a terminal cannot be interrupted; after Ctrl-C it ends with the process
		line, _ := bufio.NewReader(a.Stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		if line == "y" || line == "yes" {
			return nil
		}
		return fault.Newf(fault.Canceled, "nothing was removed")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
