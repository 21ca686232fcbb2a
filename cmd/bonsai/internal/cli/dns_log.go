package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/termsafe"
)

type dnsLogOptions struct {
	node, pod   string
	all, follow bool
}

func (a *app) dnsLogCommand() *cobra.Command {
	var o dnsLogOptions
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show the questions of pods to cluster DNS, live",
		Long: `Log prints a line for every question that the DNS servers answer from now on, until Ctrl-C: the time, the client, the
type and name, the answer, how long it took, and where the answer came from. Nothing is recorded while nobody
watches, so there are no earlier questions to show, and the log always follows.

A program's lookup is one line: the names of the search path that were tried before the last one are only counted.
With --all each of them is a separate line. The client is NAMESPACE/POD, or node/NAME for a node and for pods on its
network. The questions of a pod that has just started appear two seconds late, until its name is known.

From is where the answer came from: cluster (its Services, endpoints and pods), cache, stale (expired, but no upstream
answers), forward and which upstream, or local (hosts and templates of the configuration).`,
		Example: `  bonsai dns log
  bonsai dns log --pod shop/cart-6f7c
  bonsai dns log --node 2 --all
  bonsai dns log -o json | jq -r 'select(.rcode != "NOERROR") | .pod + " " + .name'`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDNSLog(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", true, "always on; accepted for compatibility")
	f.StringVar(&o.pod, "pod", "", "only questions of this pod: POD of the namespace default, NAMESPACE/POD, or node/NAME")
	f.BoolVar(&o.all, "all", false, "show each name of a search path separately")
	a.addNodeFlag(cmd, &o.node, "only questions to this node's server")
	a.addOutput(cmd, "a line for people, or an object")
	return cmd
}

func (a *app) runDNSLog(ctx context.Context, o dnsLogOptions) error {
	if !o.follow {
		return fault.Newf(fault.Usage, "earlier questions are not recorded").Advise("see what is asked from now on", cluster.Bonsai("dns", "log"))
	}
	client, spec, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	q := cluster.DNSLogQuery{Fold: !o.all}
	if q.Node, err = a.nodeName(spec, o.node); err != nil {
		return err
	}
	if q.Pod, err = podName(o.pod); err != nil {
		return err
	}
	watched, err := a.watchable(ctx, client, q.Node)
	if err != nil {
		return a.explain(err)
	}
	// It may be quiet for long.
	watching := func() { a.note("watching the DNS of %s; Ctrl-C ends it", termsafe.String(strings.Join(watched, ", "))) }
	l := logLine{style: styleFor(a.Stdout)}
	err = client.DNSLog(ctx, q, watching, func(v cluster.DNSQuery) error {
		if a.json() {
			return writeJSONLine(a.Stdout, v)
		}
		if v.Dropped > 0 {
			a.note("%d questions were omitted here: they arrived faster than they could be shown", v.Dropped)
		}
		_, err := fmt.Fprintln(a.Stdout, l.format(v))
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil // Ctrl-C is how following ends
	case err == nil:
		a.note("the cluster was stopped")
	}
	return a.explain(err)
}

// watchable returns the names of the nodes whose server answers, and prints a note about the others.
func (a *app) watchable(ctx context.Context, client *localapi.Client, node string) (watched []string, err error) {
	all, err := client.DNSStatus(ctx)
	if err != nil {
		return nil, err
	}
	var reasons []string
	for _, s := range all {
		switch {
		case node != "" && node != s.Node:
		case s.Phase == cluster.PhaseUnknown:
			reasons = append(reasons, s.Node+": "+s.Reason)
		default:
			watched = append(watched, s.Node)
		}
	}
	if len(watched) == 0 {
		if len(reasons) == 0 {
			reasons = []string{"the cluster has no nodes"}
		}
		return nil, fault.New(fault.Addon, "watch cluster DNS", errors.New(strings.Join(reasons, "; "))).Advise("", cluster.Bonsai("dns", "status"))
	}
	for _, r := range reasons {
		a.note("will retry a node that cannot be watched: %s", termsafe.String(r))
	}
	return watched, nil
}

// logLine formats questions in columns. The columns grow with their content, up to a limit.
type logLine struct {
	style                 style
	who, question, answer int
}

func (l *logLine) format(q cluster.DNSQuery) string {
	who := q.Pod
	if who == "" {
		who = q.Client.String()
	}
	rcode := q.Rcode
	if rcode == "NOERROR" && q.Count == 0 {
		rcode = noData
	}
	answer := strings.Join(append([]string{rcode}, q.Answers...), " ")
	if more := q.Count - len(q.Answers); more > 0 && q.Count > 0 {
		answer += fmt.Sprintf(" +%d", more)
	}
	text := strings.Join([]string{
		l.style.dim(q.Time.Local().Format("15:04:05.000")),
		pad(&l.who, 40, termsafe.String(who)),
		pad(&l.question, 56, termsafe.String(fmt.Sprintf("%-5s %s", q.Type, q.Name))),
		l.paint(rcode, pad(&l.answer, 40, termsafe.String(answer))),
		fmt.Sprintf("%6s", latency(max(q.Took, 1))),
		termsafe.String(origin(q.Source, q.Upstream)),
	}, "  ")
	if q.Proto == "tcp" {
		text += " over tcp"
	}
	if n := len(q.Tries); n == 1 {
		text += l.style.dim("  after 1 try")
	} else if n > 1 {
		text += l.style.dim(fmt.Sprintf("  after %d tries", n))
	}
	return text
}

func (l *logLine) paint(rcode, text string) string {
	switch rcode {
	case "NOERROR", noData:
		return text
	case "NXDOMAIN":
		return l.style.yellow(text)
	}
	return l.style.red(text)
}

// pad makes text as wide as the widest one before, and remembers that width.
func pad(width *int, most int, text string) string {
	n := utf8.RuneCountInString(text)
	*width = max(*width, min(n, most))
	return text + strings.Repeat(" ", max(0, *width-n))
}
