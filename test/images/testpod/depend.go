package main

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// depend is a program that needs another service: it looks its name up, and exits with an error in its log if that
// fails, as many programs do.
func depend(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: testpod depend NAME")
	}
	fmt.Println("INFO  starting cart 1.4.2")
	addrs, err := net.DefaultResolver.LookupHost(ctx, args[0])
	if err != nil {
		fmt.Println("ERROR", err)
		return errors.New("cannot work without it")
	}
	fmt.Println("INFO  connected to", args[0], addrs[0])
	<-ctx.Done()
	return nil
}
