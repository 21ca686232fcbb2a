#!/usr/bin/env bash
# run.sh [PACKAGE...] - runs controller-runtime's own suites on bonsai: a copy of the release that go.mod names, in which the tests
# import bonsaitest/envtest in place of controller-runtime's envtest, and nothing else is changed. "make controller-runtime" calls
# it, with bin/bonsai built. PACKAGEs are folders below pkg; without any, all that start an API server are run. Settings are
# variables of the environment:
#
#   FOCUS   a regular expression on the texts of specs
#   KEEP=1  keep the copy and the clusters of failed suites
#
# Each suite has a cluster of its own, as on envtest. Left out is client/apiutil, which downloads an API server of 2023 to test
# against. Exit status: 0 if every spec passed, 1 if one failed, 2 if the run itself broke.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/build/controller-runtime
export CGO_ENABLED=0 BONSAI_BIN=${BONSAI_BIN:-$root/bin/bonsai} BONSAI_HOME=$out/home KUBECONFIG=$out/kubeconfig

die() {
	echo "controller-runtime: $*" >&2
	exit 2
}

[[ -x $BONSAI_BIN ]] || die "$BONSAI_BIN is missing: run make first"
rm -rf "$out/source" "$out/logs"
mkdir -p "$out/logs"
cd "$here"
go mod download sigs.k8s.io/controller-runtime
release=$(go list -m -f '{{.Version}}' sigs.k8s.io/controller-runtime)
cp -r "$(go list -m -f '{{.Dir}}' sigs.k8s.io/controller-runtime)" "$out/source"
chmod -R u+w "$out/source"

cd "$out/source"
export GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false} -mod=mod" # go.mod gets one more module
go mod edit -require bonsai/bootstrap/bonsaitest@v0.0.0 -replace bonsai/bootstrap/bonsaitest="$root/bootstrap/bonsaitest"
grep -rl --include '*_test.go' '"sigs.k8s.io/controller-runtime/pkg/envtest"' pkg | grep -v '^pkg/envtest/' |
	xargs sed -i 's|"sigs.k8s.io/controller-runtime/pkg/envtest"|"bonsai/bootstrap/bonsaitest/envtest"|'

packages=("$@")
if [[ ${#packages[@]} == 0 ]]; then
	mapfile -t packages < <(grep -rl --include '*_test.go' '"bonsai/bootstrap/bonsaitest/envtest"' pkg |
		sed 's|^pkg/||; s|/[^/]*$||' | sort -u | grep -v '^client/apiutil$')
fi

# Whatever happens, nothing is left behind but what was asked for.
finish() {
	local code=$?
	[[ -n ${KEEP:-} ]] || "$BONSAI_BIN" delete --all >/dev/null 2>&1 || true
	[[ -n ${KEEP:-} ]] || rm -rf "$out/source" "$BONSAI_HOME"
	exit "$code"
}
trap finish EXIT
[[ -z ${KEEP:-} ]] || export BONSAI_TEST_KEEP=1

echo "controller-runtime $release on $("$BONSAI_BIN" version | head -1)"
printf '%-32s %8s %8s %8s %10s %10s\n' suite passed failed skipped start all
failed=0
for package in "${packages[@]}"; do
	log=$out/logs/${package//\//-}.log
	began=$SECONDS
	status=0
	go test -count=1 -timeout 15m "./pkg/$package" -ginkgo.v -ginkgo.no-color ${FOCUS:+-ginkgo.focus="$FOCUS"} >"$log" 2>&1 || status=1
	# A suite whose result is missing has not come to its end.
	read -r passed failures skipped < <(sed -nE 's/.*-- ([0-9]+) Passed \| ([0-9]+) Failed \| [0-9]+ Pending \| ([0-9]+) Skipped.*/\1 \2 \3/p' "$log" |
		awk '{ p += $1; f += $2; s += $3 } END { if (NR) print p, f, s; else print "-", "-", "-" }')
	start=$(sed -nE 's/^\[BeforeSuite\] PASSED \[([0-9.]+) seconds\].*/\1s/p' "$log" | head -1)
	printf '%-32s %8s %8s %8s %10s %9ds\n' "$package" "$passed" "$failures" "$skipped" "${start:--}" $((SECONDS - began))
	if [[ $status != 0 ]]; then
		failed=1
		grep -E '^\s*\[FAIL\]|^FAIL|panic:|cannot|: undefined|\.go:[0-9]+:[0-9]+:' "$log" | head -20 | sed 's/^/  /'
	fi
done
left=$("$BONSAI_BIN" profile list -o json 2>/dev/null || true)
if [[ -z ${KEEP:-} && $left == *'"name"'* ]]; then
	echo "the suites left clusters: $left"
	failed=1
fi
echo "logs are in $out/logs"
exit "$failed"
