#!/usr/bin/env bash
# lib.sh NAME FILE - runs one case; used by run.sh. The words that cases are written with are defined here.
# Exit status 77: the case cannot run here, and the last line of the output says what is missing.
set -Eeuo pipefail

NAME=$1
WORK=$FIELD_WORK/$NAME
mkdir -p "$WORK/bin"
ln -sf "$FIELD_EXE" "$WORK/bin/bonsai"
export PATH=$WORK/bin:$PATH
export BONSAI_HOME=$WORK/home KUBECONFIG=$WORK/kubeconfig
BOX=bonsai-field/box:1
P=f-$NAME # the case's cluster

deferred=()
# defer COMMAND: runs the shell command at the end of the case, last first.
defer() { deferred+=("$1"); }
finish() {
	local code=$? i home
	set +e
	trap - ERR
	for ((i = ${#deferred[@]} - 1; i >= 0; i--)); do eval "${deferred[i]}"; done
	for home in "$WORK"/home*; do
		[ -d "$home" ] && BONSAI_HOME=$home timeout 120 bonsai delete --all >/dev/null 2>&1
	done
	cd / && rm -rf "$WORK"
	exit "$code"
}
trap finish EXIT
trap 'echo "line $LINENO: $BASH_COMMAND: exit code $?"' ERR

b() { bonsai "$1" -p "$P" "${@:2}"; }
k() { bonsai kubectl -p "$P" -- "$@"; }
node() { k get node "$P-$1" -o jsonpath='{.status.addresses[0].address}'; }

# fail WHY...
fail() { echo "FAIL: $*"; exit 1; }
# skip WHAT: it is missing here.
skip() { echo "needs $*"; exit 77; }
need_root() { [ "$(id -u)" = 0 ] || skip root; }
# need COMMAND...
need() {
	local c
	for c in "$@"; do command -v "$c" >/dev/null || skip "the program $c"; done
}

# cluster NODES [FLAG...]: starts the case's cluster with the test image.
cluster() {
	b start --nodes "$1" "${@:2}"
	[ "$1" = 0 ] || b image load "$BOX"
}
# pod NAME COMMAND...: a pod of the test image.
pod() { k run "$1" --image=$BOX --image-pull-policy=Never --labels="app=$1" --command -- "${@:2}"; }
ready() { k wait --for=condition=Ready --timeout=60s "${@/#/pod/}"; }

# exits CODE COMMAND...: the command must exit with that code.
exits() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" = "$want" ] || fail "$* exited with $got, not with $want"
}
# within SECONDS COMMAND...: tries the command until it succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until ("$@") >"$WORK/try" 2>&1; do # in a subshell, which fail ends
		[ $SECONDS -lt $end ] || { cat "$WORK/try"; fail "still failing at the limit: $*"; }
		sleep 0.5
	done
	cat "$WORK/try"
}
# says PATTERN COMMAND...: the command's output (both streams) must match the extended regular expression, whatever
# the exit code.
says() {
	local pattern=$1 out
	shift
	out=$("$@" 2>&1) || true
	printf '%s\n' "$out"
	grep -Eqi -e "$pattern" <<<"$out" || fail "$* does not say: $pattern"
}
# silent PATTERN COMMAND...: its output must not match.
silent() {
	local pattern=$1 out
	shift
	out=$("$@" 2>&1) || true
	printf '%s\n' "$out"
	! grep -Eqi -e "$pattern" <<<"$out" || fail "$* says: $pattern"
}
# problem SECONDS PATTERN: "bonsai status" must come to say it; the pattern is one for grep -Ei, over the lines of a problem.
problem() { within "$1" status_says "$2"; }
status_says() { { b status 2>&1 || true; } | tee /dev/stderr | tr '\n' ' ' | grep -Eqi -e "$1"; }

cd "$WORK"
# shellcheck source=/dev/null
. "$2"
