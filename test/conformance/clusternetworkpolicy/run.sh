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

here=$KIT/clusternetworkpolicy
cluster=conformance-cnp
built=$OUT/clusternetworkpolicy # programs and the image of this suite
export BONSAI_HOME=$OUT/home-clusternetworkpolicy KUBECONFIG=$OUT/kubeconfig-clusternetworkpolicy
report=$OUT/report-clusternetworkpolicy
[[ -z ${FOCUS:-} ]] || report+=-selected
suite='' interrupted=''

# The daemon must not inherit the lock.
bonsai() { "$ROOT/bin/bonsai" "$1" -p "$cluster" "${@:2}" 9>&-; }

# programs: the suite, what its pods run, and the program that makes an image of that.
programs() {
	renew "$built" go.mod go.sum clusternetworkpolicy/go.mod clusternetworkpolicy/go.sum clusternetworkpolicy/run.sh \
		clusternetworkpolicy/cmd/agnhost/main.go lib.sh cmd/archive/main.go
	mkdir -p "$built/bin" "$built/root/bin" "$built/images"
	say "compiling the tests"
	(cd "$here" && go test -c -o "$built/bin/suite" .)
	[[ -e $built/bin/archive ]] || (cd "$KIT" && go build -o "$built/bin/archive" ./cmd/archive)
	[[ -e $built/root/agnhost ]] || (cd "$here" && go build -ldflags '-s -w' -o "$built/root/agnhost" ./cmd/agnhost)
	[[ -e $built/root/agnhost-upstream ]] ||
		(cd "$KIT" && go build -ldflags '-s -w' -o "$built/root/agnhost-upstream" k8s.io/kubernetes/test/images/agnhost)
}

# images: the one image that the suite's manifests name, from agnhost's source of this version of Kubernetes.
images() {
	local source reference tar
	source=$(cd "$here" && go list -m -f '{{.Dir}}' sigs.k8s.io/network-policy-api)
	grep -rhoE 'image: *[^ ]+' "$source/conformance/base" --include '*.yaml' | sed 's/image: *//' | sort -u >"$built/references"
	ln -sf ../agnhost "$built/root/bin/bash"
	while read -r reference; do
		tar=$built/images/$(basename "${reference//:/-}").tar
		case $reference in
		*/agnhost:*) ;;
		*) die "nobody here knows how to build $reference" ;;
		esac
		[[ ! -e $tar ]] || continue
		tar -C "$built/root" --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -c . |
			"$built/bin/archive" "$tar.new" "$reference" 'ENTRYPOINT ["/agnhost"]' 'CMD ["pause"]'
		mv "$tar.new" "$tar"
	done <"$built/references"
}

start() {
	[[ ! -d $BONSAI_HOME ]] || bonsai delete >/dev/null 2>&1 || true # what a run left behind that was killed
	# Unquoted on purpose: flags.
	# shellcheck disable=SC2086
	bonsai start --nodes 2 ${START_ARGS:-}
	bonsai addons enable network-policy # it is there; this waits until its resource definition is
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
	[[ -x $ROOT/bin/bonsai ]] || die "bin/bonsai is missing: run make conformance-clusternetworkpolicy"
	mkdir -p "$OUT"
	exec 9>"$OUT/lock-clusternetworkpolicy"
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
