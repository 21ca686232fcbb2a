package diagnose

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// This file has what a node cannot give to a pod because the node is a container: user namespaces where the engine or the
// kernel forbids them, programs that mount network file systems, files of the machine.

// noUserNamespaces looks at a pod with hostUsers: false that does not start because its node has no user namespaces. It
// is one problem for the node, whichever pods meet it and however the kernel refuses them.
func (d *diagnosis) noUserNamespaces(p *corev1.Pod) bool {
	if p.Spec.HostUsers == nil || *p.Spec.HostUsers || begunWell(p) {
		return false
	}
	var texts []string
	if e := d.eventOf(p.UID, func(e *corev1.Event) bool { return e.Reason == "FailedCreatePodSandBox" }); e != nil && !lastSeen(e).Before(scheduledAt(p)) {
		texts = append(texts, e.Message)
	}
	for _, c := range containers(p) {
		if w := c.status.State.Waiting; w != nil {
			texts = append(texts, w.Message)
		}
		for _, t := range []*corev1.ContainerStateTerminated{c.status.State.Terminated, c.status.LastTerminationState.Terminated} {
			if t != nil && t.Reason == "StartError" {
				texts = append(texts, t.Message)
			}
		}
	}
	for _, text := range texts {
		if path := between(text, "MOUNT_ATTR_IDMAP on ", ": "); path != "" && !strings.HasPrefix(path, "/var/") {
			d.add(finding{of: d.ownerOf(p), pod: p, key: path, Problem: cluster.Problem{
				Kind: cluster.ProblemMount, Severity: cluster.SeverityError, Since: scheduledAt(p),
				Summary: "volume " + path + " cannot be mounted into a pod with hostUsers: false",
				Cause:   "node " + p.Spec.NodeName + " can map the owners of files below /var only, where its disk is",
				Advice:  advise("use a folder below /var of the node, or omit hostUsers"),
			}})
			return true
		}
		cause, advice := userNamespaceFailure(text)
		if cause == "" {
			continue
		}
		d.add(finding{of: owner{"node", "", p.Spec.NodeName}, pod: p, Problem: cluster.Problem{
			Kind: cluster.ProblemUserNS, Severity: cluster.SeverityError, Since: scheduledAt(p),
			Summary: "the node has no user namespaces: pods with hostUsers: false cannot start", Cause: cause, Advice: advice,
			Evidence: []string{oneLine(plainError(text))},
		}})
		return true
	}
	return false
}

// begunWell reports whether a container of a pod has run, so that its user namespace exists.
func begunWell(p *corev1.Pod) bool {
	for _, c := range containers(p) {
		t := c.status.LastTerminationState.Terminated
		if c.status.State.Running != nil || t != nil && t.Reason != "StartError" {
			return true
		}
	}
	return false
}

// userNamespaceFailure says why there is no user namespace, in the order from kubelet (userns_manager.go) over containerd
// to runc; "" if the text is about something else.
func userNamespaceFailure(text string) (cause string, advice []cluster.Advice) {
	const omit = "omit hostUsers in the pods, or run the cluster on another machine"
	switch {
	case strings.Contains(text, "does not support user namespaces"), containsAny(text, "idmap mount", "MOUNT_ATTR_IDMAP"):
		return "the kernel, or the file system of the engine's disk, cannot map the owners of files (Linux 6.3 with ext4, xfs or btrfs can)", advise(omit)
	case strings.Contains(text, `mounting "proc"`), strings.Contains(text, `mounting "sysfs"`):
		return "the kernel refuses the pod its own /proc or /sys, because parts of the node's are covered: the engine runs in a container itself", advise(omit)
	case containsAny(text, "uid_map", "gid_map", "newuidmap", "newgidmap"):
		return "the engine has too few user ids of its own to give some to pods, as a rootless engine", advise(omit)
	case containsAny(text, "CLONE_NEWUSER", "unshare", "clone", "user namespace") && containsAny(text, "no space left on device", "operation not permitted"):
		return "the kernel of the engine's machine permits no more user namespaces", append(
			advise("allow some on that machine", cluster.Program("sudo", "sysctl", "user.max_user_namespaces=15000").Change()), cluster.Advise(omit))
	}
	return "", nil
}

// helper is a program that mounts a kind of network file system, which a node lacks: it comes with packages of a
// distribution, and belongs to the kernel modules of the machine.
type helper struct {
	marks   []string // in the message about a mount
	what    string
	program string
	advice  string
}

var helpers = []helper{
	{[]string{"-t nfs"}, "NFS", "mount.nfs", "install the CSI driver csi-driver-nfs, whose pods bring the program, and use it for the volume"},
	{[]string{"-t cifs", "-t smb3"}, "SMB (CIFS)", "mount.cifs", "install the CSI driver csi-driver-smb, whose pods bring the program, and use it for the volume"},
	{[]string{"iscsiadm", "iscsi: "}, "iSCSI", "iscsiadm", "use a CSI driver that brings the program, or a volume of the class standard"},
	{[]string{"-t ceph", "rbd: "}, "Ceph", "mount.ceph", "use a CSI driver that brings the program, or a volume of the class standard"},
	{[]string{"-t glusterfs"}, "GlusterFS", "mount.glusterfs", "use a CSI driver that brings the program, or a volume of the class standard"},
}

// explainMount improves what is known about a volume that cannot be mounted on a node.
func explainMount(f *finding, p *corev1.Pod, volume, message string) {
	for _, v := range p.Spec.Volumes {
		if v.Name == volume && v.HostPath != nil && strings.Contains(message, "hostPath type check failed") {
			f.Cause = "node " + p.Spec.NodeName + " has no " + hostPathKind(v.HostPath) + v.HostPath.Path + "; hostPath means the node's files, and not this machine's"
			f.Advice = append(advise("see what the node has", cluster.Bonsai("ssh").On(p.Spec.NodeName).Running(cluster.Program("ls", "-ld").On(v.HostPath.Path))),
				cluster.Advise("create it there, or set the type DirectoryOrCreate or FileOrCreate"))
			return
		}
	}
	for _, h := range helpers {
		if containsAny(message, h.marks...) {
			f.Cause = "node " + p.Spec.NodeName + " has no program to mount " + h.what + " (" + h.program + ")"
			f.Advice = advise(h.advice)
			return
		}
	}
}

// hostPathKind is what a hostPath wants to find, in words that its path can follow.
func hostPathKind(h *corev1.HostPathVolumeSource) string {
	if h.Type == nil {
		return ""
	}
	switch *h.Type {
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return "file "
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return "folder "
	case corev1.HostPathSocket:
		return "socket "
	case corev1.HostPathCharDev, corev1.HostPathBlockDev:
		return "device "
	}
	return ""
}
