package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

type dnsQueryOptions struct {
	from, node, qtype  string
	tcp, trace, search bool
}

func (a *app) dnsQueryCommand() *cobra.Command {
	var o dnsQueryOptions
	cmd := &cobra.Command{
		Use:   "query NAME",
		Short: "Look up a name as a pod does, and explain the answer",
		Long: `Query asks the DNS server of a node as a pod's resolver would, and prints the result: an address, or what --type asks
for, one per line.

With --from the question is asked as that pod would: on its node, with its address, and with the search path and ndots
of its dnsPolicy and dnsConfig. Without it, an ordinary pod of the namespace default is assumed, on the first node that
answers. A name that ends with a dot, or --search=false, is looked up exactly as given.

With --trace every step is shown: the names of the search path in turn, where each answer came from and by which rule,
and how long it took.

Exit codes: 38 if the name has no such record; 37 if no DNS server answers.`,
		Example: `  bonsai dns query kubernetes
  bonsai dns query web.shop --trace
  bonsai dns query cart --from shop/web-6f7c
  bonsai dns query _http._tcp.web.shop.svc.cluster.local. --type SRV
  bonsai dns query example.com --node 2 --tcp`,
		Args: argCount(1, 1, "one name"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runDNSQuery(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "pod to ask as: POD of the namespace default, or NAMESPACE/POD")
	a.addNodeFlag(cmd, &o.node, "node whose server is asked (default: that of the pod)")
	f.StringVarP(&o.qtype, "type", "t", "", "type of the records: A, AAAA, SRV, PTR, TXT… (default: A and AAAA)")
	f.BoolVar(&o.tcp, "tcp", false, "ask over TCP")
	f.BoolVar(&o.search, "search", true, "use the search path; --search=false asks for NAME exactly as given")
	f.BoolVar(&o.trace, "trace", false, "show every step")
	a.addOutput(cmd, "format of the answer")
	types := []string{"A", "AAAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(types, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) runDNSQuery(ctx context.Context, name string, o dnsQueryOptions) error {
	if name == "" || strings.ContainsAny(name, " \t\n") {
		return fault.Newf(fault.Usage, "%q is not a name", name).Advise("", help("bonsai dns query"))
	}
	client, spec, err := a.wakeDaemon(ctx)
	if err != nil {
		return err
	}
	q := cluster.DNSQuestion{Name: name, Type: strings.ToUpper(o.qtype), TCP: o.tcp, Plain: !o.search || strings.HasSuffix(name, ".")}
	if q.Node, err = a.nodeName(spec, o.node); err != nil {
		return err
	}
	if q.Pod, err = podName(o.from); err != nil {
		return err
	}
	answer, err := client.DNSLookup(ctx, q)
	if err != nil {
		return a.explain(err)
	}
	for _, text := range answer.Notes {
		a.note("%s", termsafe.String(text))
	}
	switch {
	case a.json():
		err = writeJSON(a.Stdout, answer)
	case o.trace:
		err = a.printTrace(answer)
	default:
		for _, s := range answer.Steps {
			for _, record := range s.Answers {
				fmt.Fprintln(a.Stdout, termsafe.String(recordData(record)))
			}
		}
	}
	if err == nil && !slices.ContainsFunc(answer.Steps, found) {
		return a.notResolved(name, answer, o)
	}
	return err
}

// podName completes POD to NAMESPACE/POD; "" stays.
func podName(arg string) (string, error) {
	namespace, name, two := strings.Cut(arg, "/")
	switch {
	case arg == "":
		return "", nil
	case !two:
		return "default/" + arg, nil
	case namespace == "" || name == "" || strings.Contains(name, "/"):
		return "", fault.Newf(fault.Usage, "%q is not valid: use POD or NAMESPACE/POD", arg)
	}
	return arg, nil
}

func found(s cluster.DNSStep) bool { return s.Rcode == "NOERROR" && len(s.Answers) > 0 }

// recordData is a record without its name, time to live, class and type.
func recordData(record string) string {
	rest := record
	for range 4 {
		i := strings.IndexAny(rest, " \t")
		if i < 0 {
			return record
		}
		rest = strings.TrimLeft(rest[i:], " \t")
	}
	return rest
}

// outcome is a step's result in one word.
func outcome(s cluster.DNSStep) string {
	text := s.Rcode
	if s.Rcode == "NOERROR" && len(s.Answers) == 0 {
		text = noData
	}
	if s.Truncated {
		text += " (truncated)"
	}
	return text
}

// noData is the usual word for a name that exists and has no record of the type.
const noData = "NODATA"

// origin is where an answer came from.
func origin(source cluster.DNSSource, upstream string) string {
	return strings.TrimSpace(string(source) + " " + upstream)
}

func (a *app) printTrace(answer cluster.DNSAnswer) error {
	as := "a pod of the namespace default"
	if answer.Pod != "" {
		as = "pod " + answer.Pod
	}
	if answer.Asked.Client.IsValid() {
		as += " (" + answer.Asked.Client.String() + ")"
	}
	fmt.Fprintf(a.Stdout, "asked %s as %s\n", termsafe.String(answer.Node), termsafe.String(as))
	if len(answer.Asked.Search) > 0 {
		fmt.Fprintf(a.Stdout, "search %s, ndots %d\n", termsafe.String(strings.Join(answer.Asked.Search, " ")), answer.Asked.Ndots)
	}
	fmt.Fprintln(a.Stdout)
	rows := [][]string{{"TYPE", "NAME", "ANSWER", "FROM", "TIME", "WHY"}}
	var records []string
	for _, s := range answer.Steps {
		rows = append(rows, []string{s.Type, s.Name, outcome(s), origin(s.Source, s.Upstream), latency(s.Took), s.Rule})
		records = append(records, s.Answers...)
	}
	if err := table(a.Stdout, withoutEmptyLast(rows)); err != nil {
		return err
	}
	if len(records) > 0 {
		fmt.Fprintln(a.Stdout)
	}
	for _, r := range records {
		fmt.Fprintln(a.Stdout, termsafe.String(r))
	}
	return nil
}

// notResolved summarises the steps of a lookup in one sentence, with the server's reasons for each.
func (a *app) notResolved(name string, answer cluster.DNSAnswer, o dnsQueryOptions) error {
	wanted := "A or AAAA"
	if o.qtype != "" {
		wanted = strings.ToUpper(o.qtype)
	}
	f := fault.Newf(fault.NotResolved, "%s does not exist", name)
	// That only svc and pod are directly below the cluster's domain is true but does not help.
	const aside = "." + cluster.ClusterDomain + "."
	for _, s := range answer.Steps {
		switch outcome := outcome(s); outcome {
		case "NXDOMAIN":
		case noData:
			f = fault.Newf(fault.NotResolved, "%s exists, but has no %s record", strings.TrimSuffix(s.Name, "."), wanted)
		default:
			f = fault.Newf(fault.NotResolved, "%s cannot be resolved: the server of %s answers %s", name, answer.Node, outcome).
				Advise("see how the servers are", cluster.Bonsai("dns", "status"))
		}
		line := s.Name + ": " + s.Rule
		if s.Rule == "" || len(f.Evidence) > 0 && strings.EqualFold(s.Name, strings.TrimSuffix(name, ".")+aside) {
			continue
		}
		if !slices.Contains(f.Evidence, line) { // A and AAAA usually fail for the same reason
			f.Evidence = append(f.Evidence, line)
		}
	}
	if len(f.Advice) == 0 && !o.trace {
		again := cluster.Bonsai("dns", "query").On(name).With("--trace")
		if o.from != "" {
			again = again.With("--from", o.from)
		}
		f.Advise("see each step", again)
	}
	return f
}
