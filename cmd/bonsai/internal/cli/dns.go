package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
)

func (a *app) dnsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dns",
		Short: "Inspect cluster DNS, and query it",
		Long: `Cluster DNS runs in every node and answers the pods there. These commands show the state of its servers, the questions
that they currently answer, and why a name has the answer that it has. "dns host" is about names for this machine.`,
		Example: `  bonsai dns status
  bonsai dns query web --from shop/cart-6f7c --trace
  bonsai dns log
  bonsai dns host enable`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.dnsStatusCommand(), a.dnsQueryCommand(), a.dnsLogCommand(), a.dnsFlushCommand(), a.dnsHostCommand())
	return cmd
}

// daemon returns the client of the cluster's daemon, and the plan of its nodes.
func (a *app) daemon() (*localapi.Client, *cluster.Spec, error) {
	s, err := a.open()
	if err != nil {
		return nil, nil, err
	}
	spec, err := a.spec(s)
	if err != nil {
		return nil, nil, err
	}
	return localapi.NewClient(s.State.Cluster(a.profile).APISocket()).LogTo(a.log), spec, nil
}

// wakeDaemon is daemon for verbs whose answers come from nodes: it wakes a paused cluster.
func (a *app) wakeDaemon(ctx context.Context) (*localapi.Client, *cluster.Spec, error) {
	client, spec, err := a.daemon()
	if err != nil {
		return nil, nil, err
	}
	s, err := a.open()
	if err == nil {
		err = a.wake(ctx, s)
	}
	return client, spec, err
}

// nodeName converts the value of --node into a node's name; "" stays.
func (a *app) nodeName(spec *cluster.Spec, arg string) (string, error) {
	if arg == "" {
		return "", nil
	}
	n, err := a.findNode(spec, arg)
	return n.Name, err
}

func (a *app) addNodeFlag(cmd *cobra.Command, node *string, what string) {
	cmd.Flags().StringVar(node, "node", "", "name or number of a node: "+what)
	_ = cmd.RegisterFlagCompletionFunc("node", func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return a.completeNodes(cmd, nil, text)
	})
}

func (a *app) dnsStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the DNS server of every node, its upstreams and its configuration",
		Long: `Status shows for the DNS server of each node its state, its records, the questions since it started and the use of its
cache; then the servers to which it forwards other names; then the problems.

A server is Running once its records are complete, Starting before, Degraded if it answers but something is wrong, and
Unknown if it cannot be reached. An upstream is Failed while it does not answer, and Degraded if it is not used because
it leads back to the cluster.

Exit codes: 0 if a server answers; 37 if none does, or DNS is disabled.`,
		Example: `  bonsai dns status
  bonsai dns status -o json`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDNSStatus(cmd.Context()) },
	}
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func (a *app) runDNSStatus(ctx context.Context) error {
	client, _, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	all, err := client.DNSStatus(ctx)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		err = writeJSON(a.Stdout, append([]cluster.DNSStatus{}, all...))
	} else {
		err = a.printDNSStatus(all)
	}
	if err == nil && !slices.ContainsFunc(all, answers) {
		err = exitCode(fault.ExitCode(&fault.Fault{Kind: fault.Addon}))
	}
	return err
}

// answers reports whether a server answers questions.
func answers(s cluster.DNSStatus) bool {
	return s.Phase == cluster.PhaseRunning || s.Phase == cluster.PhaseDegraded
}

func (a *app) printDNSStatus(all []cluster.DNSStatus) error {
	servers := [][]string{{"NODE", "STATE", "AGE", "SERVICES", "ENDPOINTS", "QUERIES", "FAILED", "CACHED", "HITS", "REASON"}}
	upstreams := [][]string{{"UPSTREAM", "FOR", "NODE", "STATE", "LATENCY", "QUERIES", "FAILED", "REASON"}}
	var config []string
	for _, s := range all {
		if s.Phase == cluster.PhaseUnknown {
			servers = append(servers, []string{s.Node, string(s.Phase), "", "", "", "", "", "", "", s.Reason})
			continue
		}
		questions, failed := countQueries(s.Queries)
		servers = append(servers, []string{
			s.Node, string(s.Phase), ageSince(s.Since), strconv.Itoa(s.Records.Services), strconv.Itoa(s.Records.Endpoints),
			strconv.FormatUint(questions, 10), strconv.FormatUint(failed, 10),
			fmt.Sprintf("%d/%d", s.Cache.Entries, s.Cache.Capacity), share(s.Cache.Hits, s.Cache.Hits+s.Cache.Misses), s.Reason,
		})
		for _, u := range s.Upstreams {
			upstreams = append(upstreams, []string{
				u.Address, u.Zone, s.Node, string(u.Phase), latency(u.Latency), strconv.FormatUint(u.Queries, 10), strconv.FormatUint(u.Failures, 10), u.Reason,
			})
		}
		for _, c := range s.Config {
			if !slices.Contains(config, c) {
				config = append(config, c)
			}
		}
	}
	if err := table(a.Stdout, withoutEmptyLast(servers)); err != nil {
		return err
	}
	if len(upstreams) > 1 {
		fmt.Fprintln(a.Stdout)
		if err := table(a.Stdout, withoutEmptyLast(upstreams)); err != nil {
			return err
		}
	}
	if len(config) > 0 {
		fmt.Fprintf(a.Stdout, "\nconfigured by %s\n", safeLines(strings.Join(config, ", "), ""))
	}
	look := styleFor(a.Stdout)
	for _, p := range dnsProblems(all) {
		fmt.Fprintln(a.Stdout)
		printProblem(a.Stdout, look, p)
	}
	return nil
}

// countQueries adds up the answers by rcode; failed are those that say that the server could not do its work.
func countQueries(byRcode map[string]uint64) (all, failed uint64) {
	for rcode, n := range byRcode {
		all += n
		if rcode == "SERVFAIL" || rcode == "REFUSED" {
			failed += n
		}
	}
	return all, failed
}

// dnsProblems are those of all servers. A problem that several nodes report, such as an error in the configuration, is
// listed once.
func dnsProblems(all []cluster.DNSStatus) (problems []cluster.Problem) {
	for _, s := range all {
		for _, p := range s.Problems {
			if !slices.ContainsFunc(problems, func(q cluster.Problem) bool { return p.Summary == q.Summary && p.Cause == q.Cause }) {
				problems = append(problems, p)
			}
		}
	}
	return problems
}

// withoutEmptyLast drops the last column if it has only a heading.
func withoutEmptyLast(rows [][]string) [][]string {
	last := len(rows[0]) - 1
	if slices.ContainsFunc(rows[1:], func(row []string) bool { return row[last] != "" }) {
		return rows
	}
	short := make([][]string, len(rows))
	for i, row := range rows {
		short[i] = row[:last]
	}
	return short
}

func ageSince(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return age(time.Since(t))
}

func share(part, whole uint64) string {
	if whole == 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", part*100/whole)
}

// latency formats a short time for comparison: at least two digits, and no more than necessary.
func latency(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", max(1, d.Microseconds()))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

func (a *app) dnsFlushCommand() *cobra.Command {
	node := ""
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Clear the caches of cluster DNS",
		Long: `Flush removes the cached answers of upstreams from the DNS servers, including those about missing names. Names of the
cluster are never cached by them; programs and the Java virtual machine may have caches of their own.`,
		Example: `  bonsai dns flush
  bonsai dns flush --node 2`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDNSFlush(cmd.Context(), node) },
	}
	a.addNodeFlag(cmd, &node, "only this node's server")
	a.addOutput(cmd, "format of the answer")
	return cmd
}

func (a *app) runDNSFlush(ctx context.Context, node string) error {
	client, spec, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	if node, err = a.nodeName(spec, node); err != nil {
		return err
	}
	all, err := client.DNSFlush(ctx, node)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		if err := writeJSON(a.Stdout, append([]cluster.DNSFlushed{}, all...)); err != nil {
			return err
		}
	}
	var errs []error
	for _, f := range all {
		switch {
		case f.Reason != "":
			errs = append(errs, fault.New(fault.Addon, "flush the cache of "+f.Node, errors.New(f.Reason)).Advise("", cluster.Bonsai("dns", "status")))
		case !a.json():
			fmt.Fprintf(a.Stdout, "%s: %d answers removed\n", f.Node, f.Entries)
		}
	}
	return errors.Join(errs...)
}
