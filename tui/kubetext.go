package tui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
	"bonsai/tui/words"
)

// objectText is an object as kubectl and Events call it: "pod/web-0".
func objectText(o kube.Object) string {
	if o == (kube.Object{}) {
		return ""
	}
	return lower(o.Kind) + "/" + o.Name
}

// cleanObject makes the text of an object's name harmless.
func cleanObject(o kube.Object) kube.Object {
	return kube.Object{Kind: paint.Clean(o.Kind), Name: paint.Clean(o.Name)}
}

// eventSource is the component that reports an Event, and where it runs: "kubelet on dev-1".
func (u *ui) eventSource(e *kube.EventLine) string {
	if e.Node == "" {
		return e.Source
	}
	return u.T("%s on %s", e.Source, e.Node)
}

// containerText is what a container does, or how it ended; "" for no state.
func (u *ui) containerText(s kube.ContainerState) string {
	switch s.Phase {
	case kube.ContainerRunning:
		return u.T("running since %s", u.dateTime(s.Started))
	case kube.ContainerWaiting:
		text := u.T("waiting")
		if why := strings.Join(nonEmpty(s.Reason, s.Message), " "); why != "" {
			text += ": " + why
		}
		return text
	case kube.ContainerTerminated:
	default:
		return ""
	}
	text := u.T("exited %d", s.ExitCode)
	if s.Signal != 0 {
		text = u.T("killed by signal %d", s.Signal)
	}
	if s.Reason != "" {
		text += " (" + s.Reason + ")"
	}
	if !s.Finished.IsZero() {
		text = u.T("%s at %s", text, u.dateTime(s.Finished))
	}
	if s.Message != "" {
		text += ": " + s.Message
	}
	return text
}

// dateTime is a time to the second, in the time zone of the UI.
func (u *ui) dateTime(t time.Time) string {
	return t.In(u.clock.now().Location()).Format(time.DateTime)
}

// conditionText is a condition as "kubectl get -o yaml" has it: "Ready False ContainersNotReady …".
func conditionText(c *kube.Condition) string {
	return strings.Join(nonEmpty(c.Type, c.Status, c.Reason, c.Message), " ")
}

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// quantitiesText are resources as "cpu 100m, memory 64Mi".
func quantitiesText(list map[string]string) string {
	var all []string
	for _, resource := range slices.Sorted(maps.Keys(list)) {
		all = append(all, resource+" "+list[resource])
	}
	return strings.Join(all, ", ")
}

// envSource says where the value of a variable comes from.
func (u *ui) envSource(s kube.EnvSource) string {
	if s.Key == "" {
		return string(s.Kind) + " " + s.Name
	}
	return u.T("%s %s, key %s", string(s.Kind), s.Name, s.Key)
}

// containerPort is "http 8080/TCP".
func (u *ui) containerPort(p *kube.ContainerPort) string {
	text := strings.Join(nonEmpty(p.Name, fmt.Sprintf("%d/%s", p.Port, p.Protocol)), " ")
	if p.HostPort != 0 {
		text = u.T("%s (port %d of the node)", text, p.HostPort)
	}
	return text
}

func (u *ui) mountText(m *kube.Mount) string {
	text := u.T("%s from %s", m.Path, strings.Join(nonEmpty(m.Volume, m.SubPath), "/"))
	if m.ReadOnly {
		text += " (" + u.T("read-only") + ")"
	}
	return text
}

// servicePort is "80→8080/TCP".
func servicePort(p *kube.ServicePort) string {
	text := strconv.Itoa(p.Port)
	if p.Target != "" {
		text += "→" + p.Target
	}
	return text + "/" + p.Protocol
}

// addressText is an address of a Service and who reaches it.
func (u *ui) addressText(a kube.Address) string {
	text := a.Address
	switch a.From {
	case kube.ReachHost:
		text += " " + u.T("on this machine")
	case kube.ReachOutside:
		text += " " + u.T("outside")
	case kube.ReachNodes:
		text += " " + u.T("in the nodes' network")
	case kube.ReachPods:
		text += " " + u.T("in pods")
	}
	if a.Alias != "" {
		text = u.T("%s, which is %s", text, a.Alias)
	}
	return text
}

// markerText says in a language what happened to a log; node is the one whose log it is, if it is a node's.
func markerText(w words.W, node string, m *kube.LogMarker) string {
	text := ""
	switch m.Kind {
	case kube.LogRestarted:
		text = w.T("restart %d", m.Count)
	case kube.LogEnded:
		text = w.T("ended")
	case kube.LogUnreadable:
		return w.T("the log cannot be read: %s", m.Reason)
	case kube.LogDropped:
		return w.T("%s lines were dropped: they arrived faster than they could be shown", thousands(int64(m.Count)))
	case kube.LogCrowded:
		return w.T("there are more containers; only these %d are followed", m.Count)
	case kube.LogGap:
		return w.T("lines may be missing here")
	case kube.LogNodeOutput:
		return w.T("node %s is stopped; this is what its container printed", node)
	}
	end := &m.End
	if end.Phase == "" {
		return text
	}
	text += " · " + w.T("exit %d", end.ExitCode)
	if end.Reason != "" && end.Reason != "Error" && end.Reason != "Completed" {
		text += " (" + end.Reason + ")"
	}
	if end.Started.IsZero() || end.Finished.IsZero() {
		return text
	}
	ran := end.Finished.Sub(end.Started)
	if ran < time.Second {
		return text + " · " + w.T("ran less than 1s")
	}
	return text + " · " + w.T("ran %s", ran.Round(time.Second).String())
}

// texts puts each value of a list into words.
func texts[T any](list []T, text func(*T) string) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = text(&list[i])
	}
	return out
}
