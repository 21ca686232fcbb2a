package kinds

import "bonsai/bootstrap/fault"

// commandTexts are about the errors of commands.
var commandTexts = map[fault.Kind]text{
	fault.Internal: {means: "a bug in bonsai", more: `
"built without the node payload" means that the executable was not built by ` + "`make`, but with `go build`" + ` alone.`},
	fault.Usage: {means: "an invalid flag or argument", more: `
Nothing was changed.`},
	fault.State: {means: "the state folder cannot be used", more: `
The state folder, ` + "`~/.bonsai` or `$BONSAI_HOME`" + `, is read-only, full, or belongs to another user. The last is often caused
by an earlier ` + "`sudo bonsai`: take ownership back with `sudo chown -R $USER ~/.bonsai`" + `, and do not use sudo. Network file
systems without locks do not work; point ` + "`BONSAI_HOME`" + ` to a local disk.`},
	fault.SpecBroken: {means: "`spec.json` of the cluster cannot be read", more: `
It is damaged, or was written by a newer bonsai. ` + "`bonsai delete`" + ` still works.`},
	fault.Busy: {means: "another bonsai command is working on the cluster", more: `
It has been for three seconds and longer. The error names its process.`},
	fault.Conflict: {means: "a port, subnet or name is taken", more: `
- The API port: ` + "`ss -ltnp 'sport = :6443'` shows which process has it; `bonsai start --api-port 7443`" + ` uses another one. This
  also works for a stopped cluster.
- The subnet: omit ` + "`--subnet`" + `, and a free one is found. See [VPNs](troubleshooting.md#a-vpn-or-network-overlaps).
- A container or network of the same name that bonsai did not create: remove it, or choose another cluster name. A cluster
  of that name in another state folder is not a conflict. They share a name in the kubeconfig: that context leads to the
  cluster that was started last, and ` + "`bonsai update-context`" + ` brings it back. A renamed context stays with its cluster.`},
	fault.Kubeconfig: {means: "the kubeconfig cannot be read or written", more: `
A new cluster is refused with it before anything is made; a start or delete of an existing one only warns, and ` + "`bonsai\nupdate-context`" + `
writes the entry later. Until then use the cluster's own file, which the warning names:
` + "`export KUBECONFIG=~/.bonsai/clusters/bonsai/kubeconfig`" + `.
- A file that is not a kubeconfig: repair it or move it away. kubectl cannot read it either.
- A read-only file, or a link into a read-only store (as NixOS and home-manager make it): put a file of your own in front,
  ` + "`export KUBECONFIG=~/.kube/own:~/.kube/config`" + `.
- A lock that was left behind (` + "`config.lock`" + `): kubectl and bonsai hold it for milliseconds, and it does not say who made it.
  bonsai waits for 5 s, not at all for a lock older than a minute, and never removes one. The error names the command.`},
	fault.Version: {means: "a version that this executable does not have", more: `
The error lists the available versions. One bonsai contains one version of Kubernetes, and emulates three older minor
versions.`},
	fault.Limit: {means: "a limit of this machine is too low for the cluster", more: `
A limit that nodes share with everything else, such as inotify instances or disk space, is too low for what is about to be
started. Nothing was made. The error says what is left, what is needed, and which command raises it; see
[limits](limits.md).`},
	fault.Output: {means: "what the command prints cannot be written", more: `
The disk is usually full. The command itself has done its work.`},
	fault.Machine: {means: "something on this machine keeps clusters from running", more: `
` + "`bonsai doctor`" + ` exits with it if it has found an error that has no code of its own, such as a kernel without something that
nodes need.`},
	fault.EngineDown: {means: "Docker does not answer", more: `
` + "`docker version`" + ` must work first. bonsai uses the same settings as the docker command: ` + "`DOCKER_HOST`, `DOCKER_CONTEXT`" + `, the
current context. Engines reached over ssh are not supported. For an API server alone, ` + "`bonsai start --nodes 0`" + ` needs no
Docker.`},
	fault.EnginePermission: {means: "this user may not use Docker", more: `
See [Docker permission](troubleshooting.md#docker-permission).`},
	fault.EngineTooOld: {means: "Docker is older than 20.10", more: `
That is the oldest that works: nodes need private cgroup namespaces.`},
	fault.Engine: {means: "Docker answered with an error", more: `
The error is printed. A full disk is a common cause: ` + "`bonsai df`" + ` shows what bonsai takes, and ` + "`docker system df`" + ` the rest.
bonsai needs about 350 MB for its payload, plus the space for the images of your pods in each node.`},
	fault.Unreachable: {means: "nodes cannot reach the API server", more: `
See [firewall](troubleshooting.md#a-firewall-on-the-host).`},
	fault.Image: {means: "an image that cannot be found or loaded", more: `
` + "`docker image ls`" + ` shows which images the engine has; an archive must come from ` + "`docker save`" + ` or be in OCI format, for this
machine's architecture.`},
	fault.NotFound: {means: "no cluster of that name", more: `
` + "`-p`" + ` selects the cluster; ` + "`bonsai profile list`" + ` lists them.`},
	fault.NodeNotFound: {means: "no node of that name", more: `
` + "`bonsai node list`" + ` shows the nodes.`},
	fault.NotRunning: {means: "the cluster has to be running for that", more: `
Start it: ` + "`bonsai start`" + `.`},
	fault.ControlPlane: {means: "etcd, API server, controllers or scheduler", more: `
The daemon did not start, or exited. The error shows the last lines of its log. ` + "`bonsai start --keep --foreground`" + ` shows all
of it. If it exited unexpectedly, was killed, or the machine was restarted, ` + "`bonsai start`" + ` brings it back; running pods keep
running meanwhile. If etcd's data is damaged, go back to a [checkpoint](checkpoints.md), restore a copy of its folder, or
delete the cluster.`},
	fault.Node: {means: "a node did not become Ready", more: `
It did not become Ready, has exited, or does not exist. Exit code 137 means that it was killed: by a person or program, or
because memory ran out (` + "`sudo dmesg | grep -i oom`). Run `bonsai start --keep`, then `bonsai logs --node NAME` and `bonsai logs\nkubelet --node NAME`" + `.`},
	fault.Timeout: {means: "a wait reached its limit", more: `
On slow machines, for example emulated ones or a busy CI machine, raise all limits: ` + "`BONSAI_WAIT_SCALE=5 bonsai start`" + `.`},
	fault.AddonNotFound: {means: "no addon of that name in this version", more: `
The error says what became of it, or which name is similar; ` + "`bonsai addons list --all`" + ` lists all of them.`},
	fault.Addon: {means: "an addon does not run, or others need it", more: `
` + "`bonsai addons status`" + ` says why and what to type; see also [Addons](addons.md#when-an-addon-does-not-run).`},
	fault.NotResolved: {means: "cluster DNS has no such record", more: `
The error says what is missing, and which existing name is similar; ` + "`bonsai dns query NAME --from NAMESPACE/POD --trace`" + `
shows each step. See [cluster DNS](dns.md#find-out-why-a-name-does-not-resolve).`},
	fault.Blocked: {means: "pods or data keep a node from being deleted", more: `
The error names what is on it and would be lost, or what does not end. ` + "`bonsai node delete NODE --force`" + ` deletes it with that.`},
	fault.ObjectNotFound: {means: "the Kubernetes API has no such object", more: `
It does not exist, or does not exist any more; with ` + "`bonsai birth -w`" + `, the pod was deleted before it was Ready.`},
	fault.Refused: {means: "the API server rejected a request", more: `
The error has the API server's reason.`},
	fault.CheckpointNotFound: {means: "no checkpoint of that name", more: `
` + "`bonsai checkpoint list`" + ` lists those of the cluster.`},
	fault.Checkpoint: {means: "a checkpoint that is damaged, of another cluster or version, or one too many", more: `
Nothing has changed. See [checkpoints](checkpoints.md#limits).`},
	fault.NotReached: {means: "a pod does not reach what `bonsai flow why` was asked about", more: `
The error names the step at which the way ends, and the output shows each step. See [traffic](traffic.md#why-does-a-not-reach-b).`},
	fault.NotDone: {means: "a step of a lesson is not done yet", more: `
The output says which of its checks are missing; ` + "`bonsai learn hint`" + ` helps. See [learn](learn.md).`},
	fault.Canceled: {means: "Ctrl-C", more: `
What the command had created was removed.`},
}
