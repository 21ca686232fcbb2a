package diagnose

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
)

func TestUnschedulable(t *testing.T) {
	asks := func(pairs ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = resources(pairs...) }
	}
	for name, test := range map[string]struct {
		pod   *corev1.Pod
		state func(*State)
		want  want
	}{
		"memory": {
			pod: pod("a", asks("memory", "3500Mi"), unscheduledFor(time.Minute, "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.")),
			state: func(s *State) {
				s.Pods = append(s.Pods, pod("x", alone("x"), asks("memory", "1434Mi"), func(p *corev1.Pod) { p.Spec.NodeName = "dev-2" }))
			},
			want: want{cluster.ProblemUnschedulable, cart, "no node has enough memory left", "it requests 3.4Gi of memory; the node with the most, dev-3, has 3Gi", "bonsai start -p dev --nodes 4"},
		},
		"too large for all": {
			pod:  pod("a", asks("cpu", "8"), unscheduledFor(time.Minute, "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")),
			want: want{cluster.ProblemUnschedulable, cart, "no node has enough cpu left", "it requests 8 CPUs; the node with the most, dev-", "reduce its resources.requests"},
		},
		"unknown resource": {
			pod:  pod("a", asks("nvidia.com/gpu", "1"), unscheduledFor(time.Minute, "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")),
			want: want{cluster.ProblemUnschedulable, cart, "no node has enough nvidia.com/gpu left", "it requests 1 nvidia.com/gpu, and no node has any", ""},
		},
		"taint": {
			pod: pod("a", unscheduledFor(time.Minute, "0/3 nodes are available: 3 node(s) had untolerated taint(s).")),
			state: func(s *State) {
				for _, n := range s.Nodes {
					n.Spec.Taints = []corev1.Taint{{Key: "team", Value: "blue", Effect: corev1.TaintEffectNoSchedule}}
				}
			},
			want: want{cluster.ProblemUnschedulable, cart, "no node is suitable", "has the taint team=blue:NoSchedule, which it does not tolerate", "taint nodes"},
		},
		"cordoned": {
			pod: pod("a", unscheduledFor(time.Minute, "0/1 nodes are available: 1 node(s) were unschedulable.")),
			state: func(s *State) {
				s.Nodes = s.Nodes[:1]
				s.Nodes[0].Name, s.Nodes[0].Spec.Unschedulable = "dev-1", true
			},
			want: want{cluster.ProblemUnschedulable, cart, "no node is suitable", "dev-1 accepts no new pods (cordoned)", "uncordon dev-1"},
		},
		"label": {
			pod: pod("a", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disktype": "ssd"} },
				unscheduledFor(time.Minute, "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.")),
			want: want{cluster.ProblemUnschedulable, cart, "no node matches its requirements", "no node has the label disktype=ssd; there is disktype=hdd", "label node dev-1 disktype=ssd"},
		},
		"host port": {
			pod: pod("a", func(p *corev1.Pod) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 8080, ContainerPort: 80}}
			},
				unscheduledFor(time.Minute, "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports.")),
			state: func(s *State) {
				s.Pods = append(s.Pods, pod("x", alone("x"), func(p *corev1.Pod) {
					p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 8080, ContainerPort: 80}}
				}))
			},
			want: want{cluster.ProblemPort, cart, "host port 8080 is taken on every node that could take the pod", "shop/x has 8080 on dev-1", "Service instead of hostPort"},
		},
		"claim that does not exist": {
			pod: pod("a", unscheduledFor(time.Minute, `0/3 nodes are available: persistentvolumeclaim "dta" not found. not found`)),
			state: func(s *State) {
				s.Claims = []*corev1.PersistentVolumeClaim{claim(nil, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound })}
			},
			want: want{cluster.ProblemClaim, cart, "claim dta does not exist; meant data?", "", "get pvc"},
		},
		"spread": {
			pod:  pod("a", unscheduledFor(time.Minute, "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.")),
			want: want{cluster.ProblemUnschedulable, cart, "no node is suitable", "topology spread", "ScheduleAnyway"},
		},
		"anti-affinity": {
			pod:  pod("a", unscheduledFor(time.Minute, "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.")),
			want: want{cluster.ProblemUnschedulable, cart, "no node is suitable", "anti-affinity", "--nodes 4"},
		},
		"no nodes": {
			pod: pod("a", unscheduledFor(time.Minute, "no nodes available to schedule pods")), state: func(s *State) { s.Nodes = nil },
			want: want{cluster.ProblemUnschedulable, cart, "no node is suitable", "the cluster has no nodes", "--nodes 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{test.pod}
			if test.state != nil {
				test.state(&s)
			}
			check(t, s, test.want)
		})
	}
}

func TestVolumes(t *testing.T) {
	const object = "persistentvolumeclaim/shop/data"
	immediate := func(name, provisioner string) *storagev1.StorageClass {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: new(storagev1.VolumeBindingImmediate)}
	}
	for name, test := range map[string]struct {
		claim  *corev1.PersistentVolumeClaim
		state  func(*State)
		events []*corev1.Event
		want   want
	}{
		"no such class": {
			claim: claim(new("standart")),
			want:  want{cluster.ProblemClaim, object, "the claim has no volume: storage class standart does not exist; meant standard?", "the class standard", "recreate"},
		},
		"no default class": {
			claim: claim(nil), state: func(s *State) { s.Classes = nil },
			want: want{cluster.ProblemClaim, object, "the claim has no volume", "no default one", "bonsai addons enable default-storageclass"},
		},
		"nobody provisions": {
			claim: claim(new("fast")), state: func(s *State) { s.Classes = append(s.Classes, immediate("fast", "example.com/nfs")) },
			want: want{cluster.ProblemClaim, object, "the claim has no volume", "nothing creates volumes of class fast (provisioner example.com/nfs)", "standard"},
		},
		"our own provisioner is off": {
			claim: claim(new("fast")), state: func(s *State) { s.Classes = append(s.Classes, immediate("fast", ownProvisioner)) },
			want: want{cluster.ProblemClaim, object, "the claim has no volume", "nothing creates", "bonsai addons enable storage-provisioner"},
		},
		"provisioning fails": {
			claim:  claim(nil),
			events: []*corev1.Event{eventAbout("PersistentVolumeClaim", "claim", "ProvisioningFailed", `failed to provision volume with StorageClass "standard": the disk is full`, time.Minute)},
			want:   want{cluster.ProblemClaim, object, "the claim has no volume", "the disk is full", "describe pvc"},
		},
		"lost": {
			claim: claim(nil, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase, c.Spec.VolumeName = corev1.ClaimLost, "pv-1" }),
			want:  want{cluster.ProblemClaim, object, "the claim has lost its volume", "volume pv-1 does not exist any more", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Claims, s.Events = []*corev1.PersistentVolumeClaim{test.claim}, test.events
			if test.state != nil {
				test.state(&s)
			}
			// The pod that waits for the claim does not have a problem of its own.
			s.Pods = []*corev1.Pod{pod("a", func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
			}, unscheduledFor(time.Minute, "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"))}
			check(t, s, test.want)
		})
	}
	t.Run("emptied", func(t *testing.T) {
		s := world()
		p := pod("a", waiting("ContainerCreating", ""), func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
		})
		s.Pods = []*corev1.Pod{p}
		s.Claims = []*corev1.PersistentVolumeClaim{claim(nil, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase, c.Spec.VolumeName = corev1.ClaimBound, "pvc-1" })}
		s.Events = []*corev1.Event{eventAbout("Pod", p.UID, "FailedMount", `MountVolume.NewMounter initialization failed for volume "pvc-1" : path "/var/lib/bonsai/volumes/pvc-1" does not exist`, time.Minute)}
		check(t, s, want{cluster.ProblemClaim, object, "the claim has lost its data", "node dev-1 no longer has the folder of volume pvc-1", "kubectl -p dev -- delete pvc data -n shop --wait=false"})
		// As it is when the node was created again under a pod that ran.
		p.Status.Phase = corev1.PodRunning
		p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}
		p.Status.ContainerStatuses[0].RestartCount = 1
		check(t, s, want{cluster.ProblemClaim, object, "the claim has lost its data", "node dev-1 no longer has the folder of volume pvc-1", "delete pod"})
		p.Status.Phase, p.Status.ContainerStatuses[0].LastTerminationState.Terminated = corev1.PodPending, nil
		// A folder that the user has to make is another matter.
		s.Events[0].Message = `MountVolume.NewMounter initialization failed for volume "pvc-1" : path "/srv/disk" does not exist`
		check(t, s, want{cluster.ProblemMount, cart, "volume pvc-1 cannot be mounted", `path "/srv/disk" does not exist`, ""})
	})
	t.Run("mount", func(t *testing.T) {
		s := world()
		p := pod("a", waiting("ContainerCreating", ""), func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv/x"}}}}
		})
		s.Pods = []*corev1.Pod{p}
		s.Events = []*corev1.Event{eventAbout("Pod", p.UID, "FailedMount", `MountVolume.SetUp failed for volume "host" : hostPath type check failed: /srv/x is not a directory`, time.Minute)}
		check(t, s, want{cluster.ProblemMount, cart, "volume host cannot be mounted", "node dev-1 has no /srv/x; hostPath means the node's files", "bonsai ssh dev-1"})
	})
}
