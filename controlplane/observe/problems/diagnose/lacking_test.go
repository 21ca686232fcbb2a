package diagnose

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

func ownUsers(p *corev1.Pod) { p.Spec.HostUsers = new(false) }

const noUserNamespaces = "the node has no user namespaces: pods with hostUsers: false cannot start"

func TestUserNamespacesAreAProblemOfTheNode(t *testing.T) {
	const runc = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: `
	for name, test := range map[string]struct {
		change      func(*corev1.Pod)
		message     string // of the sandbox; the container's is in change
		cause, hint string
	}{
		"kubelet":   {message: "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces", cause: "cannot map the owners of files", hint: "omit hostUsers"},
		"sandbox":   {message: "Failed to create pod sandbox: rpc error: code = Unknown desc = " + runc + `error mounting "proc" to rootfs at "/proc": mount src=proc, dst=/proc: operation not permitted`, cause: "parts of the node's are covered"},
		"container": {change: waiting("RunContainerError", runc+`error mounting "proc" to rootfs at "/proc": operation not permitted`), cause: "parts of the node's are covered"},
		"container in back-off": {change: func(p *corev1.Pod) {
			looping(128, "StartError")(p)
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = runc + `error mounting "sysfs" to rootfs at "/sys": operation not permitted`
		}, cause: "parts of the node's are covered"},
		"snapshotter": {change: waiting("CreateContainerError", "failed to create containerd container: snapshotter \"native\" doesn't support idmap mounts on this host, configure `slow_chown` to allow a slower and expensive fallback"), cause: "cannot map the owners"},
		"limit":       {message: "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup user namespace: fork/exec /proc/self/exe: no space left on device: clone", cause: "permits no more user namespaces", hint: "sysctl user.max_user_namespaces"},
		"rootless":    {message: "Failed to create pod sandbox: write /proc/99/uid_map: operation not permitted", cause: "too few user ids"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			change := test.change
			if change == nil {
				change = waiting("ContainerCreating", "")
			}
			s.Pods = []*corev1.Pod{pod("a", ownUsers, change), pod("b", ownUsers, change, alone("other"))}
			if test.message != "" {
				for _, p := range s.Pods {
					s.Events = append(s.Events, eventAbout("Pod", p.UID, "FailedCreatePodSandBox", test.message, 30*time.Second))
				}
			}
			r := check(t, s, want{cluster.ProblemUserNS, "node/dev-1", noUserNamespaces + " (2 pods)", test.cause, test.hint})
			if len(r.Problems) == 1 && !slices.Equal(r.Problems[0].Pods, []string{"shop/cart-7d9f4-a", "shop/other"}) {
				t.Errorf("pods are %v", r.Problems[0].Pods)
			}
			// Without the wish for a user namespace it is the pod's own problem.
			for _, p := range s.Pods {
				p.Spec.HostUsers = nil
			}
			for _, p := range Workloads(s).Problems {
				if p.Kind == cluster.ProblemUserNS {
					t.Errorf("a pod with the node's users: %+v", p)
				}
			}
		})
	}
}

func TestAFolderWhoseOwnersCannotBeMapped(t *testing.T) {
	s := world()
	s.Pods = []*corev1.Pod{pod("a", ownUsers, waiting("RunContainerError", "failed to fulfil mount request: failed to set MOUNT_ATTR_IDMAP on /srv/x: invalid argument (maybe the filesystem used doesn't support idmap mounts on this kernel?)"))}
	check(t, s, want{cluster.ProblemMount, cart, "volume /srv/x cannot be mounted into a pod with hostUsers: false", "node dev-1 can map the owners of files below /var only", "omit hostUsers"})
}

func TestANodeWithoutUserNamespacesIsOneProblem(t *testing.T) {
	s := world()
	s.Pods = []*corev1.Pod{
		pod("a", ownUsers, alone("a"), waiting("RunContainerError", `error mounting "proc" to rootfs at "/proc": operation not permitted`)),
		pod("b", ownUsers, alone("b"), waiting("RunContainerError", "failed to set MOUNT_ATTR_IDMAP on /var/lib/kubelet/pods/x: invalid argument")),
	}
	check(t, s, want{cluster.ProblemUserNS, "node/dev-1", noUserNamespaces + " (2 pods)", "parts of the node's are covered", "omit hostUsers"})
}

func TestOtherTroubleOfPodsWithUserNamespaces(t *testing.T) {
	s := world()
	s.Pods = []*corev1.Pod{pod("a", ownUsers, looping(1, "Error")), pod("b", ownUsers, alone("fine"))}
	for _, p := range Workloads(s).Problems {
		if p.Kind != cluster.ProblemCrash {
			t.Errorf("%+v", p)
		}
	}
}

func TestMountsThatTheNodeCannotDo(t *testing.T) {
	const failed = `MountVolume.SetUp failed for volume "v" : `
	const arguments = "mount failed: exit status 32\nMounting command: mount\nMounting arguments: "
	const util = "\nOutput: mount: /var/lib/kubelet/pods/x/volumes/v: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program."
	file, folder := corev1.HostPathFile, corev1.HostPathDirectory
	for name, test := range map[string]struct {
		source      corev1.VolumeSource
		message     string
		cause, hint string
	}{
		"NFS":    {corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}}, arguments + "-t nfs 192.0.2.1:/x /var/lib/kubelet/pods/x/volumes/v" + util, "node dev-1 has no program to mount NFS (mount.nfs)", "csi-driver-nfs"},
		"NFS 4":  {corev1.VolumeSource{}, arguments + "-t nfs4 -o vers=4 h:/x /y" + util, "mount NFS (mount.nfs)", "csi-driver-nfs"},
		"SMB":    {corev1.VolumeSource{}, arguments + "-t cifs //h/x /y" + util, "mount SMB (CIFS) (mount.cifs)", "csi-driver-smb"},
		"iSCSI":  {corev1.VolumeSource{}, `failed to get any path for iscsi disk: exec: "iscsiadm": executable file not found in $PATH`, "mount iSCSI (iscsiadm)", "CSI driver"},
		"file":   {corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc/x.conf", Type: &file}}, "hostPath type check failed: /etc/x.conf is not a file", "node dev-1 has no file /etc/x.conf; hostPath means the node's files, and not this machine's", "bonsai ssh dev-1 -p dev -- ls -ld /etc/x.conf"},
		"folder": {corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv", Type: &folder}}, "hostPath type check failed: /srv is not a directory", "has no folder /srv", "DirectoryOrCreate"},
		"other":  {corev1.VolumeSource{}, arguments + "-t ext4 /dev/vdb /y\nOutput: mount: /y: special device /dev/vdb does not exist.", "special device /dev/vdb does not exist", "describe"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			p := pod("a", waiting("ContainerCreating", ""), func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: test.source}}
			})
			s.Pods = []*corev1.Pod{p}
			s.Events = []*corev1.Event{eventAbout("Pod", p.UID, "FailedMount", failed+test.message, time.Minute)}
			r := check(t, s, want{cluster.ProblemMount, cart, "volume v cannot be mounted", test.cause, test.hint})
			if len(r.Problems) == 1 && strings.Contains(r.Problems[0].Cause, "\n") {
				t.Errorf("the cause has several lines: %q", r.Problems[0].Cause)
			}
		})
	}
}
