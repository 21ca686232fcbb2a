package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
)

// UIOptions is what the command line passes to the terminal UI.
type UIOptions struct {
	Cluster string
	Theme   string
	Depth   ColorDepth
	Lang    string
	// Screen is the first screen; empty for the overview.
	Screen                string
	ASCII, Calm, ReadOnly bool
	// Keys is a YAML mapping of actions to keys.
	Keys []byte
	// Detected describes what was detected about the terminal, and how.
	Detected []string
}

// UIOutcome is how the terminal UI was left.
type UIOutcome struct {
	// Cluster is another cluster to switch to; Message is printed on the terminal afterwards.
	Cluster, Message string
}

type uiFlags struct {
	settings uiSettings
	plain    bool
}

func (a *app) uiCommand() *cobra.Command {
	var o uiFlags
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show and control a cluster, full screen",
		Long: `Ui shows the cluster full screen, from its start to its end: what is wrong and why, nodes, pods, logs, events, DNS,
addons, the control plane at work. bonsai alone on a terminal opens it. The cluster does not depend on it: leave it
with q at any time, and come back. ? lists the keys.

It follows NO_COLOR, TERM, COLORTERM and LANG; flags override them, and override ui.yaml in your state folder
($BONSAI_HOME or ~/.bonsai), where keys can be changed as well. --plain prints problems and state as plain lines,
for screen readers and for output that is not a terminal.`,
		Example: `  bonsai ui
  bonsai ui -p ci --screen pods
  bonsai ui --theme high-contrast --lang zh
  bonsai ui --plain`,
		Args: argCount(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.plain {
				return a.runUIPlain(cmd.Context())
			}
			return a.runUI(cmd.Context(), o.settings)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.settings.Screen, "screen", "", "`NAME` of the first screen, such as pods or dns")
	f.StringVar(&o.settings.Theme, "theme", "", "`NAME` of the colours: auto (the terminal's own), dark, light, high-contrast, colour-blind, mono")
	f.StringVar(&o.settings.Color, "color", "", "auto, never, 16, 256 or true; overrides the environment")
	f.StringVar(&o.settings.Lang, "lang", "", "en or zh (default from LANG)")
	f.BoolVar(&o.settings.ASCII, "ascii", false, "use only characters that every font has")
	f.BoolVar(&o.settings.Calm, "calm", false, "no animations")
	f.BoolVar(&o.settings.ReadOnly, "readonly", false, "change nothing")
	f.BoolVar(&o.plain, "plain", false, "print lines, and new ones when something changes; no screen, no colours")
	for name, values := range map[string][]string{"screen": uiScreens, "theme": uiThemes, "color": append([]string{"auto"}, colorNames...), "lang": uiLanguages} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// runAlone is bonsai without a verb: the UI on a terminal, help elsewhere.
func (a *app) runAlone(cmd *cobra.Command) error {
	if a.UI == nil || !a.onTerminal() || os.Getenv("TERM") == "dumb" {
		return cmd.Help()
	}
	return a.runUI(cmd.Context(), uiSettings{})
}

// onTerminal reports whether keys can be read and a screen be drawn.
func (a *app) onTerminal() bool { return isScreen(a.Stdin) && isScreen(a.Stdout) }

func (a *app) runUI(ctx context.Context, flags uiSettings) error {
	if err := checkUISettings("--", flags); err != nil {
		return err
	}
	if !a.onTerminal() {
		return fault.Newf(fault.Usage, "bonsai ui needs a terminal for its input and output").
			Advise("the state as text", cluster.Bonsai("status")).
			Advise("as lines that follow each change", cluster.Bonsai("ui").With("--plain"))
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	file, err := loadUISettings(s.State)
	if err != nil {
		return err
	}
	settings := flags.over(file)
	look := detectTerminal(os.Getenv, settings.Color, settings.ASCII, settings.Lang)
	o := UIOptions{
		Cluster: a.profile, Theme: settings.Theme, Depth: look.depth, Lang: look.lang, Screen: settings.Screen, ASCII: look.ascii, Calm: settings.Calm,
		ReadOnly: settings.ReadOnly, Detected: look.why,
	}
	if o.Keys, err = settings.keys(); err != nil {
		return err
	}
	for {
		out, err := a.showUI(ctx, s, o)
		if err != nil {
			return err
		}
		if out.Cluster == "" {
			a.profile = o.Cluster
			a.printLeft(s, out.Message)
			return nil
		}
		o.Cluster, o.Screen = out.Cluster, ""
	}
}

// showUI shows the UI of one cluster. Log output in the meantime goes to a file of the cluster.
func (a *app) showUI(ctx context.Context, s Session, o UIOptions) (UIOutcome, error) {
	log := &uiLog{state: s.State.Cluster(o.Cluster)}
	defer log.close()
	defer a.logTo.redirect(log)()
	return a.UI(ctx, s, o)
}

// printLeft prints how to come back, and how to stop what keeps running.
func (a *app) printLeft(s Session, message string) {
	if message != "" {
		fmt.Fprintln(a.Stdout, safeLines(message, ""))
	}
	if !s.State.Cluster(a.profile).DaemonAlive() {
		return
	}
	fmt.Fprintf(a.Stdout, "%s keeps running. Come back:  %s   stop it:  %s\n", a.profile, a.command("ui"), a.command("stop"))
}

// uiLog is the file for what libraries log while the UI has the terminal. It is created with the first line, if the
// cluster has a folder.
type uiLog struct {
	state statedir.Cluster
	file  io.WriteCloser
}

// Write implements io.Writer; slog's handlers call it one at a time.
func (l *uiLog) Write(p []byte) (int, error) {
	if l.file == nil && l.state.Exists() {
		l.file = componentlog.File(l.state.LogFile("ui"))
	}
	if l.file == nil {
		return len(p), nil
	}
	return l.file.Write(p)
}

func (l *uiLog) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
}
