package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

type historyOptions struct {
	namespace, since string
	limit            int
	status           bool
}

func (a *app) historyCommand() *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history [TYPE[/NAME]]",
		Short: "Show what has happened to objects, and who did it",
		Long: `History shows the changes of the last hours to all objects of the cluster, the newest first: when, what, and who. They
are recorded all the time: for a day, in at most 96 MB beside etcd's data. Events and leases are not, and values in Secrets
are not shown.

WHO is the client ("kubectl scale", "kubelet on dev-2", a controller) with the user. Changes of nothing but the status are
left out unless --status is given. Without a namespace all are meant; with a NAME it is "default".

Exit codes: 40 there is no such object or type, and nothing of it is recorded; 32 the cluster does not run.`,
		Example: `  bonsai history
  bonsai history deploy/web
  bonsai history pods -n shop --since 10m --status
  bonsai history deploy/web -o json | jq '.changes[0].fields'`,
		Args: argCount(0, 2, "a type and a name at most"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runHistory(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "objects in this namespace")
	f.StringVar(&o.since, "since", "", "changes since then: 10m, 14:30, or a date and time")
	f.IntVar(&o.limit, "limit", 50, "how many changes at most; 0 for all")
	f.BoolVar(&o.status, "status", false, "also changes of nothing but the status")
	a.addOutput(cmd, "a table, or an object")
	return cmd
}

func (a *app) diffCommand() *cobra.Command {
	namespace, at, status := "", "", false
	cmd := &cobra.Command{
		Use:   "diff [TYPE[/NAME]] --at TIME",
		Short: "Show how objects differ from what they were",
		Long: `Diff compares objects as they are with what they were at a time: which were created and deleted since then, and which
fields have other values. The status is left out unless --status is given, and values in Secrets are not shown.

Exit codes: 0 also if there are differences; 40 that time is not recorded, or there is no such object; 32 the cluster
does not run.`,
		Example: `  bonsai diff --at 10m
  bonsai diff deploy/web --at 14:30
  bonsai diff configmaps -n shop --at "2026-03-01 09:00" -o json`,
		Args: argCount(0, 2, "a type and a name at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runDiff(cmd.Context(), args, namespace, at, status)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&namespace, "namespace", "n", "", "objects in this namespace")
	f.StringVar(&at, "at", "", "the time: 10m ago, 14:30, or a date and time")
	f.BoolVar(&status, "status", false, "compare the status, too")
	a.addOutput(cmd, "lines for people, or a list")
	return cmd
}

type revertOptions struct {
	namespace, at string
	to            int64
	dryRun        bool
}

func (a *app) revertCommand() *cobra.Command {
	var o revertOptions
	cmd := &cobra.Command{
		Use:   "revert TYPE/NAME",
		Short: "Make an object as it was, also one that was deleted",
		Long: `Revert writes one object as it was at a time (--at), or after the change of a revision that history shows (--to). Of a
deleted object neither is needed: it is created again as it was last.

It is a change like any other: policies and webhooks of the cluster apply, controllers react to it, and history shows it,
so that it can be reverted, too. The status is not written; controllers set it. A deleted object gets a new identity: a
claim gets a new volume, and a pod is scheduled again. What was deleted with an object is not created by this.

Exit codes: 40 the object or the time is not recorded; 41 the API server refuses the change; 32 the cluster does not run.`,
		Example: `  bonsai revert deploy/web --at 10m
  bonsai revert configmap/settings -n shop --to 4711
  bonsai revert service/web --dry-run     of a deleted one`,
		Args: argCount(1, 2, "a type and a name"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runRevert(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", `namespace of the object (default "default")`)
	f.StringVar(&o.at, "at", "", "as it was then: 10m ago, 14:30, or a date and time")
	f.Int64Var(&o.to, "to", 0, "as it was after the change of this revision")
	f.BoolVar(&o.dryRun, "dry-run", false, "only show what would change; the API server checks it")
	a.addOutput(cmd, "a sentence, or an object")
	return cmd
}

// objectQuery reads TYPE, TYPE/NAME or TYPE NAME.
func objectQuery(args []string, namespace string) (q cluster.ObjectQuery, err error) {
	text := strings.Join(args, "/")
	var named bool
	q.Type, q.Name, named = strings.Cut(text, "/")
	q.Namespace = namespace
	if text != "" && q.Type == "" || named && q.Name == "" || strings.Contains(q.Name, "/") {
		return q, fault.Newf(fault.Usage, "%q is not valid: use TYPE or TYPE/NAME", text)
	}
	if named && namespace == "" {
		q.Namespace = "default"
	}
	return q, nil
}

// moments are the forms in which a time can be given; those without a date are of today, or of yesterday if that is to come.
var moments = []string{"15:04", "15:04:05", time.RFC3339, "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

// moment reads the time in a flag: how long ago it is, or when. An empty text is the zero time.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at := time.Time{}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		at = now.Add(-d)
	}
	for i, form := range moments {
		t, err := time.ParseInLocation(form, text, now.Location())
		if err != nil {
			continue
		}
		if at = t; i < 2 {
			at = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if at.After(now) {
				at = at.AddDate(0, 0, -1)
			}
		}
	}
	switch {
	case at.IsZero():
		return at, fault.Newf(fault.Usage, "%s %q is not a time", flag, text).Advise(`for example:  10m, 14:30, or "2006-01-02 15:04:05"`)
	case at.After(now):
		return at, fault.Newf(fault.Usage, "%s %q is in the future", flag, text)
	}
	return at, nil
}

func (a *app) runHistory(ctx context.Context, args []string, o historyOptions) error {
	q := cluster.HistoryQuery{Limit: o.limit, Status: o.status}
	var err error
	if q.ObjectQuery, err = objectQuery(args, o.namespace); err != nil {
		return err
	}
	if q.Since, err = moment("--since", o.since, time.Now()); err != nil {
		return err
	}
	if o.limit < 0 {
		return fault.Newf(fault.Usage, "--limit %d is not valid: use a number of changes, or 0 for all", o.limit)
	}
	client, _, err := a.daemon()
	if err != nil {
		return err
	}
	all, err := client.History(ctx, q)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, all)
	}
	if err := a.printHistory(all, q.Name != "", time.Now()); err != nil {
		return err
	}
	line := strings.TrimSpace("history " + termsafe.String(strings.Join(args, " ")))
	if o.namespace != "" {
		line += " -n " + termsafe.String(o.namespace)
	}
	switch {
	case len(all.Changes) == 0 && !all.Begun.IsZero():
		a.note("no change is recorded since %s", clock(later(all.Begun, q.Since), time.Now()))
	case all.More:
		a.note("there are older changes; see all:  %s", a.command(line+" --limit 0"))
	}
	if all.Hidden > 0 {
		a.note("%d changes of nothing but the status are left out; see them:  %s", all.Hidden, a.command(line+" --status"))
	}
	if len(all.Gaps) > 0 && (q.Since.IsZero() || all.Gaps[0].After(q.Since)) {
		a.note("changes just before %s may be missing: the objects were replaced, or nothing recorded them", clock(all.Gaps[0], time.Now()))
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// clock is a time of today without its date.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// printHistory writes changes: of one object with all fields, of several in one line each.
func (a *app) printHistory(all cluster.History, one bool, now time.Time) error {
	if len(all.Changes) == 0 {
		return nil
	}
	if one {
		for _, c := range all.Changes {
			if _, err := fmt.Fprintf(a.Stdout, "%s  revision %d  %s by %s\n", clock(c.Time, now), c.Revision, c.Change, termsafe.String(whoChanged(c))); err != nil {
				return err
			}
			for _, f := range c.Fields {
				if _, err := fmt.Fprintf(a.Stdout, "    %s\n", termsafe.String(fieldText(f, longValue))); err != nil {
					return err
				}
			}
		}
		return nil
	}
	rows := [][]string{{"TIME", "REVISION", "NAMESPACE", "OBJECT", "CHANGE", "WHO"}}
	for _, c := range all.Changes {
		rows = append(rows, []string{clock(c.Time, now), fmt.Sprint(c.Revision), c.Namespace, objectText(c.ObjectName), changeText(c), whoChanged(c)})
	}
	return table(a.Stdout, rows)
}

// How much of a value is shown where several things share a line, and where it has one of its own.
const (
	shortValue = 24
	longValue  = 120
	wholeValue = 0
)

// changeText is what a change has done, in one line.
func changeText(c cluster.Change) string {
	if len(c.Fields) == 0 {
		return c.Change
	}
	f := c.Fields[0]
	for _, other := range c.Fields { // what somebody wanted says more than what follows from it
		if strings.HasPrefix(other.Path, "spec") || strings.HasPrefix(other.Path, "data") {
			f = other
			break
		}
	}
	text := fieldText(f, shortValue)
	if n := len(c.Fields) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// fieldText is how a field has changed; values are cut after most characters, unless that is wholeValue.
func fieldText(f cluster.FieldChange, most int) string {
	switch {
	case len(f.Before) == 0:
		return f.Path + ": " + clipped(string(f.After), most) + " added"
	case len(f.After) == 0:
		return f.Path + ": " + clipped(string(f.Before), most) + " removed"
	}
	return f.Path + ": " + clipped(string(f.Before), most) + " -> " + clipped(string(f.After), most)
}

func clipped(s string, most int) string {
	r := []rune(s)
	if most == wholeValue || len(r) <= most {
		return s
	}
	return string(r[:most]) + "..."
}

func objectText(o cluster.ObjectName) string {
	return cmp.Or(strings.ToLower(o.Kind), o.Resource) + "/" + o.Name
}

// whoChanged is the client, with the user where that says more.
func whoChanged(c cluster.Change) string {
	who := cmp.Or(c.Who, c.Manager, c.User, "unknown")
	if c.User != "" && c.User != who && !strings.HasPrefix(c.User, "system:") {
		who += " (" + c.User + ")"
	}
	return who
}

func (a *app) runDiff(ctx context.Context, args []string, namespace, at string, status bool) error {
	q := cluster.DifferenceQuery{Status: status}
	var err error
	if q.ObjectQuery, err = objectQuery(args, namespace); err != nil {
		return err
	}
	if at == "" {
		return fault.Newf(fault.Usage, "no time was given").Advise("for example:  --at 10m, or --at 14:30")
	}
	now := time.Now()
	if q.At, err = moment("--at", at, now); err != nil {
		return err
	}
	client, _, err := a.daemon()
	if err != nil {
		return err
	}
	list, err := client.Differences(ctx, q)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, list)
	}
	if len(list) == 0 {
		a.note("nothing differs from what it was at %s", clock(q.At, now))
	}
	for _, d := range list {
		if err := a.printDifference(d); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printDifference(d cluster.Difference) error {
	look := styleFor(a.Stdout)
	what := objectText(d.ObjectName)
	if d.Namespace != "" {
		what += " in namespace " + d.Namespace
	}
	lines := []string{termsafe.String(what) + ": " + d.Change}
	for _, f := range d.Fields {
		if len(f.Before) > 0 {
			lines = append(lines, look.red("  - "+termsafe.String(f.Path+": "+clipped(string(f.Before), wholeValue))))
		}
		if len(f.After) > 0 {
			lines = append(lines, look.green("  + "+termsafe.String(f.Path+": "+clipped(string(f.After), wholeValue))))
		}
	}
	_, err := fmt.Fprintln(a.Stdout, strings.Join(lines, "\n"))
	return err
}

func (a *app) runRevert(ctx context.Context, args []string, o revertOptions) error {
	r := cluster.RevertRequest{To: o.to, DryRun: o.dryRun}
	var err error
	if r.ObjectQuery, err = objectQuery(args, o.namespace); err != nil {
		return err
	}
	switch {
	case r.Name == "":
		return fault.Newf(fault.Usage, "%q is not valid: use TYPE/NAME", strings.Join(args, " "))
	case o.to < 0:
		return fault.Newf(fault.Usage, "--to %d is not a revision", o.to)
	case o.to != 0 && o.at != "":
		return fault.Newf(fault.Usage, "--at and --to exclude each other")
	}
	now := time.Now()
	if r.At, err = moment("--at", o.at, now); err != nil {
		return err
	}
	client, _, err := a.daemon()
	if err != nil {
		return err
	}
	done, err := client.Revert(ctx, r)
	if err != nil {
		return a.explain(err)
	}
	if a.json() {
		return writeJSON(a.Stdout, done)
	}
	return a.printReverted(done, now)
}

func (a *app) printReverted(r cluster.Reverted, now time.Time) error {
	verb := map[string]string{
		cluster.ChangeCreated: "was created again as it was at", cluster.ChangeUpdated: "is as it was at", "": "is already as it was at",
	}[r.Change]
	if r.DryRun {
		verb = map[string]string{
			cluster.ChangeCreated: "would be created again as it was at", cluster.ChangeUpdated: "would be made as it was at", "": "is already as it was at",
		}[r.Change]
	}
	lines := []string{fmt.Sprintf("%s %s %s.", termsafe.String(objectText(r.ObjectName)), verb, clock(r.At, now))}
	for _, f := range r.Fields {
		lines = append(lines, "  "+termsafe.String(fieldText(f, longValue)))
	}
	_, err := fmt.Fprintln(a.Stdout, strings.Join(lines, "\n"))
	return err
}
