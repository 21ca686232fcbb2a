package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/grid"
	"bonsai/tui/paint"
)

// This file has the ports of this machine that the cluster keeps open whenever it runs, as "bonsai port" lists them. They are
// listed with those that this UI forwards.

// keptItem is the row of such a port.
func (p *portsPage) keptItem(c *cluster.PortStatus) grid.Item {
	u := p.u
	state, status := paint.StateOK, u.T("open whenever the cluster runs")
	switch {
	case !c.Open && u.state.Absent():
		state, status = paint.StateOff, u.T("open when the cluster runs")
	case !c.Open:
		state, status = paint.StateFail, u.T("closed: %s", paint.Clean(c.Reason))
	}
	role := state.Role()
	if state == paint.StateOK {
		role = paint.Dim
	}
	return grid.Item{
		ID: "kept/" + c.Listen(), Key: "kept/" + fmt.Sprintf("%05d", c.Port.Port), State: state, Data: *c,
		Cells:  []string{c.Listen(), paint.Clean(keptTarget(u, c.Port)), "", itoa(c.Connections), u.theme.Glyphs.Off, status, ""},
		Roles:  []paint.Role{paint.Accent, paint.Strong, paint.Plain, paint.Plain, paint.Dim, role, paint.Dim},
		Values: []float64{0, 0, 0, float64(c.Connections), 0, 0, 0},
	}
}

// keptTarget says where a port leads, in words.
func keptTarget(u *ui, c cluster.Port) string {
	switch {
	case c.Service != "":
		return fmt.Sprintf("service %s:%d", c.Service, c.Target)
	case c.Node != "":
		return u.T("port %d of %s", c.Target, c.Node)
	}
	return u.T("port %d of the nodes", c.Target)
}

// keptURL is the address for a browser, or where else it can be asked.
func keptURL(c cluster.Port) string {
	if c.Protocol == cluster.UDP {
		return c.Listen()
	}
	if c.Address.IsUnspecified() {
		return "http://127.0.0.1:" + strconv.Itoa(c.Port)
	}
	return "http://" + c.Listen()
}

// refreshKept takes in what the cluster says of its ports.
func (p *portsPage) refreshKept(list []cluster.PortStatus, err error) {
	if err == nil {
		p.kept = list
		p.refillOurs()
	}
}

// askKept asks for a port that is kept open. It begins with the Service under the cursor.
func (p *portsPage) askKept() {
	u := p.u
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	local, target := "8080", ""
	if it, ok := p.services.Current(); ok && !p.focused() {
		l := it.Data.(kube.ServiceLine)
		if i := slices.IndexFunc(l.Ports, func(s kube.ServicePort) bool { return tcp(s.Protocol) }); i >= 0 {
			local, target = strconv.Itoa(localFor(l.Ports[i].Port)), fmt.Sprintf("%s/%s:%d", l.Namespace, l.Name, l.Ports[i].Port)
		}
	}
	const (
		ownOnly  = "only this machine"
		everyone = "other machines too"
		anyNode  = "any that answers"
	)
	nodes := []string{anyNode}
	for _, n := range u.state.Snapshot.Nodes {
		nodes = append(nodes, paint.Clean(n.Name))
	}
	const where = 1 // the field of the target
	text := func(v []string) string {
		s := v[0] + ":" + v[1]
		if v[4] == everyone {
			s = "0.0.0.0:" + s
		}
		if v[3] != anyNode {
			s += "@" + v[3]
		}
		if v[2] == cluster.UDP {
			s += "/" + cluster.UDP
		}
		return s
	}
	u.openForm(&form{
		title: u.T("open a port of this machine"), accept: u.T("Open"),
		text: []string{u.T("it is open whenever the cluster runs, until it is removed")},
		fields: []*field{
			{label: u.T("port of this machine"), value: local, only: digit, check: func(text string) string {
				if n, err := strconv.Atoi(text); err != nil || n < 1 || n > 65535 {
					return u.T("not a number from 1 to 65535")
				}
				return ""
			}},
			{label: u.T("leads to"), value: target, hint: u.T("a NodePort such as 30080, or NAMESPACE/NAME:PORT of a Service"), check: func(text string) string {
				if strings.ContainsAny(text, "@") || strings.HasSuffix(text, "/"+cluster.UDP) || strings.HasSuffix(text, "/"+cluster.TCP) {
					return u.T("node and protocol have fields of their own")
				}
				if _, err := cluster.ParsePort("127.0.0.1:1:" + text); err != nil {
					return u.T("neither a port of the nodes, such as 30080, nor NAMESPACE/NAME:PORT of a Service")
				}
				return ""
			}},
			{label: u.T("protocol"), value: cluster.TCP, choices: []string{cluster.TCP, cluster.UDP}},
			{label: u.T("node"), value: anyNode, choices: nodes},
			{label: u.T("who can use it"), value: ownOnly, choices: []string{ownOnly, everyone}},
		},
		whole: func(v []string) (int, string) {
			c, err := cluster.ParsePort(text(v))
			switch {
			case err != nil && v[2] == cluster.UDP:
				return where, u.T("a Service can be reached by TCP only; give its NodePort for UDP")
			case err != nil:
				return where, u.T("a Service is on no node; choose any")
			}
			if i := slices.IndexFunc(p.kept, func(o cluster.PortStatus) bool { return o.Listen() == c.Listen() }); i >= 0 {
				return 0, u.T("it is open already, to %s", p.kept[i].To())
			}
			return -1, ""
		},
		done: func(v []string) {
			c, err := cluster.ParsePort(text(v))
			if err != nil {
				u.fail(err)
				return
			}
			p.changePorts([]string{"port", "add", c.String()}, u.T("open %s", c.Listen()))
		},
	})
}

// askCloseKept asks before a port is closed for good.
func (p *portsPage) askCloseKept(c cluster.PortStatus) {
	u := p.u
	if u.refuseChange() || u.refuseSecond(u.session.Name()) {
		return
	}
	u.ask(u.T("close %s?", c.Listen()), []string{
		u.T("it leads to %s; %d connections through it end", paint.Clean(keptTarget(u, c.Port)), c.Connections), u.T("cluster: %s", u.session.Name()),
	}, u.T("Close"), "", func() { p.changePorts([]string{"port", "remove", c.Listen()}, u.T("close %s", c.Listen())) })
}

func (p *portsPage) changePorts(args []string, title string) {
	u := p.u
	u.changeCluster(u.session.Name(), args, title, func(err error) {
		p.keptFeed.Again()
		if err != nil {
			u.explainFailure(title, err)
			return
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+title)
	})
}
