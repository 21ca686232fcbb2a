package diagnose

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

// runtimeClass explains why a pod's sandbox cannot be created if its RuntimeClass names a runtime that nodes do not have
// (containerd's internal/cri/config: `no runtime for "runsc" is configured`).
func runtimeClass(p *corev1.Pod, message string) (cause string, advice []cluster.Advice, ok bool) {
	handler := between(message, `no runtime for "`, `" is configured`)
	if handler == "" || p.Spec.RuntimeClassName == nil {
		return "", nil, false
	}
	return fmt.Sprintf("RuntimeClass %s needs the runtime %s; the nodes of this cluster have only runc", *p.Spec.RuntimeClassName, handler),
		advise("leave out the pod's runtimeClassName"), true
}

// seccompRoot is where the kubelet expects the profiles of seccompProfile.type Localhost.
const seccompRoot = "/var/lib/kubelet/seccomp/"

// seccompProfile explains why a container cannot be created if its profile is not on the node (containerd's
// internal/cri/server: `cannot load seccomp profile "/var/lib/kubelet/seccomp/NAME": open …: no such file or directory`).
func seccompProfile(c container, message string) (cause string, advice []cluster.Advice, ok bool) {
	path := between(message, `cannot load seccomp profile "`, `"`)
	name, kubelets := strings.CutPrefix(path, seccompRoot)
	if !kubelets || !strings.Contains(message, "no such file or directory") {
		return "", nil, false
	}
	node := c.pod.Spec.NodeName
	return fmt.Sprintf("node %s has no seccomp profile %s; a profile of type Localhost has to be put on every node", node, name),
		advise("make its folder, then pipe the file into the second command",
			cluster.Bonsai("ssh").On(node).Running(cluster.Program("mkdir", "-p").On(seccompRoot+dirOf(name))).Change(),
			cluster.Bonsai("ssh").On(node).Running(cluster.Program("tee").On(path)).Change()), true
}

// dirOf is the folder of a relative path, with a slash at its end; "" if it has none.
func dirOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }
