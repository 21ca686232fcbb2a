package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/termsafe"
)

// plainPause is the pause between two checks of a cluster that sends no updates.
const plainPause = 2 * time.Second

// runUIPlain prints the state of the cluster, problems first, and then a line for each change, until Ctrl-C.
func (a *app) runUIPlain(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	var report plainReport
	say := func(v cluster.Snapshot) error {
		for _, line := range report.change(v) {
			if _, err := fmt.Fprintln(a.Stdout, line); err != nil {
				return err
			}
		}
		return nil
	}
	for ctx.Err() == nil {
		written := error(nil)
		_ = s.Engine.Watch(ctx, a.profile, func(v cluster.Snapshot) error {
			written = say(v)
			return written
		})
		if written != nil {
			return written
		}
		if ctx.Err() != nil {
			break
		}
		// There are no updates: it is stopped, or about to start, or gone.
		v, err := s.Engine.Status(ctx, a.profile)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			v = cluster.Snapshot{Name: a.profile, Phase: cluster.PhaseAbsent}
		case ctx.Err() != nil:
			continue
		case err != nil:
			return err
		}
		if err := say(v); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(plainPause):
		}
	}
	return nil // Ctrl-C is how following ends
}

// plainReport turns snapshots into lines: all of the first one, then what is new, what has changed and what is gone.
type plainReport struct{ reported []plainLine }

// plainLine is the text about one thing; key identifies it.
type plainLine struct{ key, text string }

func (r *plainReport) change(s cluster.Snapshot) []string {
	now := plainLines(s)
	var out []string
	at := ""
	if r.reported != nil {
		at = s.Time.Local().Format("15:04:05") + " "
	}
	find := func(list []plainLine, key string) string {
		if i := slices.IndexFunc(list, func(l plainLine) bool { return l.key == key }); i >= 0 {
			return list[i].text
		}
		return ""
	}
	for _, l := range r.reported {
		if find(now, l.key) == "" {
			out = append(out, at+"over: "+l.text)
		}
	}
	for _, l := range now {
		if find(r.reported, l.key) != l.text {
			out = append(out, at+l.text)
		}
	}
	r.reported = now
	return out
}

// plainLines describes a snapshot in full sentences, problems first, without anything that changes all the time.
func plainLines(s cluster.Snapshot) []plainLine {
	var lines []plainLine
	add := func(key, format string, args ...any) {
		lines = append(lines, plainLine{key, termsafe.String(fmt.Sprintf(format, args...))})
	}
	text := fmt.Sprintf("cluster %s is %s", s.Name, strings.ToLower(string(s.Phase)))
	if s.KubernetesVersion != "" {
		text += ", Kubernetes " + s.KubernetesVersion
	}
	add("cluster", "%s", text)
	for i, p := range s.Problems {
		text := string(p.Severity) + ": "
		if p.Object != "" {
			text += p.Object + ": "
		}
		text += p.Summary
		if p.Cause != "" {
			text += ", because " + p.Cause
		}
		if hint := p.HintText(); hint != "" {
			text += "; what to do: " + hint
		}
		key := "problem " + p.Kind + " " + p.Object
		if slices.ContainsFunc(lines, func(l plainLine) bool { return l.key == key }) {
			key += fmt.Sprint(i)
		}
		add(key, "%s", text)
	}
	for _, n := range s.Nodes {
		ready := "not ready"
		if n.Ready {
			ready = "ready"
		}
		add("node "+n.Name, "node %s is %s, its container %s", n.Name, ready, strings.ToLower(string(n.Host)))
	}
	component := func(where string, c cluster.Component) {
		text := fmt.Sprintf("%s%s is %s", c.Name, where, strings.ToLower(string(c.Phase)))
		if c.Restarts > 0 {
			text += ", " + count(c.Restarts, "restart")
		}
		if c.Reason != "" {
			text += ": " + c.Reason
		}
		add("component "+c.Name+where, "%s", text)
	}
	for _, c := range s.Components {
		component("", c)
	}
	for _, n := range s.Nodes {
		for _, c := range n.Components {
			component(" on "+n.Name, c)
		}
	}
	for _, ad := range s.Addons {
		text := fmt.Sprintf("addon %s is %s", ad.Name, ad.State)
		if ad.Reason != "" {
			text += ": " + ad.Reason
		}
		add("addon "+ad.Name, "%s", text)
	}
	return lines
}
