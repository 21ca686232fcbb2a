package tui

import (
	"context"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// envTab lists the variables of each container of a pod with their values, wherever these come from.
type envTab struct {
	secrets
}

func newEnvTab(u *ui, ref kube.Ref) *envTab {
	t := &envTab{secrets{textTab: newTextTab(u, ref.Name+"-env", nil)}}
	t.again = func() {
		askValues(&t.secrets, func(ctx context.Context, reveal bool) ([]kube.ContainerEnv, error) {
			return u.session.Environment(ctx, ref.Namespace, ref.Name, reveal)
		}, t.lines)
	}
	return t
}

// widestName is how much room names of variables get at most, before their values.
const widestName = 40

func (t *envTab) lines(list []kube.ContainerEnv) []textview.Line {
	u := t.u
	var r rich
	some := false
	for _, c := range list {
		if len(c.Vars) == 0 {
			continue
		}
		if len(r.lines) > 0 {
			r.end()
		}
		if r.add(paint.Title, c.Container); c.Init {
			r.add(paint.Dim, " (init)")
		}
		r.end()
		widest := 0
		for _, v := range c.Vars {
			widest = max(widest, min(widestName, paint.Width(paint.Clean(v.Name))))
		}
		for _, v := range c.Vars {
			some = some || v.From.Kind == kube.EnvSecret
			t.variable(&r, v, widest)
		}
	}
	t.some = t.some || some
	if len(r.lines) == 0 {
		r.add(paint.Dim, u.T("its containers have no variables of their own")).end()
		return r.lines
	}
	r.end()
	r.add(paint.Dim, u.T("these are the values of now; a container keeps those from its start, and has variables of the Services of its namespace as well")).end()
	return r.lines
}

// variable writes one variable; its value may have several lines.
func (t *envTab) variable(r *rich, v kube.EnvVar, widest int) {
	u := t.u
	from := ""
	if v.From != (kube.EnvSource{}) {
		from = "  " + u.T("from %s", u.envSource(v.From))
	}
	name := paint.Accent
	if v.Replaced {
		name = paint.Dim
	}
	r.add(paint.Plain, "  ").add(name, v.Name).to(widest + 4)
	switch {
	case v.Missing && v.Optional:
		r.add(paint.Dim, u.T("not set: optional, and it does not exist"))
	case v.Missing:
		r.add(paint.Fail, u.theme.Glyphs.Fail+" "+u.T("it does not exist; the container cannot start"))
	case v.Unknown:
		r.add(paint.Dim, u.T("not known before the container runs"))
	case v.Hidden:
		r.add(paint.Dim, hiddenValue)
	default:
		first, rest, more := strings.Cut(v.Value, "\n")
		r.add(paint.Plain, first)
		for more && rest != "" {
			r.end()
			first, rest, more = strings.Cut(rest, "\n")
			r.to(widest+4).add(paint.Plain, first)
		}
	}
	r.add(paint.Dim, from)
	if v.Replaced {
		r.add(paint.Dim, "  "+u.T("replaced by a later one"))
	}
	r.end()
}
