package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/containerd"
	"bonsai/nodeagent/cri"
	"bonsai/nodeagent/devices"
)

// Limits of the tools, multiplied by the node's wait scale.
const (
	listLimit  = 10 * time.Second
	probeLimit = 3 * time.Second
	// restartLimit is for containerd to stop and start, which takes a fifth of a second.
	restartLimit = 8 * time.Second
	// kubeletLimit is for the kubelet, which takes a second.
	kubeletLimit = 15 * time.Second
)

// flags parses "-o json" and "-a" anywhere in args, and returns the rest.
func flags(args []string) (asJSON, all bool, rest []string, err error) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	output := fs.String("o", "", "")
	fs.BoolVar(&all, "a", false, "")
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return false, false, nil, errUsage
		}
		if args = fs.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	if *output != "" && *output != "json" {
		return false, false, nil, errUsage
	}
	return *output == "json", all, rest, nil
}

// limited bounds ctx by a limit times the node's wait scale.
func limited(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if cfg, err := nodeagent.LoadConfig(); err == nil { // without a configuration there is no scale either
		limit = cfg.WaitScale.Of(limit)
	}
	return context.WithTimeout(ctx, limit)
}

func status(ctx context.Context, args []string, stdout io.Writer) error {
	asJSON, _, rest, err := flags(args)
	if err != nil || len(rest) > 0 {
		return errUsage
	}
	ctx, cancel := limited(ctx, listLimit)
	defer cancel()
	s, err := agentapi.NewClient(agentapi.Socket).State(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(stdout).Encode(s.Components)
	}
	return componentTable(stdout, s.Components, time.Now())
}

func componentTable(w io.Writer, components []cluster.Component, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tSTATE\tRESTARTS\tSINCE\tPID\tREASON")
	for _, c := range components {
		since := "-"
		if !c.Since.IsZero() {
			since = now.Sub(c.Since).Round(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\n", c.Name, c.Phase, c.Restarts, since, c.PID, c.Reason)
	}
	return t.Flush()
}

// dialContainerd connects for one command.
func dialContainerd() (*containerd.Client, error) {
	c, err := containerd.Detect()
	if err != nil {
		return nil, err
	}
	return containerd.NewClient(containerd.Socket, c.Snapshotter)
}

// probe checks whether a server can be reached from this node. Any answer will do; the server's identity does not
// matter.
func probe(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return errUsage
	}
	ctx, cancel := limited(ctx, probeLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	client := http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // nothing is sent, and the answer is not trusted
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s answers %s after %v\n", args[0], resp.Status, time.Since(began).Round(time.Millisecond))
	return resp.Body.Close()
}

// registries takes over the registry mirrors and the proxy of a configuration that was written since the agent started.
func registries(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	cfg, err := nodeagent.LoadConfig()
	if err != nil {
		return err
	}
	if err := containerd.WriteRegistries(cfg.Registries, cfg.WaitScale); err != nil {
		return err
	}
	ctx, cancel := cfg.WaitScale.Limit(ctx, restartLimit, "containerd to run with another proxy")
	defer cancel()
	return nodeagent.UseProxy(ctx, cfg.Proxy, agentapi.NewClient(agentapi.Socket).State)
}

// readLimits restarts the kubelet, which reads what the node's container may use when it starts.
func readLimits(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	ctx, cancel := limited(ctx, kubeletLimit)
	defer cancel()
	return nodeagent.Restart(ctx, "kubelet", agentapi.NewClient(agentapi.Socket).State)
}

// release takes back what a removed node would leave on the machine.
func release(args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	return devices.DetachLoops(devices.LoopsFile)
}

func crictl(ctx context.Context, args []string, stdout io.Writer) error {
	_, all, rest, err := flags(args)
	if err != nil || len(rest) != 1 {
		return errUsage
	}
	c, err := dialContainerd()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := limited(ctx, listLimit)
	defer cancel()
	return cri.New(c.Conn()).List(ctx, stdout, rest[0], all)
}
