package kinds

import "bonsai/bootstrap/cluster"

// clusterTexts are about what status and the terminal UI report. The order is that of a pod's life, then of what leads to pods.
var clusterTexts = []text{
	{name: cluster.ProblemName, means: "a name that pods ask for and that does not exist, with the one that was probably meant: a typing error, or a Service of another namespace"},
	{name: cluster.ProblemImage, means: "whether the image does not exist, needs a login, or its registry or the [proxy](proxy.md) cannot be reached; which nodes have it, or under which other names; `bonsai image load`"},
	{name: cluster.ProblemCrash, means: "the exit code, the number of exits, and the log line that says why the program exited"},
	{name: cluster.ProblemMemory, means: "a container that was killed because it exceeded its memory limit, with the limit"},
	{name: cluster.ProblemStart, means: "a command that does not exist in the image, or a container that cannot be created for another reason"},
	{name: cluster.ProblemProbe, means: "what the probe asks, and the answer that it got"},
	{name: cluster.ProblemUnschedulable, means: "which resource is short, how much is requested, and which node has the most free; or the label, taint or rule"},
	{name: cluster.ProblemClaim, means: "a claim without a volume, or that has lost its data, and why"},
	{name: cluster.ProblemMount, means: "a volume that cannot be mounted: a file that the node lacks, or the program for NFS, SMB, iSCSI ([nodes](nodes.md#what-a-node-does-not-have))"},
	{name: cluster.ProblemUserNS, means: "a node on which pods with `hostUsers: false` cannot start, because the kernel or the engine forbids it; once for the node"},
	{name: cluster.ProblemConfig, means: "a ConfigMap, Secret or key that does not exist, with the one that was probably meant"},
	{name: cluster.ProblemPort, means: "a host port that other pods use, or \"address already in use\" in the log of a container that exited"},
	{name: cluster.ProblemRefused, means: "a quota, a webhook, PodSecurity, a policy or a LimitRange that rejects pods"},
	{name: cluster.ProblemWebhook, means: "an admission webhook with `failurePolicy: Fail` whose Service does not exist, lacks the port, or has no pod that is ready; or that the API server could not call"},
	{name: cluster.ProblemAPI, means: "an APIService whose Service does not exist, or does not answer"},
	{name: cluster.ProblemDeletion, means: "a namespace or another object that has been about to go for half a minute, and what holds it: an API that does not answer, an object with a finalizer, a pod that does not end; a claim that a pod uses"},
	{name: cluster.ProblemRollout, means: "a Deployment, StatefulSet or DaemonSet whose new pods fail while older ones still run, with the `kubectl rollout undo` that goes back"},
	{name: cluster.ProblemDrain, means: "a PodDisruptionBudget that keeps pods on a cordoned node, or that never allows an eviction"},
	{name: cluster.ProblemAway, means: "a pod that waits for a node that does not work or no longer exists, or for a volume there, and what becomes of its data"},
	{name: cluster.ProblemRange, means: "a route of this machine into the addresses of pods or Services, which pods cannot follow. See [VPNs](troubleshooting.md#a-vpn-or-network-overlaps)"},
	{name: cluster.ProblemFailed, means: "a Job that has failed, a pod that is not retried, or pods of one controller that their node evicts or refuses again and again"},
	{name: cluster.ProblemRestarted, means: "within the last hour the control plane's process exited and nobody asked for that, and was [restarted](lifecycle.md#what-the-guardian-does); why, and its last log lines"},
	{name: cluster.ProblemStore, means: "etcd has used up four fifths of its room, or all of it; which resources take the most. See [etcd is full](troubleshooting.md#etcd-is-full)"},
	{name: cluster.ProblemService, means: "a Service that selects no pod, with the label that was probably meant; or none of whose pods is ready, if they have no problem of their own"},
	{name: cluster.ProblemTarget, means: "a port of a Service that leads to a name that its pods do not declare, or to a port where nothing in them listens, with the ports where something does"},
	{name: cluster.ProblemBalancer, means: "a Service of type LoadBalancer: nothing gives it an address; its node port, `port-forward`"},
	{name: cluster.ProblemIngress, means: "an Ingress without a class, with a class that does not exist, or in a cluster without an ingress controller"},
	{name: cluster.ProblemBackend, means: "an Ingress, HTTPRoute or Gateway that refers to a Service, a port or a Secret with a certificate that does not exist, with the one that was probably meant"},
	{name: cluster.ProblemHost, means: "two Ingresses of one class, or two HTTPRoutes of one Gateway, or one of each with a host below `localhost`, that claim the same host and path; only one gets the requests"},
	{name: cluster.ProblemPolicy, means: "for information: the NetworkPolicies of a namespace while [nothing enforces them](troubleshooting.md#networkpolicies-have-no-effect)"},
	{name: cluster.ProblemDenied, means: "an app that tries to reach something and that a NetworkPolicy keeps from it: which policy, what it allows, and the change that would let it through. Only for information if the other end is outside of the cluster. See [network policies](network-policy.md#what-was-stopped)"},
	{name: cluster.ProblemAutoscaler, means: "a HorizontalPodAutoscaler without metrics, whose pods request nothing, or whose target does not exist"},
	{name: cluster.ProblemSchedule, means: "a CronJob that has missed its last starts: the job that still runs, the deadline, what refuses its jobs; suspended from the start; a schedule or time zone that means nothing"},
}

// machineTexts are about what doctor finds, besides kinds of errors such as EngineDown.
var machineTexts = []text{
	{name: cluster.ProblemAfar, means: "the engine is on another machine or in a virtual one, and not on this machine's kernel", more: `
The API server runs on this machine and has to reach the nodes' addresses, and the nodes have to reach the gateway's. See
[Rootless Docker, Docker Desktop](troubleshooting.md#rootless-docker-docker-desktop).`},
	{name: cluster.ProblemEngine, means: "the engine works, but something about it may cause trouble: rootless, little memory"},
	{name: cluster.ProblemCgroups, means: "a control group controller that kubelets need is off", more: `
Many small boards switch the one for memory off. Add ` + "`cgroup_enable=memory`" + ` to the kernel's command line and restart.`},
	{name: cluster.ProblemCgroupV1, means: "control groups of version 1. See [cgroup v1](troubleshooting.md#cgroup-v1)"},
	{name: cluster.ProblemKernel, means: "the kernel has been built without something that nodes need, such as nftables", more: `
Kernels of distributions have all of it, sometimes in a package of further modules. It is looked for in the kernel's
configuration, among loaded modules and in ` + "`/lib/modules`" + `.`},
	{name: cluster.ProblemModules, means: "the modules of the running kernel are not on the disk any more", more: `
An update has replaced the kernel that runs, and what is not loaded yet cannot be loaded until the machine restarts.`},
	{name: cluster.ProblemRAM, means: "less memory is available than another cluster of three nodes takes"},
	{name: cluster.ProblemRoom, means: "less than 1 GiB is free on the disk of the engine or of the state folder; an error below 100 MiB", more: `
` + "`bonsai df`" + ` shows what takes the room, and ` + "`bonsai prune`" + ` removes what nothing needs.`},
	{name: cluster.ProblemClock, means: "the clock is behind the time at which a cluster's files were written", more: `
It was set back, or is wrong. Certificates may not be valid yet then, and leases do not expire.`},
	{name: cluster.ProblemFolder, means: "other users may look into a cluster's folder"},
	{name: cluster.ProblemDistant, means: "the state folder is on a network file system", more: `
etcd waits for its disk at each change, and locks may not work. Set ` + "`BONSAI_HOME`" + ` to a folder on a local disk.`},
	{name: cluster.ProblemContext, means: "no context of the kubeconfig leads to a cluster that runs. See [update-context](commands.md#update-context)"},
	{name: cluster.ProblemPortLost, means: "something listens on a port of a cluster that does not run; it will not start like that"},
	{name: cluster.ProblemNoSubnet, means: "no range of 10.201.0.0/16 is free for the nodes of a new cluster"},
	{name: cluster.ProblemBeside, means: "a route of this machine leads into the network of a cluster's nodes. See [VPNs](troubleshooting.md#a-vpn-or-network-overlaps)"},
	{name: cluster.ProblemFirewall, means: "a firewall is active, and no cluster runs whose nodes could be asked whether it lets them pass. See [firewall](troubleshooting.md#a-firewall-on-the-host)"},
	{name: cluster.ProblemProxy, means: "a variable of the environment that is not the URL of a proxy. See [Behind a proxy](proxy.md)"},
	{name: cluster.ProblemSession, means: "systemd ends what a user leaves running, and with it clusters. See [The control plane is gone](troubleshooting.md#the-control-plane-is-gone)"},
}
