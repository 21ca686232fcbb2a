package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

type proxyOptions struct{ url, pac bool }

func (a *app) proxyCommand() *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Print the proxy through which programs reach every name and address of the cluster",
		Long: `Proxy prints how programs are pointed to the cluster's proxy on this machine: it speaks SOCKS5 and HTTP, and leads to the
names of cluster DNS and to addresses of pods, Services and nodes, over TCP. It leads nowhere else, so that it is meant for
single commands. SERVICE, SERVICE.NAMESPACE and full names are names.`,
		Example: `  curl --proxy $(bonsai proxy --url) http://web.shop:8080
  (eval "$(bonsai proxy)"; curl http://10.96.0.10:9153/metrics)
  bonsai proxy --pac`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runProxy(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.url, "url", false, "print only the URL of the proxy")
	cmd.Flags().BoolVar(&o.pac, "pac", false, "print only the URL of the configuration for browsers")
	a.addOutput(cmd, "format of the answer")
	return cmd
}

// proxyAddresses are the ways to use the proxy.
type proxyAddresses struct {
	// SOCKS resolves names in the cluster, as HTTP does; PAC is a file for browsers.
	SOCKS string `json:"socks"`
	HTTP  string `json:"http"`
	PAC   string `json:"pac"`
}

func (a *app) runProxy(ctx context.Context, o proxyOptions) error {
	if o.url && o.pac {
		return fault.Newf(fault.Usage, "--url and --pac each print one line, and only that").Advise("", help("bonsai proxy"))
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	snapshot, err := s.Engine.Status(ctx, a.profile)
	if err != nil {
		return a.explain(err)
	}
	switch n := snapshot.Names; {
	case n == nil:
		return fault.Newf(fault.NotRunning, "cluster %q is not running", a.profile).Advise("", cluster.Bonsai("start").Change())
	case !n.Open:
		return fault.Newf(fault.Addon, "cluster %q has no proxy: %s", a.profile, n.Reason).
			Advise("", cluster.Bonsai("addons", "enable").On(cluster.NamesAddon).Change())
	}
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(snapshot.Names.Port))
	p := proxyAddresses{SOCKS: "socks5h://" + at, HTTP: "http://" + at, PAC: "http://" + at + cluster.PACPath}
	switch {
	case a.json():
		return writeJSON(a.Stdout, p)
	case o.url:
		_, err = fmt.Fprintln(a.Stdout, p.SOCKS)
	case o.pac:
		_, err = fmt.Fprintln(a.Stdout, p.PAC)
	default:
		_, err = fmt.Fprintf(a.Stdout, "export ALL_PROXY=%s\nexport HTTP_PROXY=%s http_proxy=%s HTTPS_PROXY=%s\n", p.SOCKS, p.HTTP, p.HTTP, p.HTTP)
	}
	return err
}
