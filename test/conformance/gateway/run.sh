#!/usr/bin/env bash
# run.sh - runs upstream's conformance tests of Gateway API on a cluster of its own: builds the tests and the images that they
# start, starts two nodes with the addon, runs the tests, deletes the cluster. "make conformance-gateway" calls it, with
# bin/bonsai built. Settings are variables of the environment; docs/conformance.md explains them:
#
#   FOCUS       a regular expression on the short names of tests (HTTPRouteWeight)
#   KEEP=1      keep the cluster
#   START_ARGS  more flags of "bonsai start"
#
# Exit status: 0 if every test passed or was skipped, 1 if one failed, 2 if the run itself broke, 130 if it was interrupted.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

here=$KIT/gateway
cluster=conformance-gateway
built=$OUT/gateway # programs and images of this suite
export BONSAI_HOME=$OUT/home-gateway KUBECONFIG=$OUT/kubeconfig-gateway
report=$OUT/report-gateway
[[ -z ${FOCUS:-} ]] || report+=-selected
suite='' interrupted=''

# The daemon must not inherit the lock.
bonsai() { "$ROOT/bin/bonsai" "$1" -p "$cluster" "${@:2}" 9>&-; }

# programs: the suite, what its backends run, and the program that makes images of them.
programs() {
	renew "$built" gateway/go.mod gateway/go.sum gateway/run.sh lib.sh ../coredns/go.mod ../coredns/cmd/gatewaydns/main.go cmd/archive/main.go
	mkdir -p "$built/bin" "$built/images"
	say "compiling the tests"
	(cd "$here" && go test -c -o "$built/bin/suite" .)
	[[ -e $built/bin/archive ]] || (cd "$KIT" && go build -o "$built/bin/archive" ./cmd/archive)
	[[ -e $built/bin/echo-basic ]] ||
		(cd "$here" && go build -ldflags '-s -w' -o "$built/bin/echo-basic" sigs.k8s.io/gateway-api/conformance/echo-basic)
	[[ -e $built/bin/coredns ]] || (cd "$ROOT/test/coredns" && go build -ldflags '-s -w' -o "$built/bin/coredns" ./cmd/gatewaydns)
}

# images: every image that the suite's manifests name, from its own source and from CoreDNS's.
images() {
	local source reference
	source=$(cd "$here" && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api/conformance)
	grep -rhoE 'image: *[^ ]+' "$source/base" "$source/tests" --include '*.yaml' | sed 's/image: *//' | sort -u >"$built/references"
	while read -r reference; do
		case $reference in
		*/echo-basic:*) image "$reference" echo-basic 'USER 65532:65532' ;;
		*/coredns:*) image "$reference" coredns ;;
		*) die "nobody here knows how to build $reference" ;;
		esac
	done <"$built/references"
}

# image REFERENCE PROGRAM [INSTRUCTION...]: an archive of an image that has a program and nothing else, and starts it.
image() {
	local tar dir=$built/root-$2
	tar=$built/images/$(basename "${1//:/-}").tar
	[[ ! -e $tar ]] || return 0
	mkdir -p "$dir"
	cp "$built/bin/$2" "$dir/$2"
	tar -C "$dir" --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -c . |
		"$built/bin/archive" "$tar.new" "$1" "ENTRYPOINT [\"/$2\"]" "${@:3}"
	mv "$tar.new" "$tar"
}

start() {
	[[ ! -d $BONSAI_HOME ]] || bonsai delete >/dev/null 2>&1 || true # what a run left behind that was killed
	# Unquoted on purpose: flags.
	# shellcheck disable=SC2086
	bonsai start --nodes 2 ${START_ARGS:-}
	bonsai addons enable gateway
	local archive
	for archive in "$built"/images/*.tar; do
		bonsai image load "$archive" >/dev/null
	done
}

# Whatever happens, nothing is left behind.
finish() {
	local code=$?
	trap '' INT TERM HUP
	if [[ -n ${KEEP:-} ]]; then
		say "the cluster is kept: BONSAI_HOME=$BONSAI_HOME KUBECONFIG=$KUBECONFIG bin/bonsai status -p $cluster"
	else
		bonsai delete >/dev/null || true
	fi
	exit "$code"
}

interrupt() {
	interrupted=1
	[[ -n $suite ]] || exit 130
	kill "$suite" 2>/dev/null || true
}

# The environment has the proxies of this machine, and nodes are not behind one.
tests() {
	local code=0
	rm -rf "$report"
	mkdir -p "$report"
	env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy -u ALL_PROXY -u all_proxy \
		"$built/bin/suite" -test.run '^TestConformance$' -test.v -test.timeout 2h -cluster "$KUBECONFIG" -report "$report" \
		-release "$("$ROOT/bin/bonsai" version | head -1)" -focus "${FOCUS:-}" >"$report/suite.log" 9>&- &
	suite=$!
	wait "$suite" || code=$?
	[[ -z $interrupted ]] || exit 130
	[[ -s $report/result.txt ]] || {
		tail -30 "$report/suite.log" >&2
		die "the suite did not begin; see $report/suite.log"
	}
	say "the results are in $report"
	tail -1 "$report/result.txt"
	[[ $code = 0 ]] || exit 1
}

# One command to the end, so that a change of this file during a run changes nothing.
main() {
	[[ -x $ROOT/bin/bonsai ]] || die "bin/bonsai is missing: run make conformance-gateway"
	mkdir -p "$OUT"
	exec 9>"$OUT/lock-gateway"
	flock -n 9 || die "another run uses $built"
	programs
	images
	trap finish EXIT
	trap interrupt INT TERM HUP
	start
	tests
	exit
}

main; exit
