package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/servicename"
)

type serviceOptions struct {
	namespace string
	url, open bool
}

func (a *app) serviceCommand() *cobra.Command {
	var o serviceOptions
	cmd := &cobra.Command{
		Use:   "service [NAME]",
		Short: "Print the URL of a Service for this machine, or open it",
		Long: `Service prints where a Service answers for this machine, a line per port; without NAME, or with "list" if no Service has
that name, all Services are listed. A port that speaks HTTP has a URL by name, SERVICE.NAMESPACE.localhost, which needs no
NodePort, with https in place of http as well; ADDRESS is that of the Service's load balancer, or its NodePort at the first node that is ready. What has neither is
reached by "bonsai port add" or "kubectl port-forward". Hosts of Ingresses and routes below localhost are listed, too.

--url prints what any program understands: the ADDRESS where there is one, and else the name, which browsers, curl and
systemd's resolver know to be this machine.`,
		Example: `  bonsai service
  bonsai service web
  bonsai service web -n shop --open
  curl $(bonsai service web -n shop --url)`,
		Args: argCount(0, 1, "one Service at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				err := a.runService(cmd.Context(), args[0], o)
				if args[0] != "list" || o.open || fault.KindOf(err) != fault.ObjectNotFound { // as in minikube
					return err
				}
			} else if o.open {
				return fault.Newf(fault.Usage, "--open needs the name of a Service").Advise("", help("bonsai service"))
			}
			if !cmd.Flags().Changed("namespace") {
				o.namespace = ""
			}
			return a.runServices(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the Service")
	cmd.Flags().BoolVar(&o.url, "url", false, "print only the URLs")
	cmd.Flags().BoolVar(&o.open, "open", false, "open the first URL in a browser")
	a.addOutput(cmd, "format of the list")
	return cmd
}

// serviceRow is one port of a Service.
type serviceRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Type      string `json:"type"`
	Port      string `json:"port"`
	// URL is the one for any program: that of the NodePort, or else the one by name; empty where nothing answers for this
	// machine. NameURL is for what resolves names below localhost, as browsers do; empty of what does not speak HTTP.
	URL     string `json:"url,omitempty"`
	NameURL string `json:"nameUrl,omitempty"`
	// HostURLs are those of hosts of Ingresses and routes that lead to the Service.
	HostURLs []string `json:"hostUrls,omitempty"`
}

func (a *app) runServices(ctx context.Context, o serviceOptions) error {
	rows, names, err := a.serviceRows(ctx, o.namespace, func(bootstrap.Service) bool { return true })
	if err != nil {
		return err
	}
	return a.printServices(rows, names, o)
}

func (a *app) runService(ctx context.Context, name string, o serviceOptions) error {
	typ, ports, found := "", []bootstrap.ServicePort{}, false
	rows, names, err := a.serviceRows(ctx, o.namespace, func(s bootstrap.Service) bool {
		if s.Name == name {
			typ, ports, found = s.Type, s.Ports, true
		}
		return s.Name == name
	})
	if err != nil {
		return err
	}
	if !found {
		return fault.Newf(fault.ObjectNotFound, "namespace %q has no Service %q", o.namespace, name).
			Advise("see all of them", cluster.Bonsai("service"))
	}
	if !slices.ContainsFunc(rows, func(r serviceRow) bool { return r.URL != "" }) {
		f := fault.Newf(fault.ObjectNotFound, "Service %s/%s is of type %s, which does not answer for this machine", o.namespace, name, typ)
		if len(ports) > 0 && ports[0].Protocol == "TCP" {
			f.Advise("give it a port of this machine", cluster.Bonsai("port", "add").On(fmt.Sprintf("8080:%s/%s:%d", o.namespace, name, ports[0].Port)).Change())
		}
		if names.Reason != "" {
			_ = f.Advisef("it has no name on this machine: %s", names.Reason)
		}
		return f.Advise("or make it a NodePort", cluster.Kubectl("patch", "service").On(name).In(o.namespace).With("-p", `{"spec":{"type":"NodePort"}}`).Change())
	}
	if o.open {
		return a.openURL(ctx, rows)
	}
	return a.printServices(rows, names, o)
}

// openURL opens the first URL for a browser.
func (a *app) openURL(ctx context.Context, rows []serviceRow) error {
	url := ""
	for _, r := range rows {
		if strings.HasPrefix(r.URL, "http") {
			url = cmp.Or(url, r.NameURL, r.URL)
		}
	}
	if url == "" {
		return fault.Newf(fault.Usage, "Service %s/%s has no URL for a browser", rows[0].Namespace, rows[0].Name).
			Advise("see what it has", cluster.Bonsai("service").On(rows[0].Name).With("-n", rows[0].Namespace))
	}
	if err := browse(ctx, url, url); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.Stdout, url)
	return err
}

// browse has the user's browser open a URL. named is what an error says instead of it.
func browse(ctx context.Context, url, named string) error {
	opener := cmp.Or(os.Getenv("BROWSER"), "xdg-open") // as xdg-open has it
	out, err := exec.CommandContext(ctx, opener, url).CombinedOutput()
	if err != nil {
		f := fault.New(fault.Machine, "open "+named+" with "+opener, err)
		if len(out) > 0 {
			_ = f.WithEvidence(firstLine(string(out)))
		}
		return f.Advise("open the URL yourself, or name a browser in BROWSER")
	}
	return nil
}

func (a *app) printServices(rows []serviceRow, names cluster.Names, o serviceOptions) error {
	switch {
	case a.json():
		return writeJSON(a.Stdout, rows)
	case o.url:
		for _, r := range rows {
			if r.URL == "" {
				continue
			}
			if _, err := fmt.Fprintln(a.Stdout, r.URL); err != nil {
				return err
			}
		}
		return nil
	}
	named := slices.ContainsFunc(rows, func(r serviceRow) bool { return r.NameURL != "" })
	text := [][]string{{"NAMESPACE", "NAME", "TYPE", "PORT", "URL"}}
	if named {
		text[0] = append(text[0], "ADDRESS")
	}
	for _, r := range rows {
		line := []string{r.Namespace, r.Name, r.Type, r.Port, r.URL}
		if named {
			line[4] = r.NameURL
			if r.URL != r.NameURL {
				line = append(line, r.URL)
			} else {
				line = append(line, "")
			}
		}
		text = append(text, line)
	}
	if err := table(a.Stdout, text); err != nil {
		return err
	}
	return a.printHosts(names, rows)
}

// printHosts lists the hosts of Ingresses and routes that lead to Services of rows, and says what claims a host twice.
func (a *app) printHosts(names cluster.Names, rows []serviceRow) error {
	shown := map[string]bool{}
	for _, r := range rows {
		shown[r.Namespace+"/"+r.Name] = true
	}
	text := [][]string{{"HOST", "FROM", "SERVICES"}}
	for _, h := range names.Hosts {
		if !slices.ContainsFunc(h.Services, func(s string) bool { return shown[s] }) {
			continue
		}
		text = append(text, []string{servicename.HostURL(names.Port, h.Host, false), strings.Join(h.From, ", "), strings.Join(h.Services, ", ")})
		if len(h.Also) > 0 {
			a.note("%s is from %s; %s claims it, too, and gets what that has no rule for", h.Host, strings.Join(h.From, " and "), strings.Join(h.Also, " and "))
		}
		t, err := servicename.Parse(h.Host)
		if of := t.Namespace + "/" + t.Service; err == nil && t.Cluster == "" && shown[of] && !slices.Contains(h.Services, of) {
			a.note("%s is from %s, and hides Service %s, which has this name as well", h.Host, strings.Join(h.From, " and "), of)
		}
	}
	if len(text) == 1 {
		return nil
	}
	if _, err := fmt.Fprintln(a.Stdout); err != nil {
		return err
	}
	return table(a.Stdout, text)
}

// hostURLs are those of hosts that lead to a Service.
func hostURLs(names cluster.Names, service bootstrap.Service) (urls []string) {
	for _, h := range names.Hosts {
		if slices.Contains(h.Services, service.Namespace+"/"+service.Name) && !strings.HasPrefix(h.Host, "*") {
			urls = append(urls, servicename.HostURL(names.Port, h.Host, false))
		}
	}
	return urls
}

// serviceRows are the ports of the Services that match; names is where they have names.
func (a *app) serviceRows(ctx context.Context, namespace string, match func(bootstrap.Service) bool) (rows []serviceRow, names cluster.Names, err error) {
	s, err := a.open()
	if err != nil {
		return nil, names, err
	}
	spec, err := a.spec(s)
	if err != nil {
		return nil, names, err
	}
	services, err := s.Engine.Services(ctx, a.profile, namespace)
	if err != nil {
		return nil, names, a.explain(err)
	}
	snapshot, err := s.Engine.Status(ctx, a.profile)
	if err != nil {
		return nil, names, a.explain(err)
	}
	addr := readyNode(snapshot, spec)
	if snapshot.Names != nil {
		names = *snapshot.Names
	}
	rows = []serviceRow{}
	for _, service := range services {
		if !match(service) {
			continue
		}
		var ports []servicename.Port
		for _, p := range service.Ports {
			ports = append(ports, servicename.Port{Name: p.Name, AppProtocol: p.AppProtocol, Protocol: p.Protocol, Number: p.Port})
		}
		for i, p := range service.Ports {
			r := serviceRow{
				Namespace: service.Namespace, Name: service.Name, Type: service.Type, Port: fmt.Sprintf("%d/%s", p.Port, strings.ToLower(p.Protocol)),
				HostURLs: hostURLs(names, service),
			}
			if p.Name != "" {
				r.Port = p.Name + " " + r.Port
			}
			switch {
			case service.Address.IsValid():
				r.URL = urlOf(p, service.Address, p.Port)
			case p.NodePort != 0 && addr.IsValid():
				r.URL = urlOf(p, addr, p.NodePort)
			}
			if names.Open && ports[i].TCP() && ports[i].Speaks() != servicename.Other && service.Type != "ExternalName" {
				r.NameURL = servicename.URL(names.Port, service.Namespace, service.Name, servicename.PortIn(ports, ports[i]))
				r.URL = cmp.Or(r.URL, r.NameURL)
			}
			rows = append(rows, r)
		}
	}
	return rows, names, nil
}

// readyNode is the address of the first node that is ready; not valid if there is none.
func readyNode(snapshot cluster.Snapshot, spec *cluster.Spec) netip.Addr {
	for _, n := range spec.Nodes {
		if slices.ContainsFunc(snapshot.Nodes, func(o cluster.NodeStatus) bool { return o.Name == n.Name && o.Ready }) {
			return n.IP
		}
	}
	return netip.Addr{}
}

// urlOf is how a port of a Service is written for a browser or curl, if it answers at that address and port.
func urlOf(p bootstrap.ServicePort, addr netip.Addr, port int) string {
	scheme := "http"
	switch {
	case p.Protocol != "TCP":
		scheme = strings.ToLower(p.Protocol)
	case p.Port == 443 || p.Port == 8443 || strings.HasPrefix(p.Name, "https"):
		scheme = "https"
	}
	return scheme + "://" + netip.AddrPortFrom(addr, uint16(port)).String()
}
