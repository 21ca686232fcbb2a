package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

type startOptions struct {
	file          string
	from          string
	nodes         int
	version       string
	mirrors       []string
	country       string
	registryCA    string
	apiPort       int
	subnet        string
	podSubnet     string
	serviceSubnet string
	dnsSearch     string
	cpus          string
	memory        string
	wait          string
	whilePID      int
	ownKubeconfig bool
	keep          bool
	dryRun        bool
	foreground    bool
	upstreamHooks bool
	taint         bool
	addons        []string
	ports         []string
	mounts        []string
	components    []string
	gates         []string
	args          []string
	driver        string
	runtime       string
}

func (a *app) startCommand() *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Create a cluster, start it again, or repair it",
		Long: `Start makes the cluster exist and run. A new cluster gets three nodes, or as many as --nodes says; 0 is an API
server without nodes and needs no container engine. The first node has the control-plane role. A stopped cluster is
started as it was, without nodes that node stop has stopped; of a running one
everything that is missing is repaired. Flags change a cluster that exists: --nodes adds nodes, --cpus and --memory limit all
of them, which recreates their containers and keeps their data; what cannot be changed is refused. --dry-run shows
what would change, and what it needs.

It returns when every node is Ready, and prints each step with its time. If it fails, it says why and removes
what it created, unless --keep is given. Ctrl-C at any time does the same. With -f, it also waits for the addons that the
file enables. Manifests of a file that the cluster has not received yet are applied.`,
		Example: `  bonsai start
  bonsai start --nodes 1 -p ci -o json
  bonsai start --port 8080:30080 --port 0.0.0.0:5353:30053/udp
  bonsai start --kubernetes-version 1.35
  bonsai start -f cluster.yaml
  bonsai start -p copy --from cluster.bonsai
  bonsai start --registry-mirror https://me:secret@mirror.example --registry-mirror ghcr.io=http://10.0.0.2:5000
  bonsai start --nodes 0                an API server alone, without Docker
  bonsai start --nodes 0 --components etcd,apiserver --while-pid $$ -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			// "--wait apiserver": a flag whose value may be missing takes none that follows a space.
			if len(args) == 1 && o.wait == "all" && cmd.Flags().Changed("wait") {
				o.wait, args = args[0], nil
			}
			return argCount(0, 0, "no arguments")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.from != "" {
				return a.runStartFrom(cmd.Context(), cmd.Flags(), o)
			}
			return a.runStart(cmd.Context(), cmd.Flags(), o)
		},
	}
	f := cmd.Flags()
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "apiserver-port" { // minikube's name of it
			name = "api-port"
		}
		return fileFlagName(name)
	})
	a.addFile(cmd, &o.file, "what the cluster should be; of the flags that say so too, none is possible then")
	f.StringVar(&o.from, "from", "", "create the cluster from a `file` that checkpoint export has written; - reads standard input")
	f.IntVarP(&o.nodes, "nodes", "n", cluster.DefaultNodes, fmt.Sprintf("number of nodes, 0 to %d; an existing cluster keeps its own", cluster.MaxNodes))
	f.StringVar(&o.version, "kubernetes-version", "", "stable, the built-in version, or one of the three minors before it, which it emulates")
	f.StringArrayVar(&o.mirrors, "registry-mirror", nil, "`URL` to ask before docker.io, or REGISTRY=URL for another registry (* for all); may be repeated and hold user:password@. Of an existing cluster it replaces the mirrors of that registry; REGISTRY= removes them")
	f.StringVar(&o.country, "image-mirror-country", "", "use the public registry mirrors of a country (cn)")
	f.StringVar(&o.registryCA, "registry-ca", "", "PEM `file` of an authority to trust for the https mirrors of this command")
	f.IntVar(&o.apiPort, "api-port", 0, "port of the API server on 127.0.0.1 (default 6443, or a free one)")
	f.StringVar(&o.subnet, "subnet", "", "network of the nodes, such as 172.29.0.0/22 (default a free one in "+cluster.SubnetPool.String()+")")
	f.StringVar(&o.podSubnet, "pod-subnet", "", "range of the pods (default "+cluster.DefaultPodSubnet.String()+", or another if this machine has routes into it)")
	f.StringVar(&o.dnsSearch, "dns-search", "", "search domains that pods get from this machine: auto (those without a wildcard), all or none (default auto)")
	f.StringVar(&o.serviceSubnet, "service-subnet", "", "range of the Services (default "+cluster.DefaultServiceSubnet.String()+", or another if this machine has routes into it)")
	f.StringVar(&o.cpus, "cpus", "", "processors of each node, such as 2 or 0.5; no-limit removes the limit (default no limit, or unchanged)")
	f.StringVar(&o.memory, "memory", "", "memory of each node, such as 2g or 1500m; no-limit removes the limit (default no limit, or unchanged)")
	f.StringSliceVar(&o.addons, "addons", nil, "enable addons, such as a,b; bonsai addons list names them. Others are not changed")
	_ = cmd.RegisterFlagCompletionFunc("addons", a.completeAddons)
	f.StringArrayVar(&o.ports, "port", nil, "`PORT` of this machine that leads into the cluster, as [ADDRESS:]PORT:TARGET[@NODE][/udp]; may be repeated. bonsai port --help explains it")
	f.StringArrayVar(&o.mounts, "mount", nil, "file or folder of the engine's machine that every node has, as `HOST:PATH[:ro]`; may be repeated. Nodes that exist are recreated with their data. node update adds and removes mounts of one node")
	f.StringSliceVar(&o.components, "components", nil, "components of the control plane that run: etcd, apiserver, controller-manager, scheduler, or all. The first two cannot be left out; with nodes, only scheduler can (default all, or unchanged)")
	_ = cmd.RegisterFlagCompletionFunc("components", cobra.FixedCompletions([]string{"etcd,apiserver", "etcd,apiserver,controller-manager", "all"}, cobra.ShellCompDirectiveNoFileComp))
	f.StringArrayVar(&o.gates, "feature-gates", nil, "turn feature gates of Kubernetes on or off in all components, as `NAME=true`,NAME=false")
	f.StringArrayVar(&o.args, "extra-config", nil, "flag of a component, as `COMPONENT.FLAG=VALUE` with apiserver, controller-manager or scheduler; may be repeated")
	f.StringVar(&o.wait, "wait", "all", "all: until every node is Ready; apiserver: until the API server answers")
	f.Lookup("wait").NoOptDefVal = "all"
	f.IntVar(&o.whilePID, "while-pid", 0, "delete the cluster when the process of this `number` has ended, for example $$ for that of a script")
	f.BoolVar(&o.ownKubeconfig, "own-kubeconfig", false, "leave your kubeconfig as it is: write only the cluster's own")
	f.BoolVar(&o.keep, "keep", false, "leave everything in place if the start fails, for inspection")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan with what would change, and change nothing")
	f.BoolVar(&o.foreground, "foreground", false, "stay attached to the control plane and its log; Ctrl-C stops the cluster")
	f.BoolVar(&o.upstreamHooks, "upstream-hooks", false, "run Kubernetes' own, slower RBAC and priority-class bootstrap in place of bonsai's; of an existing cluster only while it is stopped")
	f.BoolVar(&o.taint, "control-plane-taint", false, "keep pods that do not tolerate it off the nodes with the control-plane role, as kubeadm does; =false removes the taint")
	f.StringVar(&o.driver, "driver", "docker", "accepted for compatibility with minikube")
	f.StringVar(&o.runtime, "container-runtime", "containerd", "accepted for compatibility with minikube")
	_ = errors.Join(f.MarkHidden("driver"), f.MarkHidden("container-runtime"))
	a.addOutput(cmd, "json prints each step as a line")
	return cmd
}

func (a *app) runStart(ctx context.Context, flags *pflag.FlagSet, o startOptions) error {
	wish, run, err := a.checkStart(ctx, flags, o)
	if err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	if err := a.wishedAddons(s, &wish); err != nil {
		return err
	}
	return a.startAs(ctx, s, wish, run, o)
}

// startAs starts the cluster, or prints the plan of that.
func (a *app) startAs(ctx context.Context, s Session, wish plan.Wish, run bootstrap.Run, o startOptions) error {
	if o.dryRun {
		p, err := s.Engine.Plan(ctx, wish)
		if err != nil {
			return err
		}
		return a.printPlan(p)
	}
	if minor, emulated, err := cluster.ParseKubernetesVersion(wish.KubernetesVersion, a.Info.Kubernetes); err == nil && emulated {
		a.note("Kubernetes %s is emulated by the built-in %s: its API and feature set, not its code", minor, a.Info.Kubernetes)
	}
	enabled, err := a.enabledBy(s, wish, run, o)
	if err != nil {
		return err
	}
	return a.operation("start", o.foreground, func(p *progress) error {
		run.Events = p.Event
		run.Started = func(t *cluster.Timeline) {
			if a.json() {
				a.reportStarted(s, p, t, o.foreground)
			}
			if a.json() || len(enabled) > 0 {
				return
			}
			if !o.foreground {
				p.Close()
			}
			a.printStarted(s, t, o.foreground)
			p.PrintAdvice()
		}
		t, err := s.Engine.Start(ctx, wish, run)
		if err != nil || len(enabled) == 0 {
			return err
		}
		began := time.Now()
		if err := a.awaitAddons(ctx, s.Engine, p, enabled, true); err != nil || a.json() {
			return err
		}
		t.Total += time.Since(began)
		p.Close()
		a.printStarted(s, t, false)
		return nil
	})
}

// enabledBy are the addons that a start by a file waits for: those that it enables or changes. One that does not wait for nodes,
// or stays attached to the control plane, does not wait for addons either.
func (a *app) enabledBy(s Session, wish plan.Wish, run bootstrap.Run, o startOptions) ([]string, error) {
	if o.file == "" || run.NoWait || run.Foreground {
		return nil, nil
	}
	before, values := map[string]bool{}, map[string]map[string]string{}
	if spec, err := a.spec(s); err == nil { // a start says what is wrong with a cluster
		c, err := a.catalog()
		if err != nil {
			return nil, err
		}
		before, values = c.Wanted(spec.Addons), spec.AddonValues
	}
	var names []string
	for _, name := range sortedKeys(wish.Addons) {
		given, gives := wish.AddonValues[name]
		if wish.Addons[name] && (!before[name] || gives && !maps.Equal(given, values[name])) {
			names = append(names, name)
		}
	}
	return names, nil
}

// checkStart turns the command line into a wish and a Run. It reports all mistakes at once, before anything has
// changed.
func (a *app) checkStart(ctx context.Context, flags *pflag.FlagSet, o startOptions) (plan.Wish, bootstrap.Run, error) {
	wish := plan.Wish{Name: a.profile, APIPort: o.apiPort}
	run := bootstrap.Run{Keep: o.keep, Foreground: o.foreground, OwnKubeconfig: o.ownKubeconfig}
	var errs []error
	bad := func(err error, advice string) {
		if err != nil {
			errs = append(errs, fault.New(fault.Usage, "", err).Advise(advice))
		}
	}
	if flags.Changed("nodes") {
		bad(cluster.ValidateNodes(o.nodes), "for example:  bonsai start --nodes 3")
		wish.Nodes = &o.nodes
	}
	if o.version != "" {
		minor, _, err := cluster.ParseKubernetesVersion(o.version, a.Info.Kubernetes)
		if err != nil {
			errs = append(errs, fault.New(fault.Version, "", err).Advise("omit --kubernetes-version for the built-in one"))
		}
		wish.KubernetesVersion = minor
	}
	ca, err := readCA(o.registryCA)
	bad(err, "give it a file of one or more PEM certificates")
	wish.Registries, err = cluster.ParseRegistries(o.mirrors, o.country, ca)
	bad(err, "for example:  --registry-mirror https://mirror.example  or  --registry-mirror ghcr.io=http://10.0.0.2:5000")
	if err == nil && ca != "" && !trusts(wish.Registries, ca) {
		bad(errors.New("--registry-ca needs an https mirror in the same command"), "add one:  --registry-mirror https://mirror.example")
	}
	if flags.Changed("api-port") && (o.apiPort < 1 || o.apiPort > 65535) {
		bad(fmt.Errorf("port %d does not exist", o.apiPort), "choose one from 1 to 65535")
	}
	if o.subnet != "" {
		wish.Subnet, err = parseSubnet("subnet", o.subnet, cluster.ValidateSubnet)
		bad(err, "for example:  --subnet 172.29.0.0/22")
	}
	if o.podSubnet != "" {
		wish.PodSubnet, err = parseSubnet("pod subnet", o.podSubnet, cluster.ValidatePodSubnet)
		bad(err, "for example:  --pod-subnet 172.24.0.0/16")
	}
	if o.serviceSubnet != "" {
		wish.ServiceSubnet, err = parseSubnet("service subnet", o.serviceSubnet, cluster.ValidateServiceSubnet)
		bad(err, "for example:  --service-subnet 172.25.0.0/16")
	}
	if o.dnsSearch != "" {
		wish.DNSSearch, err = cluster.ParseDNSSearch(o.dnsSearch)
		bad(err, "for example:  --dns-search none")
	}
	if wish.Ports, err = parsePorts(o.ports, cluster.Advise("for example:  --port 8080:30080")); err != nil {
		errs = append(errs, err)
	}
	if wish.Mounts, err = parseMounts(o.mounts); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, a.wishSettings(&wish, o)...)
	if flags.Changed("components") {
		wish.Components, err = cluster.ParseComponents(o.components)
		bad(err, "for example:  --components etcd,apiserver")
	}
	if flags.Changed("while-pid") {
		owner, err := statedir.ProcessOf(o.whilePID)
		bad(err, "give it the number of a process that runs, such as  --while-pid $$  in a script")
		run.Owner = &owner
	}
	wish.Proxy = a.environmentProxy()
	if o.cpus != "" {
		cpus, err := parseCPUs(o.cpus)
		bad(err, "for example:  --cpus 2")
		wish.CPUs = &cpus
	}
	if o.memory != "" {
		bytes, err := parseMemory(o.memory)
		bad(err, "for example:  --memory 2g")
		wish.MemoryBytes = &bytes
	}
	if flags.Changed("upstream-hooks") {
		wish.UpstreamHooks = &o.upstreamHooks
	}
	if flags.Changed("control-plane-taint") {
		wish.ControlPlaneTaint = &o.taint
	}
	c, err := a.catalog()
	if err != nil {
		return wish, run, err
	}
	errs = append(errs, findAddons(c, o.addons)...)
	wish.Addons = map[string]bool{}
	for _, name := range o.addons {
		wish.Addons[name] = true
	}
	if o.file != "" {
		errs = append(errs, wishFlags(flags)...)
		if wish, err = a.readWish(ctx, o.file, c); err != nil {
			errs = append(errs, err)
		}
	}
	if run.NoWait, err = o.noWait(); err != nil {
		errs = append(errs, err)
	}
	if o.driver != "docker" {
		bad(fmt.Errorf("driver %q is not possible: nodes are Docker containers", o.driver), "omit --driver")
	}
	if o.runtime != "containerd" {
		bad(fmt.Errorf("container runtime %q is not possible: nodes run containerd", o.runtime), "omit --container-runtime")
	}
	if o.foreground && run.Owner != nil {
		bad(errors.New("--foreground and --while-pid exclude each other"), "use one of them: in the foreground, the cluster ends with the command")
	}
	if o.foreground && o.dryRun {
		bad(errors.New("--foreground and --dry-run exclude each other"), "use one of them")
	}
	return wish, run, errors.Join(errs...)
}

// noWait reports whether the start returns before the nodes are ready.
func (o startOptions) noWait() (bool, error) {
	switch o.wait {
	case "all", "true", "nodes":
		return false, nil
	case "apiserver", "none", "false":
		return true, nil
	}
	return false, fault.Newf(fault.Usage, "--wait %q is not valid: use all or apiserver", o.wait).Advise("omit it to wait for everything")
}

// trusts reports whether an authority was given for any mirror.
func trusts(r cluster.Registries, ca string) bool {
	for _, mirrors := range r.Mirrors {
		if slices.ContainsFunc(mirrors, func(m cluster.Mirror) bool { return m.CA == ca }) {
			return true
		}
	}
	return false
}

// environmentProxy is the proxy that the environment names.
func (a *app) environmentProxy() *cluster.Proxy {
	proxy, err := cluster.ParseProxy(os.Getenv)
	if err != nil { // it is not for bonsai alone, so it must not keep a cluster from starting
		a.note("nodes pull without it: %v", err)
	}
	return &proxy
}

func readCA(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--registry-ca: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		return "", fmt.Errorf("--registry-ca: %s contains no PEM certificate", path)
	}
	return string(data), nil
}

func parseSubnet(what, text string, validate func(netip.Prefix) error) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%s %q is not an IPv4 range", what, text)
	}
	return p, validate(p)
}

// parseCPUs returns 0 for no limit.
func parseCPUs(text string) (float64, error) {
	cpus, err := cluster.ParseCPUs(text)
	if err != nil {
		err = fmt.Errorf("--cpus %w", err)
	}
	return cpus, err
}

// parseMemory returns 0 for no limit.
func parseMemory(text string) (int64, error) {
	bytes, err := cluster.ParseMemory(text)
	if err != nil {
		err = fmt.Errorf("--memory %w", err)
	}
	return bytes, err
}

// printStarted is the answer of start: the total, and what to type next.
func (a *app) printStarted(s Session, t *cluster.Timeline, foreground bool) {
	what := ""
	if spec, err := a.spec(s); err == nil {
		what = fmt.Sprintf(": %s, Kubernetes %s", count(len(spec.Nodes), "node"), spec.KubernetesVersion)
	}
	if t.Context != "" {
		what += fmt.Sprintf("; kubectl uses the context %q", t.Context)
	}
	fmt.Fprintf(a.Stdout, "%s is ready in %s%s.\n", a.profile, seconds(t.Total), what)
	if foreground {
		fmt.Fprintln(a.Stdout, "Ctrl-C stops it.")
		return
	}
	fmt.Fprint(a.Stdout, "\nNext:\n")
	_ = table(a.Stdout, [][]string{
		{"  " + a.command("kubectl") + " -- get nodes", "or any other kubectl"},
		{"  " + a.command("status"), "every component with its state"},
		{"  " + a.command("stop"), "stop it and keep everything; start brings it back"},
	})
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
