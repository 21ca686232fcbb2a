// Command init is PID 1 of test nodes, and, with arguments, a command of package guest.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/term"

	"bonsai/bootstrap/node/nodetest/guest"
)

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 0:
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		name, _ := os.Hostname()
		fmt.Println("node", name, "is up")
		<-stop
	case args[0] == "await-size":
		os.Exit(awaitSize(args[1], args[2]))
	default:
		os.Exit(guest.Run(guest.OS{}, args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}
}

// awaitSize ends well when the terminal has the size, and badly if it does not get it.
func awaitSize(width, height string) int {
	for range 100 {
		w, h, err := term.GetSize(0)
		if err == nil && strconv.Itoa(w) == width && strconv.Itoa(h) == height {
			fmt.Print("size ", width, "x", height)
			return 0
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 1
}
