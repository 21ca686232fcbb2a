package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// elsewhere is a command of another tool that bonsai spells differently.
type elsewhere struct {
	// words are the command, of the tools in of.
	words, of string
	// is what does the same here; why says why it is not the same, if it is not.
	is  cluster.Command
	why string
	// named: the first operand is the name of a cluster. kept: the operands are the same here.
	named, kept bool
}

// commandsElsewhere are those that people type first. Those of the same words and meaning are bonsai's own.
func commandsElsewhere() []elsewhere {
	bonsai := cluster.Bonsai
	return []elsewhere{
		{words: "docker-env", of: "minikube", is: bonsai("image", "build").On("."), why: "nodes run containerd and not Docker; images are built by your engine and loaded into all nodes"},
		{words: "podman-env", of: "minikube", is: bonsai("image", "build").On("."), why: "nodes run containerd; images are built by your engine and loaded into all nodes"},
		{words: "tunnel", of: "minikube", is: bonsai("service"), why: "every Service that speaks HTTP has a name on this machine, without a tunnel"},
		{words: "mount", of: "minikube", is: bonsai("node", "update").On("NODE").With("--mount", "FOLDER:PATH").Fill("NODE", "FOLDER:PATH"), why: "a node has the mounts that its container was created with; node update recreates it with its data"},
		{words: "cache add", of: "minikube", is: bonsai("image", "load"), kept: true},
		{words: "cache list", of: "minikube", is: bonsai("image", "ls")},
		{words: "cache delete", of: "minikube", is: bonsai("image", "rm"), kept: true},
		{words: "config set", of: "minikube", is: bonsai("start").With("--help").OfNone(), why: "a cluster keeps what it was started with"},
		{words: "config get", of: "minikube", is: bonsai("config", "view"), why: "a cluster keeps what it was started with"},
		{words: "config unset", of: "minikube", is: bonsai("start").With("--help").OfNone(), why: "a cluster keeps what it was started with"},
		{words: "ssh-host", of: "minikube", is: bonsai("ssh"), why: "no ssh server is involved"},
		{words: "ssh-key", of: "minikube", is: bonsai("ssh"), why: "no ssh server is involved"},
		{words: "update-check", of: "minikube", is: bonsai("version").OfNone()},
		{words: "options", of: "minikube", is: bonsai().With("--help").OfNone()},

		{words: "create cluster", of: "kind", is: bonsai("start")},
		{words: "delete cluster", of: "kind", is: bonsai("delete")},
		{words: "delete clusters", of: "kind", is: bonsai("delete").With("--all").OfNone()},
		{words: "get clusters", of: "kind", is: bonsai("profile", "list").OfNone()},
		{words: "get nodes", of: "kind", is: bonsai("node", "list")},
		{words: "get kubeconfig", of: "kind", is: bonsai("update-context")},
		{words: "export kubeconfig", of: "kind", is: bonsai("update-context")},
		{words: "export logs", of: "kind", is: bonsai("logs")},
		{words: "load docker-image", of: "kind", is: bonsai("image", "load"), kept: true},
		{words: "load image-archive", of: "kind", is: bonsai("image", "load"), kept: true},
		{words: "build node-image", of: "kind", is: bonsai("start"), why: "what nodes need is inside bonsai"},

		{words: "cluster create", of: "k3d", is: bonsai("start"), named: true},
		{words: "cluster start", of: "k3d", is: bonsai("start"), named: true},
		{words: "cluster stop", of: "k3d", is: bonsai("stop"), named: true},
		{words: "cluster delete", of: "k3d", is: bonsai("delete"), named: true},
		{words: "cluster list", of: "k3d", is: bonsai("profile", "list").OfNone()},
		{words: "cluster edit", of: "k3d", is: bonsai("port", "add").On("8080:80").Fill("8080:80"), named: true},
		{words: "image import", of: "k3d", is: bonsai("image", "load"), kept: true},
		{words: "node create", of: "k3d", is: bonsai("node", "add")},
		{words: "kubeconfig get", of: "k3d", is: bonsai("update-context"), named: true},
		{words: "kubeconfig merge", of: "k3d", is: bonsai("update-context"), named: true},
		{words: "registry create", of: "k3d", is: bonsai("addons", "enable").On("registry"), named: true},
	}
}

// addElsewhere adds the commands of other tools to root, hidden, where bonsai has none of the same words.
func (a *app) addElsewhere(root *cobra.Command) {
	for _, e := range commandsElsewhere() {
		words := strings.Fields(e.words)
		parent := root
		for i, word := range words {
			cmd := child(parent, word)
			switch last := i == len(words)-1; {
			case cmd == nil && last:
				cmd = &cobra.Command{Use: word, Hidden: true, DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error { return e.answer(args) }}
				parent.AddCommand(cmd)
			case cmd == nil:
				cmd = &cobra.Command{Use: word, Hidden: true, Args: a.groupArgs, RunE: func(cmd *cobra.Command, _ []string) error {
					return groupElsewhere(cmd)
				}}
				parent.AddCommand(cmd)
			}
			parent = cmd
		}
	}
}

func child(parent *cobra.Command, name string) *cobra.Command {
	for _, c := range parent.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

// groupElsewhere answers to the first word of commands of another tool alone.
func groupElsewhere(cmd *cobra.Command) error {
	f := fault.Newf(fault.Usage, "unknown command %q for %q", cmd.Name(), "bonsai")
	for _, e := range commandsElsewhere() {
		if first, _, _ := strings.Cut(e.words, " "); first == cmd.Name() {
			f.Advise(e.words+" is", e.is)
		}
	}
	return f
}

// answer says what to type instead; args are what came after the words.
func (e elsewhere) answer(args []string) error {
	name, operands := readElsewhere(args)
	is := e.is
	if e.named && name == "" && len(operands) > 0 {
		name, operands = operands[0], operands[1:]
	}
	if e.kept {
		is = is.On(operands...)
	}
	if !is.Anywhere && cluster.ValidateName(name) == nil {
		is = is.Of(name)
	}
	text := e.words + " is a command of " + e.of
	if e.why != "" {
		text += "; " + e.why
	}
	return fault.Newf(fault.Usage, "%s", text).Advise("that is", is)
}

// readElsewhere finds the name of a cluster in the flags of other tools, and what is no flag.
func readElsewhere(args []string) (name string, operands []string) {
	for i := 0; i < len(args); i++ {
		flag, value, joined := strings.Cut(args[i], "=")
		switch {
		case flag == "-p" || flag == "--profile" || flag == "--name" || flag == "-c" || flag == "--cluster" || flag == "-n":
			if !joined && i+1 < len(args) {
				i++
				value = args[i]
			}
			name = value
		case !strings.HasPrefix(flag, "-"):
			operands = append(operands, args[i])
		}
	}
	return name, operands
}

// notInNodes answers to commands that nodes of other tools have.
func notInNodes(command []string, node string) error {
	if len(command) == 0 || command[0] != "docker" && command[0] != "nerdctl" {
		return nil
	}
	inner, text := cluster.Program("crictl", "ps"), "containers are listed by crictl ps"
	if len(command) > 1 && (command[1] == "images" || command[1] == "image") {
		inner, text = cluster.Program("crictl", "images"), "images are listed by crictl images"
	}
	ssh := cluster.Bonsai("ssh")
	if node != "" {
		ssh = ssh.On(node)
	}
	return fault.Newf(fault.Usage, "nodes have no %s, they run containerd: %s", command[0], text).Advise("that is", ssh.Running(inner))
}
