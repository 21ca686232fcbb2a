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

suite_in gateway conformance-gateway

# programs: the suite, and what its backends run.
programs() {
	suite_programs ../coredns/go.mod ../coredns/cmd/gatewaydns/main.go
	[[ -e $BIN/echo-basic ]] ||
		(cd "$here" && go build -ldflags '-s -w' -o "$BIN/echo-basic" sigs.k8s.io/gateway-api/conformance/echo-basic)
	[[ -e $BIN/coredns ]] || (cd "$ROOT/test/coredns" && go build -ldflags '-s -w' -o "$BIN/coredns" ./cmd/gatewaydns)
}

# images: every image that the suite's manifests name, from its own source and from CoreDNS's.
images() {
	local source reference
	source=$(cd "$here" && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api/conformance)
	references "$source/base" "$source/tests" >"$built/references"
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
	local dir=$built/root-$2
	mkdir -p "$dir"
	cp "$BIN/$2" "$dir/$2"
	suite_image "$1" "$dir" "ENTRYPOINT [\"/$2\"]" "${@:3}"
}

# One command to the end, so that a change of this file during a run changes nothing.
suite_run gateway; exit
