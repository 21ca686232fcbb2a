package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// resolve uses Go's own resolver, which reads resolv.conf as others do, and prints one line per name, in order: "NAME
// ok ANSWER..." with sorted answers, or "NAME failed CAUSE". It fails if any name failed.
func resolve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("resolve", flag.ContinueOnError)
	kind := flags.String("type", "A", "A (both families), SRV, PTR, CNAME or TXT")
	tcp := flags.Bool("tcp", false, "ask over TCP")
	server := flags.String("server", "", "ask this address:port in place of the ones of resolv.conf")
	limit := flags.Duration("limit", 10*time.Second, "for each name")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := resolver(*tcp, *server)
	failed := false
	for _, name := range flags.Args() {
		ctx, cancel := context.WithTimeout(ctx, *limit)
		answers, err := lookup(ctx, r, *kind, name)
		cancel()
		if err != nil {
			failed = true
			fmt.Println(name, "failed", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		slices.Sort(answers)
		fmt.Println(name, "ok", strings.Join(answers, " "))
	}
	if failed {
		return errors.New("some names failed")
	}
	return nil
}

func resolver(tcp bool, server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if tcp {
			network = "tcp"
		}
		if server != "" {
			address = server
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
}

func lookup(ctx context.Context, r *net.Resolver, kind, name string) ([]string, error) {
	switch kind {
	case "A":
		return r.LookupHost(ctx, name)
	case "PTR":
		return r.LookupAddr(ctx, name)
	case "TXT":
		return r.LookupTXT(ctx, name)
	case "CNAME":
		target, err := r.LookupCNAME(ctx, name)
		return []string{target}, err
	case "SRV":
		_, records, err := r.LookupSRV(ctx, "", "", name)
		var answers []string
		for _, s := range records {
			answers = append(answers, fmt.Sprintf("%s:%d/%d/%d", s.Target, s.Port, s.Priority, s.Weight))
		}
		return answers, err
	}
	return nil, fmt.Errorf("type %q is unknown", kind)
}

// lookups resolves one name again and again for a while and prints the result: "N lookups, F failed, longest gap D",
// where a gap is the time from one success to the next. It does not fail because of failed lookups.
func lookups(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("lookups", flag.ContinueOnError)
	during := flags.Duration("for", 10*time.Second, "how long")
	limit := flags.Duration("limit", 2*time.Second, "for each lookup")
	pause := flags.Duration("pause", 5*time.Millisecond, "between two lookups")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("lookups takes one name")
	}
	r := resolver(false, "")
	count, failed, cause := 0, 0, error(nil)
	begin := time.Now()
	last, longest := begin, time.Duration(0)
	for time.Since(begin) < *during && ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, *limit)
		_, err := r.LookupHost(once, flags.Arg(0))
		cancel()
		count++
		if err != nil {
			failed, cause = failed+1, err
		} else {
			longest, last = max(longest, time.Since(last)), time.Now()
		}
		time.Sleep(*pause)
	}
	longest = max(longest, time.Since(last))
	fmt.Printf("%d lookups, %d failed, longest gap %s, last failure: %v\n", count, failed, longest.Round(time.Millisecond), cause)
	return nil
}
