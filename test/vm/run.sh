#!/usr/bin/env bash
# run.sh SUITE - proves bin/bonsai in a Debian machine of that release (trixie, bookworm), as an unprivileged
# user. The test is in inside.sh; the machine is in vm.sh. VM_KEEP=1 leaves the machine running
# afterwards, to inspect it with: VM_SUITE=SUITE test/vm/vm.sh run-as-dev ... BONSAI=FILE proves another executable.
# STEPS=REGEXP runs some of the steps; see inside.sh. What happens after a reboot is run if it is prepared.
set -euo pipefail

[ $# = 1 ] || { sed -n '2,/^set /{/^#/p}' "$0" >&2; exit 2; }
export VM_SUITE=$1
here=$(dirname "$(readlink -f "$0")")
bonsai=${BONSAI:-$here/../../bin/bonsai}
[ -x "$bonsai" ] || { echo "vm: $bonsai is missing; run make first" >&2; exit 1; }

vm() { "$here/vm.sh" "$@"; }
finish() { [ -n "${VM_KEEP:-}" ] || vm down; }

vm down
trap finish EXIT
trap 'exit 130' INT TERM
vm up
began=$SECONDS
vm put "$bonsai" /usr/local/bin/bonsai
vm put "$here/inside.sh" /usr/local/bin/inside.sh
rebooted() {
	[ -z "${STEPS:-}" ] || vm run-as-dev '[ -e ~/proof/kept ]' || return 0
	vm power-cycle && vm run-as-dev /usr/local/bin/inside.sh rebooted
}
if vm run-as-dev env STEPS="${STEPS:-}" /usr/local/bin/inside.sh && rebooted; then
	echo "PASS Debian $VM_SUITE in $((SECONDS - began)) s"
else
	code=$?
	echo "FAIL Debian $VM_SUITE after $((SECONDS - began)) s"
	exit "$code"
fi
