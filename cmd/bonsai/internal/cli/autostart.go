package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bonsai/bootstrap"
	"bonsai/bootstrap/autostart"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/unit"
	"bonsai/bootstrap/wait"
)

// engineLimit is how long clusters wait for the container engine, which starts with the machine, too.
const engineLimit = 3 * time.Minute

func (a *app) autostartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "autostart",
		Short: "Start clusters again after this machine was restarted",
		Long: `Autostart has systemd (on macOS: launchd) start the clusters that ran when the machine was switched off. Clusters that were
stopped by "bonsai stop" stay stopped.

As root they are started at boot, as another user when that user logs in; "loginctl enable-linger" makes it at boot for a
user, too.`,
		Example: `  bonsai autostart enable
  bonsai autostart status
  bonsai autostart disable`,
		Args: a.groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	enable := &cobra.Command{
		Use: "enable", Short: "Have clusters started with this machine", Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAutostartEnable(cmd.Context()) },
	}
	disable := &cobra.Command{
		Use: "disable", Short: "Do not have clusters started with this machine", Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAutostartDisable(cmd.Context()) },
	}
	status := &cobra.Command{
		Use: "status", Short: "Show whether clusters are started with this machine, and which", Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAutostartStatus() },
	}
	run := &cobra.Command{
		Use: "run", Short: "Start the clusters that ran when this machine was stopped; what the service does", Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAutostart(cmd.Context()) },
	}
	a.addOutput(status, "format of the answer")
	cmd.AddCommand(enable, disable, status, run)
	return cmd
}

// autostartService is the entry of this user's state folder in this machine's service manager.
func (a *app) autostartService(s Session) (autostart.Service, error) {
	executable, err := os.Executable()
	if err != nil {
		return autostart.Service{}, fault.New(fault.Internal, "find this executable", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return autostart.Service{}, fault.New(fault.State, "find the home folder of this user", err)
	}
	_, err = os.Stat("/run/systemd/system") // as sd_booted(3)
	var env []string
	for _, name := range autostart.Kept {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return autostart.Find(
		autostart.Machine{OS: runtime.GOOS, UID: os.Getuid(), Home: home, ConfigHome: os.Getenv("XDG_CONFIG_HOME"), Systemd: err == nil},
		autostart.Program{Executable: executable, StateDir: s.State.Root, Env: env},
	)
}

func (a *app) runAutostartEnable(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	service, err := a.autostartService(s)
	if err != nil {
		return err
	}
	if err := service.Install(ctx); err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "clusters that are not stopped are started at %s, by %s (%s)\n", service.At, service.Name, service.File)
	if service.Manager == "systemd --user" && !unit.Lingers(os.Getuid()) {
		a.note("to have them started at boot, before you log in:  loginctl enable-linger")
	}
	return nil
}

func (a *app) runAutostartDisable(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	service, err := a.autostartService(s)
	if err != nil {
		return err
	}
	if err := service.Remove(ctx); err != nil {
		return err
	}
	fmt.Fprintln(a.Stdout, "clusters are not started with this machine")
	return nil
}

// autostartStatus is the answer of "autostart status -o json".
type autostartStatus struct {
	Enabled bool              `json:"enabled"`
	Service autostart.Service `json:"service"`
	// Lingers says that a user's services start at boot.
	Lingers bool `json:"lingers"`
	// Clusters are those that would be started.
	Clusters []string `json:"clusters"`
}

func (a *app) runAutostartStatus() error {
	s, err := a.open()
	if err != nil {
		return err
	}
	status := autostartStatus{Clusters: []string{}}
	if status.Service, err = a.autostartService(s); err != nil {
		return err
	}
	names, err := meantToRun(s)
	if err != nil {
		return err
	}
	status.Enabled, status.Lingers = status.Service.Installed(), unit.Lingers(os.Getuid())
	status.Clusters = append(status.Clusters, names...)
	if a.json() {
		return writeJSON(a.Stdout, status)
	}
	if !status.Enabled {
		fmt.Fprintf(a.Stdout, "disabled; enable it:  %s\n", cluster.Bonsai("autostart", "enable").OfNone())
		return nil
	}
	at := status.Service.At
	if status.Lingers && status.Service.Manager == "systemd --user" {
		at = "boot"
	}
	fmt.Fprintf(a.Stdout, "enabled: %s of %s, at %s\n", status.Service.Name, status.Service.Manager, at)
	if len(names) == 0 {
		fmt.Fprintln(a.Stdout, "no cluster would be started: none runs")
		return nil
	}
	fmt.Fprintf(a.Stdout, "would be started: %s\n", strings.Join(names, ", "))
	return nil
}

// meantToRun names the clusters that were not stopped.
func meantToRun(s Session) (names []string, err error) {
	all, err := s.Engine.List()
	for _, name := range all {
		if _, wanted := s.State.Cluster(name).Intent(); wanted {
			names = append(names, name)
		}
	}
	return names, err
}

// runAutostart starts the clusters one after the other. One that cannot be started does not keep the others from it.
func (a *app) runAutostart(ctx context.Context) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	names, err := meantToRun(s)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		spec, err := s.State.Cluster(name).LoadSpec()
		if err == nil && len(spec.Nodes) > 0 {
			err = waitForEngine(ctx, s)
		}
		if owner := s.State.Cluster(name).Owner(); err == nil && owner != nil && owner.Fate() != statedir.Running {
			if err = s.Engine.Delete(ctx, name, func(cluster.Event) {}); err != nil {
				errs = append(errs, fmt.Errorf("delete cluster %s, which was for a process that has ended: %w", name, err))
			}
			continue
		}
		if err == nil {
			_, err = s.Engine.Start(ctx, plan.Wish{Name: name}, bootstrap.Run{OwnKubeconfig: true})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("start cluster %s: %w", name, err))
			continue
		}
		fmt.Fprintf(a.Stdout, "%s is ready\n", name)
	}
	return errors.Join(errs...)
}

// waitForEngine returns once the container engine answers, which starts at the same time as bonsai.
func waitForEngine(ctx context.Context, s Session) error {
	ctx, cancel := wait.FromEnv().Limit(ctx, engineLimit, "the container engine")
	defer cancel()
	for {
		driver, err := s.Driver()
		if err == nil {
			return driver.Close()
		}
		if wait.Pause(ctx, time.Second) != nil {
			return err
		}
	}
}
