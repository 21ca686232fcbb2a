#!/usr/bin/env bash
# inside.sh [rebooted] - the test itself: what an ordinary user does with bonsai, from the first start until nothing is left.
# It runs in the machine that vm.sh drives (or any other Debian with busybox-static, as a user who may use
# Docker and has no cluster). Each line is printed with the time that it took; the first failure prints the logs
# and ends the run. With "rebooted" it is the part after a reboot, which expects what the first part has left.
#
# STEPS='pause|lost claim' runs only the steps whose titles or functions match, besides those that set the cluster up. Steps that
# need each other run together.
set -Eeuo pipefail

# Emulation is up to 40 times slower than the machines for which the limits on bonsai's waits are chosen.
export BONSAI_WAIT_SCALE=${BONSAI_WAIT_SCALE:-30}
limit=600s  # for each wait of this script
image=bonsai-vm/busybox:1
work=$HOME/proof # not in /tmp, which a reboot empties
begun=$EPOCHREALTIME

# ------------------------------------------------------------ reporting ----

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }

# step TITLE COMMAND...: runs the command and prints one line.
step() {
	local title=$1 at=$EPOCHREALTIME
	shift
	now=$title
	"$@"
	printf '%-64s %9s\n' "ok   $title" "$(seconds_since "$at")"
}

# chosen TITLE FUNCTION
chosen() { [[ -z ${STEPS:-} ]] || grep -qiE -e "$STEPS" <<<"$1 ${2//_/ }"; }

# optional TITLE COMMAND...: a step that nothing else needs.
optional() { ! chosen "$1" "$2" || step "$@"; }

# together [TITLE COMMAND]...: steps that need each other.
together() {
	local i next wanted=
	for ((i = 1; i <= $#; i += 2)); do
		next=$((i + 1))
		! chosen "${!i}" "${!next}" || wanted=yes
	done
	[ -n "$wanted" ] || return 0
	while [ $# -gt 0 ]; do
		step "$1" "$2"
		shift 2
	done
}

# Prints why a check failed; the trap below does the rest.
wrong() { echo "$*" >&2; return 1; }

failed() {
	local code=$? name file
	[ "$BASH_SUBSHELL" = 0 ] || exit "$code" # within $(...): the shell outside reports
	trap - ERR
	set +e
	echo "FAIL $now (exit code $code, $(seconds_since "$begun") after the start)"
	exec 2>&1
	section() { printf '\n---- %s\n' "$*"; }
	section bonsai status && timeout 60 bonsai status
	section pods && timeout 60 bonsai kubectl -- get pods,events -A -o wide
	for file in ~/.bonsai/clusters/*/logs/*.log; do
		[ -f "$file" ] && section "$file" && tail -n 40 "$file"
	done
	for name in $(docker ps -a --filter label=io.bonsai.cluster --format '{{.Names}}'); do
		section "docker logs $name" && docker logs --tail 60 "$name"
		docker cp -q "$name:/var/log/bonsai" "$work/$name" 2>/dev/null || docker cp "$name:/var/log/bonsai" "$work/$name"
		for file in "$work/$name"/*.log; do
			[ -f "$file" ] && section "$name ${file##*/}" && tail -n 40 "$file"
		done
	done
	section machine && docker ps -a && free -m && df -h /
	exit 1
}
trap failed ERR

# -------------------------------------------------------------- helpers ----

k() { bonsai kubectl -- "$@"; }

# is GOT WANT WHAT
is() { [ "$1" = "$2" ] || wrong "$3 is '$1', want '$2'"; }

# in_pod POD COMMAND...
in_pod() {
	local pod=$1
	shift
	k exec "$pod" -- "$@"
}

# fetch POD ADDRESS PORT [TIMES]: the pages that the pod gets from there, each once; "none" stands for no answer.
# Not by wget, which crashes in Debian 12's static busybox without a libc beside it.
fetch() {
	# shellcheck disable=SC2016  # the dollars are for the shell in the pod
	in_pod "$1" sh -c 'for i in $(seq "$3"); do
		page=$(printf "GET / HTTP/1.0\r\n\r\n" | nc -w 60 "$1" "$2" | tail -n 1)
		echo "${page:-none}"
	done | sort -u | xargs' - "$2" "$3" "${4:-1}"
}

# Identity of what must survive a stop: the pods, and an object of the user's own.
kept() { k get pods,configmaps -l proof=vm -o jsonpath='{range .items[*]}{.metadata.uid} {end}'; }

# ---------------------------------------------------------------- steps ----

# A kubeconfig with another cluster in it, which must come through all of this unchanged.
foreign_kubeconfig() {
	mkdir -p ~/.kube
	cat >~/.kube/config <<-END
		apiVersion: v1
		kind: Config
		# a comment of the user's
		clusters:
		- name: elsewhere
		  cluster:
		    server: https://192.0.2.1:6443
		users:
		- name: somebody
		  user:
		    token: not-a-secret
		contexts:
		- name: elsewhere
		  context:
		    cluster: elsewhere
		    user: somebody
		current-context: elsewhere
	END
	chmod 600 ~/.kube/config
	cp ~/.kube/config "$work/kubeconfig"
}

# The API server's own checks give etcd two seconds, which an emulated machine may exceed for a moment.
status_is_good() {
	local try
	for try in $(seq 10); do
		bonsai status && return
		sleep 3
	done
	wrong "status is not good after $try tries"
}

kubeconfig_leads_here() {
	is "$(k --kubeconfig ~/.kube/config config current-context)" bonsai "the current context"
	is "$(k --kubeconfig ~/.kube/config get --raw /readyz)" ok "what the user's kubeconfig reaches"
}

nodes_are_ready() {
	k get nodes -o wide
	k wait node --all --for=condition=Ready --timeout=$limit >/dev/null
	is "$(k get nodes -o name | sort | tr '\n' ' ')" "node/bonsai-1 node/bonsai-2 " nodes
}

# The test image is Debian's static busybox and nothing else. It goes into the Docker engine first, and from
# there into the nodes, once directly and once as an archive.
make_image() {
	mkdir -p "$work/root/bin" "$work/root/www"
	cp /bin/busybox "$work/root/bin/"
	"$work/root/bin/busybox" --install "$work/root/bin" # a hard link for each of its commands
	tar -C "$work/root" -c . | docker import -c 'ENV PATH=/bin' - "$image" >/dev/null
	docker save -o "$work/image.tar" "$image"
}
load_from_engine() { bonsai image load "$image"; }
load_from_archive() { bonsai image load "$work/image.tar"; }

run_pods() {
	local n
	for n in 1 2; do
		cat <<-END
			---
			apiVersion: v1
			kind: Pod
			metadata: {name: web-$n, labels: {app: web, proof: vm}}
			spec:
			  nodeName: bonsai-$n
			  terminationGracePeriodSeconds: 1
			  containers:
			  - name: web
			    image: $image
			    imagePullPolicy: Never
			    command: [sh, -c, "hostname >/www/index.html; echo serving as \$(hostname); exec httpd -f -p 8080 -h /www"]
			    readinessProbe: {httpGet: {path: /, port: 8080}, timeoutSeconds: 30}
		END
	done >"$work/pods.yaml"
	cat >>"$work/pods.yaml" <<-END
		---
		apiVersion: v1
		kind: Service
		metadata: {name: web}
		spec:
		  selector: {app: web}
		  ports: [{port: 80, targetPort: 8080}]
		---
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: mine, labels: {proof: vm}}
		data: {kept: "yes"}
		---
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: data}
		spec:
		  accessModes: [ReadWriteOnce]
		  resources: {requests: {storage: 10Mi}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: keeper, labels: {proof: vm}}
		spec:
		  terminationGracePeriodSeconds: 1
		  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
		  containers:
		  - name: keeper
		    image: $image
		    imagePullPolicy: Never
		    command: [sleep, "1000000"]
		    volumeMounts: [{name: data, mountPath: /data}]
	END
	k wait serviceaccount/default --for=create --timeout=$limit >/dev/null
	k apply -f "$work/pods.yaml"
	pods_are_ready
}

pods_are_ready() { k wait pod web-1 web-2 keeper --for=condition=Ready --timeout=$limit; }

exec_works() {
	is "$(in_pod web-1 hostname)" web-1 "host name by exec"
	is "$(echo through stdin | k exec -i web-2 -- cat)" "through stdin" "standard input by exec"
}

# By pod address.
pods_reach_each_other() {
	local ip1 ip2
	ip1=$(k get pod web-1 -o jsonpath='{.status.podIP}')
	ip2=$(k get pod web-2 -o jsonpath='{.status.podIP}')
	is "$(fetch web-1 "$ip2" 8080)" web-2 "page of web-2 from web-1"
	is "$(fetch web-2 "$ip1" 8080)" web-1 "page of web-1 from web-2"
}

# From either node the Service's address leads to both pods.
service_works() {
	local ip from
	ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
	for from in web-1 web-2; do
		is "$(fetch $from "$ip" 80 20)" "web-1 web-2" "pages of the Service from $from"
	done
}

# From either node; the name that does not exist has to be denied, and not to time out.
names_work() {
	local ip from got
	ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
	for from in web-1 web-2; do
		got=$(in_pod $from nslookup web.default.svc.cluster.local | sed -n '/^$/,$ s/^Address: //p')
		is "$got" "$ip" "address of web.default.svc.cluster.local in $from"
		got=$(in_pod $from nslookup missing.default.svc.cluster.local 2>&1 || true)
		[[ $got == *NXDOMAIN* ]] || wrong "nslookup of a missing name in $from says: $got"
	done
	is "$(bonsai dns query web)" "$ip" "bonsai dns query web"
	bonsai dns status
}

claim_is_bound() {
	is "$(k get pvc data -o jsonpath='{.status.phase}')" Bound "the claim"
	in_pod keeper sh -c 'echo precious >/data/file'
	bonsai addons list
}

claim_kept_its_data() { is "$(in_pod keeper cat /data/file)" precious "the file in the claim's volume"; }

# Pods with their own users: with volumes of several kinds, and with all of /proc.
user_namespaces_work() {
	local pod first
	k create secret generic word --from-literal=word=whisper
	cat <<-END | k apply -f -
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: own}
		spec:
		  accessModes: [ReadWriteOnce]
		  resources: {requests: {storage: 10Mi}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: users}
		spec:
		  hostUsers: false
		  terminationGracePeriodSeconds: 1
		  volumes:
		  - {name: empty, emptyDir: {}}
		  - {name: claim, persistentVolumeClaim: {claimName: own}}
		  - {name: secret, secret: {secretName: word}}
		  - {name: host, hostPath: {path: /etc/os-release, type: File}}
		  - {name: image, image: {reference: "$image", pullPolicy: Never}}
		  containers:
		  - name: main
		    image: $image
		    imagePullPolicy: Never
		    command: [sleep, "1000000"]
		    volumeMounts:
		    - {name: empty, mountPath: /empty}
		    - {name: claim, mountPath: /claim}
		    - {name: secret, mountPath: /secret}
		    - {name: host, mountPath: /os-release}
		    - {name: image, mountPath: /image}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: unmasked}
		spec:
		  hostUsers: false
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: main
		    image: $image
		    imagePullPolicy: Never
		    command: [sleep, "1000000"]
		    securityContext: {procMount: Unmasked, capabilities: {add: [SYS_ADMIN]}}
	END
	k wait pod users unmasked --for=condition=Ready --timeout=$limit
	for pod in users unmasked; do
		first=$(in_pod $pod awk '{ print $2 }' /proc/self/uid_map)
		[ "$first" -ge 65536 ] || wrong "root in $pod is user $first outside"
	done
	is "$(in_pod users sh -ec 'for d in /empty /claim; do echo mine >$d/f; cat $d/f; done; cat /secret/word; echo; ls /image/bin/busybox' | xargs)" \
		"mine mine whisper /image/bin/busybox" "what is in the volumes"
	in_pod unmasked unshare -r true
	k delete pod users unmasked --now
}

loops_in_use() { { cat /sys/block/loop*/loop/backing_file 2>/dev/null || true; } | wc -l; }

# As many loop devices as there are, and one more, which the kernel makes then. The last one stays in use: nothing of it
# may be left when the cluster is gone. The machine itself needs none.
loop_devices_work() {
	cat <<-END | k apply -f -
		apiVersion: v1
		kind: Pod
		metadata: {name: loops}
		spec:
		  terminationGracePeriodSeconds: 1
		  volumes: [{name: dev, hostPath: {path: /dev, type: Directory}}]
		  containers:
		  - name: main
		    image: $image
		    imagePullPolicy: Never
		    command: [sleep, "1000000"]
		    securityContext: {privileged: true}
		    volumeMounts: [{name: dev, mountPath: /dev}]
	END
	k wait pod loops --for=condition=Ready --timeout=$limit
	# shellcheck disable=SC2016  # the dollars are for the shell in the pod
	in_pod loops sh -ec 'dd if=/dev/zero of=/file bs=1M count=2 2>/dev/null
		for i in $(seq 10); do
			for t in $(seq 300); do d=$(losetup -f); [ -b "$d" ] && break; usleep 100000; done
			losetup "$d" /file
		done
		for d in $(losetup -a | cut -d: -f1 | tail -n +2); do losetup -d $d; done'
	# The kernel frees a device when the last program has closed it, and udev looks at each change.
	for _ in $(seq 60); do [ "$(loops_in_use)" = 1 ] && break; sleep 1; done
	is "$(loops_in_use)" 1 "number of loop devices in use"
}

logs_work() {
	is "$(k logs web-2)" "serving as web-2" "log of web-2"
	[ -n "$(bonsai logs kubelet --node bonsai-2 --tail 5)" ] || wrong "bonsai logs kubelet printed nothing"
}

ssh_works() {
	local listing
	listing=$(bonsai ssh bonsai-1 -- ps)
	[[ $listing == *containerd* && $listing == *kubelet* ]] || wrong "ps in bonsai-1 shows no containerd or no kubelet: $listing"
}

stop_keeps_everything() {
	bonsai stop
	is "$(docker ps -q --filter label=io.bonsai.cluster | wc -l)" 0 "number of running containers"
	is "$(pgrep -c -u "$(id -u)" -x bonsai || true)" 0 "number of bonsai processes"
	! bonsai status || wrong "the exit code of status of a stopped cluster is 0"
}

started_again_with_everything() {
	bonsai start
	# What the API server knew before the stop does not count: the containers have to be new ones.
	k wait pod web-1 web-2 --for=jsonpath='{.status.containerStatuses[0].restartCount}'=1 --timeout=$limit
	pods_are_ready
	is "$(kept)" "$before" "identity of pods and objects"
	service_works
}

# One of each verb. The node is empty, so that nothing keeps it.
nodes_come_and_go() {
	bonsai node add --labels disk=ssd
	is "$(k get nodes -l disk=ssd -o name)" node/bonsai-3 "the node that was added"
	bonsai node update bonsai-3 --cpus 1
	bonsai node stop bonsai-3
	bonsai status >/dev/null || wrong "a stopped node is a problem in status"
	bonsai node start bonsai-3
	is "$(bonsai node list -o name | tr '\n' ' ')" "bonsai-1 bonsai-2 bonsai-3 " "node list"
	bonsai node delete bonsai-3
	is "$(docker ps -aq --filter label=io.bonsai.node=bonsai-3 | wc -l)" 0 "number of containers of a deleted node"
	is "$(docker volume ls -q --filter label=io.bonsai.node=bonsai-3 | wc -l)" 0 "number of its volumes"
	nodes_are_ready
}

# The cluster's own file changes nothing; with one more node it adds that, and without it removes it.
a_file_says_what_should_be() {
	local file=$HOME/cluster.yaml
	bonsai config view >"$file"
	is "$(bonsai plan -f "$file")" "Nothing to change: bonsai is as $file says." "plan of the cluster's own file"
	sed 's/^nodes: 2$/nodes: [{role: control-plane}, {}, {labels: {disk: ssd}}]/' "$file" | bonsai apply -f -
	is "$(k get nodes -l disk=ssd -o name | wc -l)" 1 "number of nodes with the label of the file"
	bonsai apply -f "$file"
	is "$(bonsai node list -o name | tr '\n' ' ')" "bonsai-1 bonsai-2 " "nodes without those that the file no longer has"
	nodes_are_ready
}

# Both nodes are recreated with the folder, and keep their pods; objects are applied once, and stay.
mounts_and_manifests_are_in_a_file() {
	local file=$HOME/cluster.yaml version
	mkdir -p ~/shared
	echo mine >~/shared/file
	cat >~/objects.yaml <<-END
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: of-a-file}
		data: {key: value}
	END
	bonsai config view >"$file"
	printf 'mounts: [shared:/shared:ro]\nmanifests: [objects.yaml]\n' >>"$file"
	bonsai apply -f "$file"
	is "$(bonsai ssh bonsai-1 -- cat /shared/file)" mine "the mounted file in bonsai-1"
	is "$(bonsai ssh bonsai-2 -- cat /shared/file)" mine "the mounted file in bonsai-2"
	! bonsai ssh bonsai-1 -- touch /shared/other || wrong "a read-only mount can be written to"
	is "$(k get configmap of-a-file -o jsonpath='{.data.key}')" value "the object of the manifest"
	version=$(k get configmap of-a-file -o jsonpath='{.metadata.resourceVersion}')
	is "$(bonsai apply -f "$file")" "Nothing to change: bonsai is as $file says." "the same file again"
	is "$(k get configmap of-a-file -o jsonpath='{.metadata.resourceVersion}')" "$version" "version of the object after it"
	pods_are_ready
	claim_kept_its_data
	sed -i -e 's/^mounts: .*/mounts: []/' -e 's/^manifests: .*/manifests: []/' "$file"
	bonsai apply -f "$file"
	! bonsai ssh bonsai-1 -- test -e /shared/file || wrong "a mount that the file no longer has is still there"
	k get configmap of-a-file
	pods_are_ready
}

# What a user types who needs space. Everything of bonsai carries a label by which it is spared.
prune_spares_the_label() {
	bonsai stop
	docker system prune -af --volumes --filter 'label!=io.bonsai' >/dev/null
	is "$(docker ps -aq --filter label=io.bonsai.cluster | wc -l)" 2 "number of containers after a prune with a filter"
	is "$(docker network ls -q --filter label=io.bonsai.cluster | wc -l)" 1 "number of networks after it"
	is "$(docker volume ls -q --filter label=io.bonsai.node | wc -l)" 2 "number of the nodes' volumes after it"
	is "$(docker image ls -q bonsai-node | wc -l)" 1 "number of node images after it"
}

# Without the filter all of it is gone, which status and start say.
prune_is_reported() {
	local said
	docker system prune -af --volumes >/dev/null
	docker volume prune -af >/dev/null 2>&1 || docker volume prune -f >/dev/null # since Docker 23 only -a takes volumes with names
	is "$(docker volume ls -q --filter label=io.bonsai.node | wc -l)" 0 "number of the nodes' volumes after a prune"
	said=$(bonsai status || true)
	[[ $said == *"bonsai-1 is gone, with its data"*"bonsai-2 is gone"* && $said == *"the data of claim default/data"* ]] ||
		wrong "status after a prune does not say what was lost: $said"
	said=$(bonsai start 2>&1)
	[[ $said == *"is created again"* ]] || wrong "start after a prune does not say what was lost: $said"
	bonsai image load "$work/image.tar"
	docker load -q -i "$work/image.tar" >/dev/null # for as_root and its like
	k wait pod web-1 web-2 --for=condition=Ready --timeout=$limit
}

lost_claim_is_a_problem() {
	local said
	for _ in $(seq 100); do
		said=$(bonsai status || true)
		[[ $said == *"the claim has lost its data"* ]] && break
		sleep 3
	done
	[[ $said == *"the claim has lost its data"*"delete pvc data"* ]] || wrong "status does not say that the claim has lost its data: $said"
	k delete pvc data --wait=false
	k delete pod keeper
	k wait pvc/data --for=delete --timeout=$limit
	k apply -f "$work/pods.yaml"
	pods_are_ready
}

# systemd kills the rest of a unit when its main process ends. The daemon has a scope of its own then.
outlives_its_unit() {
	bonsai stop
	systemd-run --user --wait --pipe -E BONSAI_WAIT_SCALE="$BONSAI_WAIT_SCALE" "$(command -v bonsai)" start
	systemctl --user list-units --no-legend 'bonsai-*.scope' | grep -q bonsai- || wrong "the daemon has no scope of its own"
	status_is_good
}

# The guardian is in the daemon's scope, outlives the daemon, and starts the next one there.
a_killed_daemon_comes_back() {
	local before
	before=$(daemon_pid)
	kill -9 "$before"
	for _ in $(seq 120); do
		[ "$(daemon_pid)" != "$before" ] && bonsai status >/dev/null 2>&1 && break
		sleep 5
	done
	status_is_good
	bonsai status -o json | tr -d ' \n' | grep -q '"restarts":{"count":[1-9]' || wrong "status does not count the restart"
	systemctl --user list-units --no-legend 'bonsai-*.scope' | grep -q bonsai- || wrong "the restarted daemon is in no scope"
}

daemon_pid() { sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' ~/.bonsai/clusters/bonsai/daemon.json; }

# terminate-session kills a session with everything in it, as KillUserProcesses=yes does at a logout. A user who lingers has
# a systemd that can own the daemon. Only root may turn that on here, so a container does it.
outlives_its_session() {
	local session
	bonsai stop
	docker run --rm -v /var/lib/systemd:/systemd "$image" sh -c "mkdir -p /systemd/linger && touch /systemd/linger/$(id -un)"
	ssh-keygen -q -t ed25519 -N '' -f "$work/key"
	cat "$work/key.pub" >>~/.ssh/authorized_keys
	session=$(ssh -i "$work/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR localhost \
		"BONSAI_WAIT_SCALE=$BONSAI_WAIT_SCALE $(command -v bonsai) start >&2 && echo \$XDG_SESSION_ID")
	loginctl terminate-session "$session" 2>/dev/null || true # without processes it has ended already
	docker run --rm -v /var/lib/systemd:/systemd "$image" rm "/systemd/linger/$(id -un)"
	status_is_good
}

# as_root COMMAND...: in the machine itself. Who may use Docker is root.
as_root() { docker run --rm --privileged --pid=host "$image" nsenter -t 1 -m -u -i -n -- "$@"; }

a_checkpoint_brings_everything_back() {
	bonsai checkpoint save proof
	k delete configmap mine
	k delete pod keeper --now
	bonsai checkpoint restore proof
	is "$(k get configmap mine -o jsonpath='{.data.kept}')" yes "the object of before"
	pods_are_ready
	claim_kept_its_data
	bonsai checkpoint delete proof
}

# cgroup_file NODE FILE...: a file of the cgroup of the node's container, which docker calls after it, or with systemd docker-ID.scope.
# With cgroup v2 all files are in one folder; with v1 each controller has one of its own.
cgroup_file() {
	local id name file
	id=$(docker ps -q --no-trunc --filter "label=io.bonsai.node=$1")
	shift
	for name in "$@"; do
		file=$(find /sys/fs/cgroup -maxdepth 4 \( -path "*/$id/$name" -o -path "*-$id.scope/$name" \) -print -quit 2>/dev/null || true)
		[ -z "$file" ] || { echo "$file" && return; }
	done
	wrong "the cgroup of container $id has no file $*"
}

# What the kernel says of all processes of a node.
freezer() { grep -E '^(frozen|[A-Z]+)' "$(cgroup_file "$1" cgroup.events freezer.state)"; }
cpu_used() { head -n 1 "$(cgroup_file "$1" cpu.stat cpuacct.usage)"; }

a_request_wakes_a_paused_cluster() {
	local node used said
	bonsai pause
	for node in bonsai-1 bonsai-2; do
		[[ $(freezer $node) == @("frozen 1"|FROZEN) ]] || wrong "the processes of $node are not frozen: $(freezer $node)"
	done
	used=$(cpu_used bonsai-2)
	sleep 5
	is "$(cpu_used bonsai-2)" "$used" "what a node has used of processors after five more seconds of a pause"
	said=$(bonsai status || true)
	[[ $said == *Paused* ]] || wrong "status of a paused cluster says: $said"

	is "$(k get configmap mine -o jsonpath='{.data.kept}')" yes "what the request gets that wakes the cluster"
	for node in bonsai-1 bonsai-2; do
		[[ $(freezer $node) == @("frozen 0"|THAWED) ]] || wrong "$node after a request: $(freezer $node)"
	done
	status_is_good
	pods_are_ready
	is "$(kept)" "$before" "identity of pods and objects after a pause"
	service_works

	bonsai pause
	bonsai unpause
	[[ $(freezer bonsai-1) == @("frozen 0"|THAWED) ]] || wrong "bonsai-1 after unpause: $(freezer bonsai-1)"
	status_is_good
}

# The containers end with the engine, and it starts them again.
survives_the_engine() {
	as_root systemd-run --quiet --no-block systemctl restart docker
	for _ in $(seq 120); do
		sleep 2
		docker info >/dev/null 2>&1 && [ "$(docker ps -q --filter label=io.bonsai.node | wc -l)" = 2 ] && break
	done
	k wait pod web-1 --for=jsonpath='{.status.containerStatuses[0].restartCount}'="$(($1 + 1))" --timeout=$limit
	pods_are_ready
	status_is_good
	service_works
}

restarts_of_web_1() { k get pod web-1 -o jsonpath='{.status.containerStatuses[0].restartCount}'; }

# An hour forward and back, as after a sleep, or when time is set at last.
survives_the_clock() {
	as_root date -s "@$(($(date +%s) + 3600))"
	status_is_good
	k create configmap later
	names_work
	as_root date -s "@$(($(date +%s) - 3600))"
	status_is_good
	k delete configmap later
	pods_are_ready
	names_work
}

# Somebody who lingers has a systemd from the boot on.
autostart_is_enabled() {
	docker run --rm -v /var/lib/systemd:/systemd "$image" sh -c "mkdir -p /systemd/linger && touch /systemd/linger/$(id -un)"
	bonsai autostart enable
	bonsai autostart status
	# For machines that are emulated. The unit has the variables that people set, and this one is for tests.
	mkdir -p ~/.config/systemd/user/bonsai.service.d
	printf '[Service]\nEnvironment=BONSAI_WAIT_SCALE=%s\n' "$BONSAI_WAIT_SCALE" >~/.config/systemd/user/bonsai.service.d/scale.conf
	kept >"$work/kept"
	sync
}

# The machine lost its power, and nobody has typed anything since.
comes_back_after_a_reboot() {
	for _ in $(seq 200); do
		bonsai status >/dev/null 2>&1 && break
		sleep 3
	done
	status_is_good
	pods_are_ready
	is "$(kept)" "$(cat "$work/kept")" "identity of pods and objects"
	claim_kept_its_data
	service_works
	names_work
}

autostart_is_disabled() {
	bonsai autostart disable
	rm -r ~/.config/systemd/user/bonsai.service.d
	# The daemon that runs has a scope of its own, which is transient and no part of autostart.
	is "$(systemctl --user list-unit-files --no-legend 'bonsai*' | grep -vc transient)" 0 "number of units left"
	docker run --rm -v /var/lib/systemd:/systemd "$image" rm "/systemd/linger/$(id -un)"
}

nothing_is_left() {
	local kind
	bonsai delete
	is "$(docker ps -aq --filter label=io.bonsai.cluster | wc -l)" 0 "number of containers left"
	for kind in network volume; do
		is "$(docker $kind ls -q --filter label=io.bonsai.cluster | wc -l)" 0 "number of ${kind}s left"
	done
	is "$(pgrep -c -u "$(id -u)" -x 'bonsai|guardian' || true)" 0 "number of bonsai processes left"
	is "$(ls -A ~/.bonsai/clusters 2>/dev/null)" "" "content of the state folder"
	cmp ~/.kube/config "$work/kubeconfig"
	is "$(loops_in_use)" 0 "number of loop devices left"
	# Where bonsai puts sockets if the path of the state folder is too long for them.
	is "$(find /tmp -maxdepth 1 -type d -name "bonsai-*" | wc -l)" 0 "number of folders left in /tmp"
}

# shellcheck disable=SC1091
echo "$(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), Docker $(docker version -f '{{.Server.Version}}'), user $(id -un)"
if [ "${1:-}" = rebooted ]; then
	step "a machine that lost its power brings everything back" comes_back_after_a_reboot
	step "autostart is disabled" autostart_is_disabled
	step "loop devices in a privileged pod" loop_devices_work
	step "delete leaves nothing" nothing_is_left
	echo "all steps after the reboot passed in $(seconds_since "$begun")"
	exit
fi
rm -rf "$work"
mkdir -p "$work"
foreign_kubeconfig
step "version" bonsai version
step "start, two nodes" bonsai start --nodes 2
step "status" status_is_good
optional "kubeconfig" kubeconfig_leads_here
step "both nodes are ready" nodes_are_ready
step "an image is made" make_image
step "image load from the Docker engine" load_from_engine
optional "image load from an archive" load_from_archive
step "a pod on each node" run_pods
optional "exec" exec_works
optional "pod to pod, both directions" pods_reach_each_other
optional "Service by cluster IP, from both nodes" service_works
optional "names from both nodes" names_work
step "a claim" claim_is_bound
optional "pods with user namespaces" user_namespaces_work
optional "logs of a pod and of a kubelet" logs_work
optional "ssh" ssh_works
before=$(kept)
optional "a node is added, changed, stopped, started and deleted" nodes_come_and_go
optional "a file says what the cluster should be" a_file_says_what_should_be
together \
	"stop ends every process" stop_keeps_everything \
	"start brings everything back" started_again_with_everything \
	"names again" names_work \
	"the claim kept its data" claim_kept_its_data
optional "mounts and manifests in a file" mounts_and_manifests_are_in_a_file
optional "a checkpoint brings back what was deleted" a_checkpoint_brings_everything_back
optional "pause freezes the nodes, and a request wakes them" a_request_wakes_a_paused_cluster
optional "the engine restarts" survives_the_engine "$(restarts_of_web_1)"
optional "the clock goes an hour forward, and back" survives_the_clock
optional "the control plane outlives its unit" outlives_its_unit
optional "a killed control plane comes back" a_killed_daemon_comes_back
optional "the control plane outlives its session" outlives_its_session
together \
	"docker system prune with the filter spares a stopped cluster" prune_spares_the_label \
	"status and start say what a prune has taken" prune_is_reported \
	"a claim that lost its data is a problem, and can be made again" lost_claim_is_a_problem \
	"the claim again" claim_is_bound
step "status" status_is_good
optional "autostart is enabled, for a loss of power" autostart_is_enabled
echo "all steps passed in $(seconds_since "$begun")"
