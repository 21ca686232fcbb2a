package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/registryclient"
	"bonsai/bootstrap/wait"
)

// MirrorEngine is what the verbs about mirrors need from the engine.
type MirrorEngine interface {
	SetMirrors(ctx context.Context, name string, change func(map[string][]cluster.Mirror) error) (running bool, err error)
}

// mirrorTestLimit bounds the test of one endpoint.
const mirrorTestLimit = 30 * time.Second

type mirrorOptions struct {
	ca              string
	insecure, first bool
}

func (a *app) mirrorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Endpoints that nodes ask before a registry",
		Long: `Mirror is about endpoints that nodes ask before a registry, in order. Changes act at the next pull of a running cluster, and are
kept with it. REGISTRY is the host name that images have, such as docker.io, or "*" for every registry.`,
		Example: `  bonsai registry mirror add docker.io https://mirror.example
  bonsai registry mirror list
  bonsai registry mirror test`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var o mirrorOptions
	add := &cobra.Command{
		Use:   "add REGISTRY URL",
		Short: "Add a mirror of a registry",
		Long: `Add has nodes ask an endpoint before a registry, after the mirrors that there are. A user and a password may be part of the URL.
One that is there already gets the new settings. With http:// in the URL nothing is encrypted.`,
		Example: `  bonsai registry mirror add docker.io https://mirror.example
  bonsai registry mirror add registry.lan:5000 http://registry.lan:5000
  bonsai registry mirror add ghcr.io https://USER:PASSWORD@mirror.example --ca ca.crt`,
		Args: argCount(2, 2, "a registry and the URL of a mirror"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runMirrorAdd(cmd.Context(), args[0], args[1], o)
		},
	}
	add.Flags().StringVar(&o.ca, "ca", "", "`file` with the certificate of the authority that signed the mirror's")
	add.Flags().BoolVar(&o.insecure, "insecure", false, "accept any certificate of the mirror")
	add.Flags().BoolVar(&o.first, "first", false, "ask it before the mirrors that there are")
	remove := &cobra.Command{
		Use:     "remove REGISTRY [URL]",
		Aliases: []string{"rm", "delete"},
		Short:   "Remove a mirror of a registry, or all of them",
		Example: `  bonsai registry mirror remove docker.io https://mirror.example
  bonsai registry mirror remove docker.io`,
		Args: argCount(1, 2, "a registry and the URL of a mirror"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runMirrorRemove(cmd.Context(), args) },
	}
	list := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the mirrors of the cluster",
		Example: `  bonsai registry mirror list`,
		Args:    argCount(0, 0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return a.runMirrorList() },
	}
	a.addOutput(list, "format of the list")
	test := &cobra.Command{
		Use:   "test [REGISTRY [URL]]",
		Short: "Ask mirrors and registries whether they work, and how often they may be asked",
		Long: `Test asks the mirrors of a registry and the registry itself: whether they answer, whose certificate they show, whether the login
works, and what is left of their rate limit. It pulls nothing. It asks from this machine, with the cluster's mirrors, authorities
and proxy, and with the logins of Docker's configuration; a firewall may treat nodes differently. Without REGISTRY it asks those
that have mirrors, and docker.io. With a URL only that is asked, which does not have to be a mirror yet.`,
		Example: `  bonsai registry mirror test
  bonsai registry mirror test docker.io
  bonsai registry mirror test docker.io https://mirror.example`,
		Args: argCount(0, 2, "a registry and the URL of a mirror"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runMirrorTest(cmd.Context(), args) },
	}
	a.addOutput(test, "format of the answer")
	cmd.AddCommand(add, remove, list, test)
	return cmd
}

// parseMirror reads a registry and a URL, which may have a password that errors do not repeat.
func parseMirror(registry, url, ca string) (string, cluster.Mirror, error) {
	parsed, err := cluster.ParseRegistries([]string{registry + "=" + url}, "", ca)
	registry = strings.ToLower(registry)
	if err == nil && (strings.ContainsAny(registry, "/@") || len(parsed.Mirrors[registry]) != 1) {
		err = errors.New("it is not the host name of a registry with the URL of a mirror")
	}
	if err != nil {
		return "", cluster.Mirror{}, fault.New(fault.Usage, "", err).Advise("", help("bonsai registry mirror add"))
	}
	return registry, parsed.Mirrors[registry][0], nil
}

func (a *app) runMirrorAdd(ctx context.Context, registry, url string, o mirrorOptions) error {
	ca := ""
	if o.ca != "" {
		data, err := os.ReadFile(o.ca)
		if err == nil {
			ca, err = cluster.ParseAuthorities(string(data))
		}
		if err != nil {
			return fault.New(fault.Usage, "read --ca", err)
		}
	}
	registry, m, err := parseMirror(registry, url, ca)
	if err != nil {
		return err
	}
	if plain := strings.HasPrefix(m.URL, "http:"); plain && (o.ca != "" || o.insecure) {
		return fault.Newf(fault.Usage, "--ca and --insecure are for https; %s has no certificate", m.URL)
	}
	m.SkipVerify = o.insecure
	s, err := a.open()
	if err != nil {
		return err
	}
	running, err := s.Engine.SetMirrors(ctx, a.profile, func(all map[string][]cluster.Mirror) error {
		list := all[registry]
		i := slices.IndexFunc(list, func(have cluster.Mirror) bool { return have.URL == m.URL })
		switch {
		case i >= 0 && !o.first:
			list[i] = m
		case o.first:
			list = append([]cluster.Mirror{m}, slices.DeleteFunc(list, func(have cluster.Mirror) bool { return have.URL == m.URL })...)
		default:
			list = append(list, m)
		}
		all[registry] = list
		return nil
	})
	if err != nil {
		return a.explain(err)
	}
	return a.printMirrors(fmt.Sprintf("%s is asked before %s", m.URL, registryWords(registry)), running)
}

func registryWords(registry string) string {
	if registry == "*" {
		return "every registry"
	}
	return registry
}

// printMirrors says what has changed, and from when on.
func (a *app) printMirrors(what string, running bool) error {
	when := "at the next pull"
	if !running {
		when = "from the next start on"
	}
	_, err := fmt.Fprintf(a.Stdout, "%s, %s.\n", what, when)
	return err
}

func (a *app) runMirrorRemove(ctx context.Context, args []string) error {
	registry, url := strings.ToLower(args[0]), ""
	if len(args) == 2 {
		name, m, err := parseMirror(args[0], args[1], "")
		if err != nil {
			return err
		}
		registry, url = name, m.URL
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	running, err := s.Engine.SetMirrors(ctx, a.profile, func(all map[string][]cluster.Mirror) error {
		left := slices.DeleteFunc(slices.Clone(all[registry]), func(m cluster.Mirror) bool { return url == "" || m.URL == url })
		if len(left) == len(all[registry]) {
			what := "a mirror of " + registryWords(registry)
			if url != "" {
				what = "the mirror " + url + " of " + registryWords(registry)
			}
			return fault.Newf(fault.Usage, "cluster %q does not have %s", a.profile, what).Advise("see the mirrors", cluster.Bonsai("registry", "mirror", "list"))
		}
		all[registry] = left
		return nil
	})
	if err != nil {
		return a.explain(err)
	}
	what := "no mirror is asked before " + registryWords(registry)
	if url != "" {
		what = url + " is not asked before " + registryWords(registry) + " any more"
	}
	return a.printMirrors(what, running)
}

// mirrorRow is a mirror as mirror list -o json has it: without the password.
type mirrorRow struct {
	Registry string `json:"registry"`
	URL      string `json:"url"`
	Username string `json:"username,omitempty"`
	OwnCA    bool   `json:"ownCA,omitempty"`
	Insecure bool   `json:"insecure,omitempty"`
}

func (a *app) runMirrorList() error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	rows, list := [][]string{{"REGISTRY", "MIRROR", "LOGIN", "CERTIFICATE"}}, []mirrorRow{}
	for _, registry := range sortedKeys(spec.Registries.Mirrors) {
		for _, m := range spec.Registries.Mirrors[registry] {
			list = append(list, mirrorRow{registry, m.URL, m.Username, m.CA != "", m.SkipVerify})
			certificate := "of the usual authorities"
			switch {
			case strings.HasPrefix(m.URL, "http:"):
				certificate = "none"
			case m.SkipVerify:
				certificate = "any"
			case m.CA != "":
				certificate = "of its own authority"
			}
			rows = append(rows, []string{registry, m.URL, m.Username, certificate})
		}
	}
	if a.json() {
		return writeJSON(a.Stdout, list)
	}
	if len(list) == 0 {
		a.note("the cluster has no mirrors; add one:  %s", cluster.Bonsai("registry", "mirror", "add").On("REGISTRY", "URL").Of(a.profile))
		return nil
	}
	return table(a.Stdout, rows)
}

// endpoints are what a test asks.
func endpoints(spec *cluster.Spec, args []string) (list []registryclient.Endpoint, err error) {
	if len(args) == 2 {
		registry, m, err := parseMirror(args[0], args[1], "")
		if err != nil {
			return nil, err
		}
		for _, have := range spec.Registries.Mirrors[registry] {
			if have.URL == m.URL && m.Username == "" {
				m = have
			}
		}
		return []registryclient.Endpoint{{Registry: registry, Mirror: m}}, nil
	}
	registries := sortedKeys(spec.Registries.Mirrors)
	if len(args) == 1 {
		registries = []string{strings.ToLower(args[0])}
	} else if !slices.Contains(registries, registryclient.Hub) {
		registries = append(registries, registryclient.Hub)
	}
	for _, registry := range registries {
		for _, m := range spec.Registries.Mirrors[registry] {
			of := registry
			if of == "*" {
				of = registryclient.Hub
			}
			list = append(list, registryclient.Endpoint{Registry: of, Mirror: m})
		}
		if registry != "*" {
			list = append(list, registryclient.Registry(registry))
		}
	}
	return list, nil
}

func (a *app) runMirrorTest(ctx context.Context, args []string) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	list, err := endpoints(spec, args)
	if err != nil {
		return err
	}
	scale := wait.FromEnv()
	client := registryclient.New(registryclient.Options{
		Logins: a.Logins, Proxy: spec.Proxy, Authorities: spec.Registries.Authorities, Scale: scale,
	})
	defer client.Close()
	reports := make([]registryclient.Report, len(list))
	var asking sync.WaitGroup
	for i, e := range list {
		asking.Go(func() {
			ctx, cancel := scale.Limit(ctx, mirrorTestLimit, "an answer from "+e.URL)
			defer cancel()
			reports[i] = client.Test(ctx, e)
		})
	}
	asking.Wait()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if a.json() {
		if err := writeJSON(a.Stdout, reports); err != nil {
			return err
		}
	} else if err := a.printReports(reports); err != nil {
		return err
	}
	if slices.ContainsFunc(reports, func(r registryclient.Report) bool { return !r.Works }) {
		return fault.Newf(fault.Image, "not every registry or mirror works")
	}
	return nil
}

func (a *app) printReports(reports []registryclient.Report) error {
	rows := [][]string{{"REGISTRY", "ENDPOINT", "STATE", "TLS", "LOGIN", "LIMIT", "TOOK"}}
	for _, r := range reports {
		state := "works"
		if !r.Works {
			state = "fails"
		}
		rows = append(rows, []string{r.Registry, r.URL, state, tlsWords(r), r.Login, limitWords(r.Limit), fmt.Sprintf("%d ms", r.Took.Milliseconds())})
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	for _, r := range reports {
		if r.Problem != "" {
			a.note("%s: %s", r.URL, r.Problem)
		}
		if r.TLS != nil && !r.TLS.Trusted {
			a.note("%s: its certificate: %s", r.URL, r.TLS.Problem)
		}
	}
	return nil
}

func tlsWords(r registryclient.Report) string {
	switch {
	case strings.HasPrefix(r.URL, "http:"):
		return "none"
	case r.TLS == nil:
		return "unknown"
	case !r.TLS.Trusted:
		return "not trusted"
	}
	return r.TLS.Version + " until " + r.TLS.Until.Format("2006-01-02")
}

func limitWords(l *registryclient.RateLimit) string {
	switch {
	case l == nil:
		return "none known"
	case l.Limit == 0:
		return "used up"
	case l.Window == 0:
		return fmt.Sprintf("%d of %d left", l.Remaining, l.Limit)
	}
	return fmt.Sprintf("%d of %d left in %s", l.Remaining, l.Limit, age(l.Window))
}
