#!/usr/bin/env bash
# run.sh - runs upstream's conformance tests of ClusterNetworkPolicy on a cluster of its own: builds the tests and the image that they
# start, starts two nodes, runs the tests, deletes the cluster. "make conformance-clusternetworkpolicy" calls it, with bin/bonsai
# built. Settings are variables of the environment; docs/conformance.md explains them:
#
#   FOCUS       a regular expression on the short names of tests (Baseline)
#   KEEP=1      keep the cluster
#   START_ARGS  more flags of "bonsai start"
#
# Exit status: 0 if every test passed, 1 if one failed, 2 if the run itself broke, 130 if it was interrupted.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

suite_in clusternetworkpolicy conformance-cnp

# programs: the suite, and what its pods run.
programs() {
	suite_programs go.mod go.sum clusternetworkpolicy/cmd/agnhost/main.go
	mkdir -p "$built/root/bin"
	[[ -e $built/root/agnhost ]] || (cd "$here" && go build -ldflags '-s -w' -o "$built/root/agnhost" ./cmd/agnhost)
	[[ -e $built/root/agnhost-upstream ]] ||
		(cd "$KIT" && go build -ldflags '-s -w' -o "$built/root/agnhost-upstream" k8s.io/kubernetes/test/images/agnhost)
}

# images: the one image that the suite's manifests name, from agnhost's source of this version of Kubernetes.
images() {
	local source reference
	source=$(cd "$here" && go list -m -f '{{.Dir}}' sigs.k8s.io/network-policy-api)
	references "$source/conformance/base" >"$built/references"
	ln -sf ../agnhost "$built/root/bin/bash"
	while read -r reference; do
		case $reference in
		*/agnhost:*) suite_image "$reference" "$built/root" 'ENTRYPOINT ["/agnhost"]' 'CMD ["pause"]' ;;
		*) die "nobody here knows how to build $reference" ;;
		esac
	done <"$built/references"
}

# One command to the end, so that a change of this file during a run changes nothing.
suite_run network-policy; exit
