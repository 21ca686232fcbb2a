package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/paint"
)

// forwards are the ports of this machine that lead into the cluster. They live as long as the UI,
// regardless of the page that is shown. They belong to the program's goroutine.
type forwards struct {
	u    *ui
	list []*forward
	made int // numbers them
	// changed is called after every change; nil for nobody.
	changed func()
}

// forward is one forwarded port.
type forward struct {
	id    string
	spec  kube.ForwardSpec
	state kube.ForwardState
	began time.Time
	// err is why it ended on its own.
	err       error
	cancel    context.CancelFunc
	entry     *actionEntry
	announced bool // that it is there
}

// errStopped is the end of a forward that the user has stopped.
var errStopped = errors.New("stopped")

// start forwards a port, until stop.
func (s *forwards) start(spec kube.ForwardSpec) {
	u := s.u
	for _, f := range s.list {
		if f.spec == spec && f.err == nil {
			u.toast.say(paint.OK, u.T("%s is already forwarded there", f.address()))
			return
		}
	}
	s.made++
	f := &forward{
		id: "forward-" + strconv.Itoa(s.made), spec: spec, began: u.clock.now(),
		entry: u.record(forwardCommand(spec)),
	}
	s.list = append(s.list, f)
	s.run(f)
}

func (s *forwards) run(f *forward) {
	u := s.u
	f.err, f.state = nil, kube.ForwardState{}
	ctx, cancel := context.WithCancel(u.hub.Context())
	f.cancel = cancel
	states := feed.NewBox(u.hub, nil, func(v kube.ForwardState) {
		v.Pod, v.Reason = paint.Clean(v.Pod), paint.Clean(v.Reason)
		f.state = v
		if !f.announced && v.Local > 0 && f.err == nil && s.has(f) {
			f.announced = true
			u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+u.T("%s is forwarded to %s; %s lists it", f.url(), f.target(), u.keys.Key("screen.ports")))
		}
		s.tell()
	})
	end := feed.NewBox(u.hub, nil, func(err error) { s.ended(f, err) })
	u.hub.Go(func() {
		err := u.session.Forward(ctx, f.spec, func(v kube.ForwardState) {
			if ctx.Err() == nil {
				states.Put(v)
			}
		})
		if ctx.Err() != nil {
			err = errStopped
		} else if err == nil {
			err = feed.ErrEnded
		}
		cancel()
		end.Put(err)
	})
	s.tell()
}

func (s *forwards) has(f *forward) bool { return slices.Contains(s.list, f) }

// ended takes in that a forward runs no more.
func (s *forwards) ended(f *forward, err error) {
	u := s.u
	if errors.Is(err, errStopped) || !s.has(f) {
		f.entry.end(u, nil)
		return
	}
	f.entry.end(u, err)
	f.err = err
	s.tell()
	u.fail(err)
	if fault.KindOf(err) == fault.Conflict && !f.announced {
		s.remove(f)
		s.askOther(f.spec, err)
	}
}

// askOther offers another port of this machine for one that is taken.
func (s *forwards) askOther(spec kube.ForwardSpec, err error) {
	u := s.u
	free := spec
	free.Local = 0
	u.choose(u.T("port %d of this machine is taken", spec.Local), []choice{
		{title: u.T("take a free one"), run: func() { s.start(free) }},
		{title: u.T("choose another one"), hint: "local:remote", run: func() { u.promptForward(spec, fmt.Sprintf(":%d", spec.Remote)) }},
	})
	u.fail(err)
}

// stop ends a forward and takes it from the list.
func (s *forwards) stop(f *forward) {
	f.cancel()
	s.remove(f)
	s.u.toast.say(paint.OK, s.u.T("%s is no longer forwarded", f.address()))
}

func (s *forwards) remove(f *forward) {
	s.list = slices.DeleteFunc(s.list, func(o *forward) bool { return o == f })
	s.tell()
}

// retry restarts one that has ended.
func (s *forwards) retry(f *forward) {
	if f.err != nil {
		s.run(f)
	}
}

func (s *forwards) tell() {
	if s.changed != nil {
		s.changed()
	}
	s.u.touch()
}

// target is what it leads to: "service shop/web port 80".
func (f *forward) target() string {
	t := f.spec.Target
	return paint.Clean(fmt.Sprintf("%s %s/%s:%d", lower(t.Kind), f.spec.Namespace, t.Name, f.spec.Remote))
}

// address is that of this machine: "127.0.0.1:8080".
func (f *forward) address() string {
	port := f.state.Local
	if port == 0 {
		port = f.spec.Local
	}
	if port == 0 {
		return "127.0.0.1:?"
	}
	return "127.0.0.1:" + strconv.Itoa(port)
}

// url is the address for a browser.
func (f *forward) url() string {
	switch f.spec.Remote {
	case 443, 6443, 8443, 9443:
		return "https://" + f.address()
	}
	return "http://" + f.address()
}

// askForward asks which port, and forwards it.
func (u *ui) askForward(s *subject) {
	spec := kube.ForwardSpec{Namespace: s.ref.Namespace, Target: kube.Object{Kind: s.ref.Type.Kind, Name: s.ref.Name}}
	switch s.ref.Type.Resource {
	case "services":
		if l := u.state.Services.Get(s.ref.Namespace, s.ref.Name); l != nil {
			u.pickPort(spec, servicePorts(l.Ports))
			return
		}
		fetchService(u, s.ref.Namespace, s.ref.Name, func(l *kube.ServiceLine, err error) {
			if err != nil {
				u.fail(err)
			}
			if l == nil {
				l = &kube.ServiceLine{}
			}
			u.pickPort(spec, servicePorts(l.Ports))
		})
	default:
		pod := s.ref.Name
		if s.ref.Type.Resource != "pods" {
			if pod = u.podOf(s); pod == "" {
				u.pickPort(spec, nil)
				return
			}
		}
		fetch(u, func(ctx context.Context) (kube.PodDetail, error) {
			return u.session.Pod(ctx, s.ref.Namespace, pod)
		}, func(d kube.PodDetail, err error) {
			if err != nil {
				u.fail(err)
			}
			var ports []targetPort
			for _, c := range d.Containers {
				for _, p := range c.Ports {
					ports = append(ports, targetPort{p.Port, paint.Clean(u.containerPort(&p)), tcp(p.Protocol)})
				}
			}
			u.pickPort(spec, ports)
		})
	}
}

// podOf is a pod of a workload, "" if none is known.
func (u *ui) podOf(s *subject) string {
	kind, best := s.ref.Type.Kind, ""
	for _, r := range u.state.Pods.All {
		if r.Namespace != s.ref.Namespace {
			continue
		}
		owner := r.Owner
		mine := owner.Kind == kind && owner.Name == s.ref.Name
		if kind == "Deployment" && owner.Kind == "ReplicaSet" {
			at := strings.LastIndexByte(owner.Name, '-')
			mine = at > 0 && owner.Name[:at] == s.ref.Name
		}
		if mine && (best == "" || r.Name < best) {
			best = r.Name
		}
	}
	return best
}

// targetPort is a port that can be asked for at a target, with its text.
type targetPort struct {
	port int
	text string
	tcp  bool
}

// tcp says whether a protocol can be forwarded.
func tcp(protocol string) bool { return protocol == "" || protocol == "TCP" }

func servicePorts(list []kube.ServicePort) []targetPort {
	var ports []targetPort
	for _, p := range list {
		ports = append(ports, targetPort{p.Port, servicePort(&p), tcp(p.Protocol)})
	}
	return ports
}

// pickPort has the user choose one of the ports, and then a port of this machine.
func (u *ui) pickPort(spec kube.ForwardSpec, ports []targetPort) {
	var list []targetPort
	for _, p := range ports {
		if !slices.ContainsFunc(list, func(k targetPort) bool { return k.port == p.port && k.tcp == p.tcp }) {
			list = append(list, p)
		}
	}
	pick := func(port int) {
		spec := spec
		spec.Remote = port
		u.promptForward(spec, fmt.Sprintf("%d:%d", localFor(port), port))
	}
	switch {
	case len(list) == 0:
		u.toast.say(paint.Dim, u.T("it declares no ports"))
		u.promptForward(spec, "")
		return
	case len(list) == 1 && list[0].tcp:
		pick(list[0].port)
		return
	}
	var choices []choice
	for _, k := range list {
		c := choice{title: k.text, hint: "127.0.0.1:" + strconv.Itoa(localFor(k.port)), run: func() { pick(k.port) }}
		if !k.tcp {
			c.off = u.T("only TCP can be forwarded")
		}
		choices = append(choices, c)
	}
	m := u.choose(u.T("forward which port of %s?", objectText(spec.Target)), choices)
	m.free = func(text string) { u.forwardText(spec, text) }
}

// localFor is the port of this machine that is offered for one of the cluster: the same where anybody may open it.
func localFor(port int) int {
	switch {
	case port >= 1024:
		return port
	case port == 443:
		return 8443
	}
	return 8000 + port
}

// promptForward asks for "local:remote" and forwards that.
func (u *ui) promptForward(spec kube.ForwardSpec, text string) {
	u.openPrompt(&prompt{
		label: u.T("forward %s, local:remote ", paint.Clean(objectText(spec.Target))), kind: "forward", only: func(r rune) bool { return digit(r) || r == ':' },
		done: func(text string) { u.forwardText(spec, text) },
	}, text)
}

// forwardText forwards what was typed: "8080:80", ":80" for a free port of this machine, "80" for the same port.
func (u *ui) forwardText(spec kube.ForwardSpec, text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	local, remote, both := strings.Cut(text, ":")
	if !both {
		remote, local = local, strconv.Itoa(spec.Local)
		if n, err := strconv.Atoi(remote); err == nil {
			local = strconv.Itoa(localFor(n))
		}
	}
	read := func(text string, least int) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n >= least && n < 1<<16
	}
	var ok1, ok2 bool
	spec.Remote, ok1 = read(remote, 1)
	if spec.Local, ok2 = read(local, 0); local == "" {
		spec.Local, ok2 = 0, true
	}
	if !ok1 || !ok2 {
		u.toast.say(paint.Fail, u.T("%q is not a pair of ports; 8080:80 forwards port 8080 of this machine to port 80", text))
		return
	}
	u.forwards.start(spec)
}
