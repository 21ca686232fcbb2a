package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// CAEngine is what the verbs about the local CA need from the engine.
type CAEngine interface {
	LocalCA(ctx context.Context) (bootstrap.LocalCA, error)
	TrustLocalCA(ctx context.Context, dry bool) ([]bootstrap.CAStore, error)
	UntrustLocalCA(ctx context.Context, dry bool) ([]bootstrap.CAStore, error)
}

func (a *app) caCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The local CA, by which browsers trust https names of clusters",
		Long: `Ca is about the authority that signs certificates for https://SERVICE.NAMESPACE.localhost, and for hosts of Ingresses and
Gateways that name no Secret. All clusters of this user share it. It can sign names for local use only, below localhost, test,
example, local, internal and home.arpa: clients refuse everything else of it.`,
		Example: `  bonsai ca show
  bonsai ca trust
  bonsai ca untrust`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	pem := false
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the local CA, and which browsers trust it",
		Long:  `Show prints where the certificate of the local CA is, what it may sign, and where it is trusted. If there is none yet, it is made.`,
		Example: `  bonsai ca show
  bonsai ca show --pem >ca.crt
  curl --cacert ~/.bonsai/ca/ca.crt https://web.shop.localhost:8080`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCAShow(cmd.Context(), pem) },
	}
	show.Flags().BoolVar(&pem, "pem", false, "print only the certificate, for other machines and containers")
	a.addOutput(show, "format of the answer")
	var dryTrust, dryUntrust bool
	trust := &cobra.Command{
		Use:   "trust",
		Short: "Have this machine and its browsers trust the local CA",
		Long: `Trust brings the certificate of the local CA to where this machine, Chromium and Firefox look. What needs root, or a program
that is missing, is printed as commands. Programs that run have to be started again.`,
		Example: `  bonsai ca trust
  bonsai ca trust --dry-run`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runCAChange(cmd.Context(), dryTrust, Engine.TrustLocalCA)
		},
	}
	trust.Flags().BoolVar(&dryTrust, "dry-run", false, "print the commands, and change nothing")
	a.addOutput(trust, "format of the answer")
	untrust := &cobra.Command{
		Use:   "untrust",
		Short: "Take the trust in the local CA back",
		Long:  `Untrust takes the certificate of the local CA, and of earlier ones, out of all places that trust brings it to.`,
		Example: `  bonsai ca untrust
  bonsai ca untrust --dry-run`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runCAChange(cmd.Context(), dryUntrust, Engine.UntrustLocalCA)
		},
	}
	untrust.Flags().BoolVar(&dryUntrust, "dry-run", false, "print the commands, and change nothing")
	a.addOutput(untrust, "format of the answer")
	cmd.AddCommand(show, trust, untrust)
	return cmd
}

func (a *app) runCAShow(ctx context.Context, pem bool) error {
	if pem && a.json() {
		return fault.Newf(fault.Usage, "--pem is a format of its own").Advise("", help("bonsai ca show"))
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	ca, err := s.Engine.LocalCA(ctx)
	if err != nil {
		return err
	}
	switch {
	case pem:
		_, err = a.Stdout.Write(ca.PEM)
		return err
	case a.json():
		return writeJSON(a.Stdout, ca)
	}
	fmt.Fprintf(a.Stdout, "%s\ncertificate: %s\nSHA-256: %s\nvalid until: %s\nsigns: 127.0.0.0/8, ::1, and names below %s\n\n",
		ca.Name, ca.File, ca.Fingerprint, ca.Until.Format("2006-01-02"), oneOf(ca.Domains))
	if err := a.printStores(ca.Stores); err != nil {
		return err
	}
	if slices.ContainsFunc(ca.Stores, func(s bootstrap.CAStore) bool { return s.State != bootstrap.StoreTrusts || s.Old }) {
		a.note("have this machine and its browsers trust it:  %s", cluster.Bonsai("ca", "trust").OfNone())
	}
	return nil
}

// runCAChange changes who trusts the local CA, and prints what has become of it.
func (a *app) runCAChange(ctx context.Context, dry bool, change func(Engine, context.Context, bool) ([]bootstrap.CAStore, error)) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	stores, failed := change(s.Engine, ctx, dry)
	if stores == nil {
		return failed
	}
	if a.json() {
		if err := writeJSON(a.Stdout, stores); err != nil {
			return err
		}
		return failed
	}
	if err := a.printStores(stores); err != nil {
		return err
	}
	byHand := false
	for _, s := range stores {
		for _, c := range s.Commands {
			if !byHand {
				fmt.Fprintln(a.Stdout)
			}
			byHand = true
			fmt.Fprintln(a.Stdout, c)
		}
	}
	if byHand && failed == nil {
		a.note("run the commands above")
	}
	if slices.ContainsFunc(stores, func(s bootstrap.CAStore) bool { return s.State == bootstrap.StoreChanged }) {
		a.note("browsers that run have to be started again")
	}
	return failed
}

func (a *app) printStores(stores []bootstrap.CAStore) error {
	if len(stores) == 0 {
		a.note("no place is known here in which authorities are trusted")
		return nil
	}
	text := [][]string{{"STORE", "STATE", "WHERE"}}
	for _, s := range stores {
		state := string(s.State)
		if s.Old {
			state += ", and an earlier one"
		}
		text = append(text, []string{s.Name, state, s.Where})
	}
	if err := table(a.Stdout, text); err != nil {
		return err
	}
	for _, s := range stores {
		if s.Reason != "" {
			a.note("%s: %s", s.Name, s.Reason)
		}
	}
	return nil
}
