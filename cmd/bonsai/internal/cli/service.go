package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

type serviceOptions struct {
	namespace string
	url       bool
}

func (a *app) serviceCommand() *cobra.Command {
	var o serviceOptions
	cmd := &cobra.Command{
		Use:   "service [NAME]",
		Short: "Print the URL of a Service for this machine",
		Long: `Service prints where a Service of type NodePort or LoadBalancer answers for this machine, a line per port; without NAME
all Services are listed. The address is that of the first node that is ready. A Service of type ClusterIP is reached by
"bonsai port add" or "kubectl port-forward".`,
		Example: `  bonsai service
  bonsai service web
  curl $(bonsai service web -n shop --url)`,
		Args: argCount(0, 1, "one Service at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if !cmd.Flags().Changed("namespace") {
					o.namespace = ""
				}
				return a.runServices(cmd.Context(), o)
			}
			return a.runService(cmd.Context(), args[0], o)
		},
	}
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the Service")
	cmd.Flags().BoolVar(&o.url, "url", false, "print only the URLs")
	a.addOutput(cmd, "format of the list")
	return cmd
}

// serviceRow is one port of a Service.
type serviceRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Type      string `json:"type"`
	Port      string `json:"port"`
	// URL is empty where nothing answers for this machine.
	URL string `json:"url,omitempty"`
}

func (a *app) runServices(ctx context.Context, o serviceOptions) error {
	rows, err := a.serviceRows(ctx, o.namespace, func(bootstrap.Service) bool { return true })
	if err != nil {
		return err
	}
	return a.printServices(rows, o)
}

func (a *app) runService(ctx context.Context, name string, o serviceOptions) error {
	typ, ports, found := "", []bootstrap.ServicePort{}, false
	rows, err := a.serviceRows(ctx, o.namespace, func(s bootstrap.Service) bool {
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
		return f.Advise("or make it a NodePort", cluster.Kubectl("patch", "service").On(name).In(o.namespace).With("-p", `{"spec":{"type":"NodePort"}}`).Change())
	}
	return a.printServices(rows, o)
}

func (a *app) printServices(rows []serviceRow, o serviceOptions) error {
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
	text := [][]string{{"NAMESPACE", "NAME", "TYPE", "PORT", "URL"}}
	for _, r := range rows {
		text = append(text, []string{r.Namespace, r.Name, r.Type, r.Port, r.URL})
	}
	return table(a.Stdout, text)
}

// serviceRows are the ports of the Services that match.
func (a *app) serviceRows(ctx context.Context, namespace string, match func(bootstrap.Service) bool) ([]serviceRow, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	spec, err := a.spec(s)
	if err != nil {
		return nil, err
	}
	services, err := s.Engine.Services(ctx, a.profile, namespace)
	if err != nil {
		return nil, a.explain(err)
	}
	addr, err := a.readyNode(ctx, s, spec)
	if err != nil {
		return nil, err
	}
	rows := []serviceRow{}
	for _, service := range services {
		if !match(service) {
			continue
		}
		for _, p := range service.Ports {
			r := serviceRow{Namespace: service.Namespace, Name: service.Name, Type: service.Type, Port: fmt.Sprintf("%d/%s", p.Port, strings.ToLower(p.Protocol))}
			if p.Name != "" {
				r.Port = p.Name + " " + r.Port
			}
			if p.NodePort != 0 && addr.IsValid() {
				r.URL = urlOf(p, addr)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// readyNode is the address of the first node that is ready; not valid if there is none.
func (a *app) readyNode(ctx context.Context, s Session, spec *cluster.Spec) (addr netip.Addr, err error) {
	snapshot, err := s.Engine.Status(ctx, a.profile)
	if err != nil {
		return addr, a.explain(err)
	}
	for _, n := range spec.Nodes {
		if slices.ContainsFunc(snapshot.Nodes, func(o cluster.NodeStatus) bool { return o.Name == n.Name && o.Ready }) {
			return n.IP, nil
		}
	}
	return addr, nil
}

// urlOf is how a NodePort is written for a browser or curl.
func urlOf(p bootstrap.ServicePort, addr netip.Addr) string {
	scheme := "http"
	switch {
	case p.Protocol != "TCP":
		scheme = strings.ToLower(p.Protocol)
	case p.Port == 443 || p.Port == 8443 || strings.HasPrefix(p.Name, "https"):
		scheme = "https"
	}
	return scheme + "://" + netip.AddrPortFrom(addr, uint16(p.NodePort)).String()
}
