#!/usr/bin/env bash
# run.sh - runs upstream's end-to-end tests on a cluster of its own: builds the programs and the images, starts two nodes,
# loads the images, serves them to tests that always pull, runs the tests, deletes the cluster. "make conformance" calls it,
# with bin/bonsai built. Settings are variables of the environment; docs/conformance.md explains them:
#
#   SUITE       which tests: conformance, quick, node, dns, netpol, loadbalancer, storage
#   FOCUS SKIP  regular expressions on the names of tests, within the suite
#   PROCS       how many tests run at a time (4; in a machine 2)
#   FRESH=1     do not continue a run that was interrupted
#   KEEP=1      keep the cluster
#   KUBERNETES  a minor version that the cluster emulates, such as 1.36; of the tests those that are in its list, too
#   VM          the Debian release (trixie, bookworm) of a virtual machine in which the cluster runs; else it runs here
#   START_ARGS  more flags of "bonsai start"
#   EXTRA       more flags of e2e.test
#
# Exit status: 0 if every test passed, 1 if one failed, 2 if the run itself broke, 130 if it was interrupted.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite=${SUITE:-conformance}
cluster=conformance
export BONSAI_HOME=$OUT/home KUBECONFIG=$OUT/kubeconfig
# Each selection has a report folder of its own, so that a look at one test does not replace the results of a whole run.
report=$OUT/report
[[ $suite = conformance ]] || report+=-$suite
[[ -z ${KUBERNETES:-} ]] || report+=-$KUBERNETES
[[ -z ${VM:-} ]] || report+=-$VM
[[ -z ${FOCUS:-}${SKIP:-} ]] || report+=-selected
registry=''

if [[ -n ${VM:-} ]]; then
	# Emulation is up to 40 times slower than the machines for which the limits on bonsai's waits are chosen.
	bonsai() { vm run-as-dev env BONSAI_WAIT_SCALE=30 bonsai "$1" -p "$cluster" "${@:2}" 9>&-; }
fi

vm() { "$ROOT/test/vm/vm.sh" "$@"; }

# end: nothing is left behind.
end() {
	[[ -z $registry ]] || kill "$registry" 2>/dev/null || true
	if [[ -z ${VM:-} ]]; then
		leave
	elif [[ -n ${KEEP:-} ]]; then
		say "the machine is kept: VM_SUITE=$VM test/vm/vm.sh run-as-dev bonsai status"
	else
		vm down
	fi
}

# prepare: builds what is missing, and selects the tests.
prepare() {
	"$KIT/programs.sh"
	"$KIT/images.sh"
	local build known=''
	[[ -z ${KUBERNETES:-} ]] || known=$(tests_of "$KUBERNETES")
	build=$(cat "$ROOT/bin/bonsai" "$BIN/e2e.test" "$IMAGES/.made-from" | sha256sum | cut -c1-16)
	"$BIN/suite" plan -bin "$BIN" -report "$report" -suite "$suite" -focus "${FOCUS:-}" -skip "${SKIP:-}" \
		-list "$KIT/quick.txt" ${known:+-known "$known"} -storage-driver "$KIT/storage-driver.yaml" ${FRESH:+-fresh} -of "$build ${START_ARGS:-}"
}

# tests_of MINOR: upstream's list of the conformance tests of that minor's newest release.
tests_of() {
	local dir
	dir=$(cd "$OUT" && go mod download -json "k8s.io/kubernetes@v$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	[[ -n $dir ]] || die "the module of Kubernetes $1 cannot be had"
	echo "$dir/test/conformance/testdata/conformance.yaml"
}

start() {
	if [[ -n ${VM:-} ]]; then boot; else leftovers; fi
	# Unquoted on purpose: flags.
	# shellcheck disable=SC2086
	bonsai start --nodes 2 ${KUBERNETES:+--kubernetes-version "$KUBERNETES"} ${START_ARGS:-}
	say "loading the images"
	local archive
	for archive in "$IMAGES"/*.tar; do
		[[ -z ${VM:-} ]] || vm put "$archive" "$archive"
		bonsai image load "$archive" >/dev/null
	done
	[[ -z ${VM:-} ]] || reach
}

# boot: a machine from a clean disk. The tests themselves run here, where they take less time: their timeouts are those
# of machines that are not emulated.
boot() {
	vm down
	vm up
	vm put "$ROOT/bin/bonsai" /usr/local/bin/bonsai
	vm put "$BIN/registry" "$BIN/registry"
}

# reach: the API server in the machine, from here.
reach() {
	local port
	bonsai kubectl -- config view --raw --minify --flatten >"$KUBECONFIG"
	port=$(sed -n 's|^ *server: https://127.0.0.1:||p' "$KUBECONFIG")
	port=$(vm forward "$port")
	sed -i "s|^\( *server: https://127.0.0.1\):.*|\1:$port|" "$KUBECONFIG"
	chmod 600 "$KUBECONFIG"
}

# serve: some tests always pull, of the conformance tests two. Nodes reach the machine by the gateway of their network.
serve() {
	local gateway address served
	gateway=$(bonsai ssh 1 -- ip route | awk '$1 == "default" { print $3 }')
	# In the machine it ends with the machine.
	exec {served}< <(exec ${VM:+"$ROOT/test/vm/vm.sh" run-as-dev} "$BIN/registry" "$gateway:0" "$IMAGES"/*.tar 9>&-)
	registry=$!
	read -r address <&"$served" || die "the registry did not start"
	bonsai start --registry-mirror "registry.k8s.io=http://$address" >"$WORK/mirror.log" 2>&1 || {
		cat "$WORK/mirror.log" >&2
		die "the nodes did not get the registry"
	}
}

tests() {
	local flags=() code=0 procs=4
	[[ -z ${VM:-} ]] || procs=2
	[[ $suite != storage ]] || flags+=("--storage.testdriver=$KIT/storage-driver.yaml")
	# shellcheck disable=SC2086
	"$BIN/suite" run -bin "$BIN" -report "$report" -kubeconfig "$KUBECONFIG" -procs "${PROCS:-$procs}" -- \
		"${flags[@]}" ${EXTRA:-} &
	child=$!
	wait "$child" || code=$?
	if [[ -n $interrupted ]]; then # a signal ends "wait" early
		code=0
		wait "$child" || code=$?
	fi
	return "$code"
}

# One command to the end, so that a change of this file during a run changes nothing.
main() {
	[[ -z ${VM:-} ]] || export VM_SUITE=$VM
	begin conformance "$OUT/lock" "$OUT"
	prepare
	trap 'finish end' EXIT
	trap interrupt INT TERM HUP
	start
	serve
	tests
	exit
}

main; exit
