// Command testpod is the program in the pods of the end-to-end tests: servers that return their own name and their
// client's address, and a client that sends requests to many of them at once and prints the answers.
//
//	testpod serve                      HTTP on 8080, TCP and UDP on 8081 (see serve.go)
//	testpod fetch [-n N] TARGET...     ask http://, https://, tcp:// and udp:// targets (see fetch.go)
//	testpod resolve [-type T] NAME...  ask Go's resolver for names (see resolve.go)
//	testpod lookups [-for D] NAME      one name again and again, and the longest time without an answer
//	testpod names [-address IP]        a DNS server on UDP 8053 with one answer for everything (see names.go)
//	testpod webhook                    a mutating admission webhook on 8443, with /tls (see webhook.go)
//	testpod apiserver                  an aggregated API on 8443, with /tls (see apiserver.go)
//	testpod depend NAME                end with an error if the name cannot be resolved, else wait (see depend.go)
//	testpod sleep                      nothing, until it gets a signal
//
// It is static, so that its image is one file.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verbs := map[string]func(context.Context, []string) error{
		"serve":     serve,
		"fetch":     fetch,
		"resolve":   resolve,
		"lookups":   lookups,
		"names":     names,
		"webhook":   webhook,
		"apiserver": apiserver,
		"depend":    depend,
		"sleep":     sleep,
	}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: testpod serve|fetch|resolve|lookups|names|webhook|apiserver|sleep")
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "testpod:", err)
		os.Exit(1)
	}
}

func sleep(ctx context.Context, _ []string) error {
	<-ctx.Done()
	return nil
}
