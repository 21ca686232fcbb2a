#!/usr/bin/env bash
# run.sh - runs upstream's end-to-end tests on a cluster of its own: builds the programs and the images, starts two nodes,
# loads the images, serves them to tests that always pull, runs the tests, deletes the cluster. "make conformance" calls it,
# with bin/bonsai built. Settings are variables of the environment; docs/conformance.md explains them:
#
#   SUITE       which tests: conformance, quick, node, dns, netpol, loadbalancer, storage
#   FOCUS SKIP  regular expressions on the names of tests, within the suite
#   PROCS       how many tests run at a time (4)
#   FRESH=1     do not continue a run that was interrupted
#   KEEP=1      keep the cluster
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
[[ -z ${FOCUS:-}${SKIP:-} ]] || report+=-selected
child='' registry='' interrupted=''

# bonsai VERB ARGUMENT...: for the cluster of this run. The daemon must not inherit the lock.
bonsai() { "$ROOT/bin/bonsai" "$1" -p "$cluster" "${@:2}" 9>&-; }

# Whatever happens, nothing is left behind.
finish() {
	local code=$?
	trap '' INT TERM HUP
	[[ -z $registry ]] || kill "$registry" 2>/dev/null || true
	if [[ -n ${KEEP:-} ]]; then
		say "the cluster is kept: BONSAI_HOME=$BONSAI_HOME KUBECONFIG=$KUBECONFIG bin/bonsai status -p $cluster"
	else
		bonsai delete >/dev/null || true
	fi
	exit "$code"
}

# The tests end first, and then finish deletes the cluster.
interrupt() {
	interrupted=1
	[[ -n $child ]] || exit 130
	kill "$child" 2>/dev/null || true
}

# prepare: builds what is missing, and selects the tests.
prepare() {
	"$KIT/programs.sh"
	"$KIT/images.sh"
	local build
	build=$(cat "$ROOT/bin/bonsai" "$BIN/e2e.test" "$IMAGES/.made-from" | sha256sum | cut -c1-16)
	"$BIN/suite" plan -bin "$BIN" -report "$report" -suite "$suite" -focus "${FOCUS:-}" -skip "${SKIP:-}" \
		-list "$KIT/quick.txt" -storage-driver "$KIT/storage-driver.yaml" ${FRESH:+-fresh} -of "$build ${START_ARGS:-}"
}

start() {
	if [[ -d $BONSAI_HOME ]]; then
		bonsai delete >/dev/null 2>&1 || true # what a run left behind that was killed
	fi
	# Unquoted on purpose: flags.
	# shellcheck disable=SC2086
	bonsai start --nodes 2 ${START_ARGS:-}
	say "loading the images"
	local archive
	for archive in "$IMAGES"/*.tar; do
		bonsai image load "$archive" >/dev/null
	done
}

# serve: some tests always pull, of the conformance tests two. Nodes reach the machine by the gateway of their network.
serve() {
	local gateway address served
	gateway=$(bonsai ssh 1 -- ip route | awk '$1 == "default" { print $3 }')
	exec {served}< <(exec "$BIN/registry" "$gateway:0" "$IMAGES"/*.tar 9>&-)
	registry=$!
	read -r address <&"$served" || die "the registry did not start"
	bonsai start --registry-mirror "registry.k8s.io=http://$address" >"$WORK/mirror.log" 2>&1 || {
		cat "$WORK/mirror.log" >&2
		die "the nodes did not get the registry"
	}
}

tests() {
	local flags=() code=0
	[[ $suite != storage ]] || flags+=("--storage.testdriver=$KIT/storage-driver.yaml")
	# shellcheck disable=SC2086
	"$BIN/suite" run -bin "$BIN" -report "$report" -kubeconfig "$KUBECONFIG" -procs "${PROCS:-4}" -- \
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
	[[ -x $ROOT/bin/bonsai ]] || die "bin/bonsai is missing: run make conformance"
	mkdir -p "$OUT"
	exec 9>"$OUT/lock"
	flock -n 9 || die "another run uses $OUT"
	prepare
	trap finish EXIT
	trap interrupt INT TERM HUP
	start
	serve
	tests
	exit
}

main; exit
