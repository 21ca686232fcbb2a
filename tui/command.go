package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// This file has the commands that do the same as what is done here, for the log of actions and to copy.

// toShell is a command as a shell takes it, with the cluster's name.
func (u *ui) toShell(c cluster.Command) string { return c.For(u.session.Name()).String() }

// record begins an entry in the log of actions.
func (u *ui) record(c cluster.Command) *actionEntry {
	return u.actions.begin(u.clock.now(), u.toShell(c))
}

// bonsaiCommand is a command line of bonsai that is given whole: the cluster's name stands behind the verb, in front of
// what may be a kubectl command. A cluster that it names itself stands there too.
func bonsaiCommand(args ...string) cluster.Command {
	other := ""
	if i := slices.Index(args, "-p"); i > 0 && i+1 < len(args) {
		other, args = args[i+1], slices.Concat(args[:i], args[i+2:])
	}
	verb := 1
	if len(args) > 1 && slices.Contains([]string{"addons", "checkpoint", "config", "dns", "image", "node", "port", "profile"}, args[0]) {
		verb = 2
	}
	c := cluster.Bonsai(args[:verb]...).With(args[verb:]...)
	if other != "" {
		c = c.Of(other)
	}
	return c
}

func actionCommand(a kube.Action) cluster.Command {
	kind := singular(a.Ref.Type)
	var c cluster.Command
	switch a.Verb {
	case kube.VerbDelete:
		c = cluster.Kubectl("delete", kind)
	case kube.VerbScale:
		c = cluster.Kubectl("scale", kind).With("--replicas", strconv.Itoa(a.Replicas))
	case kube.VerbRestart:
		c = cluster.Kubectl("rollout", "restart", kind)
	case kube.VerbDrain:
		c = cluster.Kubectl("drain").With("--ignore-daemonsets", "--delete-emptydir-data")
	case kube.VerbRollback:
		c = cluster.Kubectl("rollout", "undo", kind)
		if a.Revision != 0 {
			c = c.With("--to-revision", strconv.FormatInt(a.Revision, 10))
		}
	case kube.VerbSetImage:
		return cluster.Kubectl("set", "image").On(append([]string{kind + "/" + a.Ref.Name}, strings.Fields(assignments(a.Images, " "))...)...).In(a.Ref.Namespace).Change()
	case kube.VerbSetResources:
		return resourcesCommand(a)
	case kube.VerbSuspend, kube.VerbResume:
		patch := fmt.Sprintf(`{"spec":{"suspend":%t}}`, a.Verb == kube.VerbSuspend)
		c = cluster.Kubectl("patch", kind).With("--type", "merge", "-p", patch)
	case kube.VerbSetSelector:
		return cluster.Kubectl("set", "selector", kind).On(a.Ref.Name, assignments(a.Selector, ",")).In(a.Ref.Namespace).Change()
	case kube.VerbRun:
		return cluster.Kubectl("create", "job").On(a.JobName).With("--from", kind+"/"+a.Ref.Name).In(a.Ref.Namespace).Change()
	default:
		c = cluster.Kubectl(string(a.Verb))
	}
	return c.On(a.Ref.Name).In(a.Ref.Namespace).Change()
}

func resourcesCommand(a kube.Action) cluster.Command {
	c := cluster.Kubectl("set", "resources").On(singular(a.Ref.Type) + "/" + a.Ref.Name).In(a.Ref.Namespace)
	for container, r := range a.Resources { // one, from here
		c = c.With("-c", container)
		if len(r.Requests) > 0 {
			c = c.With("--requests", assignments(r.Requests, ","))
		}
		if len(r.Limits) > 0 {
			c = c.With("--limits", assignments(r.Limits, ","))
		}
	}
	return c.Change()
}

func editCommand(ref kube.Ref) cluster.Command {
	kind := ref.Type.Resource
	if ref.Type.Group != "" {
		kind += "." + ref.Type.Group
	}
	return cluster.Kubectl("edit", kind).On(ref.Name).In(ref.Namespace).Change()
}

func forwardCommand(spec kube.ForwardSpec) cluster.Command {
	ports := ":" + strconv.Itoa(spec.Remote)
	if spec.Local != 0 {
		ports = strconv.Itoa(spec.Local) + ports
	}
	return cluster.Kubectl("port-forward").On(objectText(spec.Target), ports).In(spec.Namespace)
}

// shellCommandLine is the command that opens the same shell.
func shellCommandLine(e kube.Exec) cluster.Command {
	if e.Pod == "" {
		return cluster.Bonsai("ssh").On(e.Node)
	}
	c := cluster.Kubectl("exec").On(e.Pod).In(e.Namespace).With("-it")
	if e.Container != "" {
		c = c.With("-c", e.Container)
	}
	return c.Running(cluster.Program("sh"))
}

// lookupCommand asks cluster DNS for a name, as a pod does unless pod is empty.
func lookupCommand(name, pod string) cluster.Command {
	c := cluster.Bonsai("dns", "query").On(name).With("--trace")
	if pod != "" {
		c = c.With("--from", pod)
	}
	return c
}
