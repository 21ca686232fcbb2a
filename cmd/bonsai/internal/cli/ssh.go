package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

func (a *app) sshCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh [NODE] [-- COMMAND]",
		Short: "Open a shell on a node, or run a command there",
		Long: `Ssh opens a root shell in a node's container; no ssh server is involved. NODE is a name or number, by default the
first node. A command after "--" is run instead, with this command's standard input, and its exit code is returned.
Nodes contain ps, crictl ps, ip, nft and the usual small tools.`,
		Example: `  bonsai ssh
  bonsai ssh 2 -- ps
  bonsai ssh bonsai-3 -- crictl ps
  bonsai ssh -- tar c /etc | tar t`,
		Args: func(cmd *cobra.Command, args []string) error {
			before := cmd.ArgsLenAtDash()
			if before < 0 {
				before = len(args)
			}
			if before > 1 {
				return fault.Newf(fault.Usage, "ssh takes one node, not %q", args[:before]).
					Advise("a command comes after two dashes", cluster.Bonsai("ssh").On(args[0]).Running(cluster.Program(args[1]).With(args[2:before]...)))
			}
			return nil
		},
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, command := "", []string(nil)
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				args, command = args[:dash], args[dash:]
			}
			if len(args) > 0 {
				name = args[0]
			}
			return a.runSSH(cmd.Context(), name, command)
		},
	}
	return cmd
}

func (a *app) runSSH(ctx context.Context, name string, command []string) error {
	if err := notInNodes(command, name); err != nil {
		return err
	}
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	n, err := a.findNode(spec, name)
	if err != nil {
		return err
	}
	if err := a.wake(ctx, s); err != nil {
		return err
	}
	driver, err := s.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	container, err := node.Find(ctx, driver, spec, n.Name)
	if err != nil {
		return err
	}
	e := node.Exec{Cmd: command, Stdin: a.Stdin, Stdout: a.Stdout, Stderr: a.Stderr}
	if len(command) == 0 {
		e.Cmd = []string{"/bin/sh"}
	}
	restore, err := makeTerminal(&e)
	if err != nil {
		return err
	}
	code, err := driver.Exec(ctx, container.Name, e)
	restore()
	if err != nil {
		return a.explain(err)
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// makeTerminal connects e to a terminal of the node if this process has one: keys are sent as they are typed, and the
// size follows. restore restores the terminal.
func makeTerminal(e *node.Exec) (restore func(), err error) {
	in, ok := e.Stdin.(*os.File)
	if !ok || !isTerminal(e.Stdin) || !isTerminal(e.Stdout) {
		return func() {}, nil
	}
	e.TTY = true
	e.Env = append(e.Env, "TERM="+os.Getenv("TERM"))
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fault.New(fault.Internal, "prepare the terminal", err)
	}
	sizes := make(chan node.Size, 1)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	changed <- syscall.SIGWINCH // the size at the beginning
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-changed:
			}
			width, height, err := term.GetSize(int(in.Fd()))
			if err != nil {
				continue
			}
			select {
			case sizes <- node.Size{Width: uint(width), Height: uint(height)}:
			case <-done:
				return
			}
		}
	}()
	e.Resize = sizes
	return func() {
		signal.Stop(changed)
		close(done)
		<-ended
		_ = term.Restore(int(in.Fd()), before)
	}, nil
}
