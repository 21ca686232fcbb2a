#!/usr/bin/env bash
# defaults.sh - compares what a cluster of bonsai offers with a control plane that kubeadm configured from the same version
# of Kubernetes. "make conformance-defaults" calls it, with bin/bonsai built; docs/conformance.md explains it.
#
#   KUBERNETES  a minor version that both emulate, such as 1.36
#
# Exit status: 0 if they differ as documented, 1 if not, 2 if the comparison itself broke.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

BIN=$OUT/components
dir=$OUT/defaults
cluster=defaults
export BONSAI_HOME=$dir/home KUBECONFIG=$dir/kubeconfig

# The daemon must not inherit the lock.
bonsai() { "$ROOT/bin/bonsai" "$1" -p "$cluster" "${@:2}" 9>&-; }

finish() {
	local code=$?
	trap '' INT TERM HUP
	bonsai delete >/dev/null || true
	exit "$code"
}

main() {
	[[ -x $ROOT/bin/bonsai ]] || die "bin/bonsai is missing: run make conformance-defaults"
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock -n 9 || die "another run uses $dir"

	renew "$BIN" go.mod go.sum lib.sh
	local component flags
	flags=$(version_flags)
	for component in kubeadm kube-apiserver kube-controller-manager kube-scheduler; do
		program "$component" "k8s.io/kubernetes/cmd/$component" "$flags"
	done
	program etcd go.etcd.io/etcd/server/v3
	(cd "$KIT" && go build -o "$BIN/" ./cmd/defaults)

	if [[ -d $BONSAI_HOME ]]; then
		bonsai delete >/dev/null 2>&1 || true # what a run left behind that was killed
	fi
	rm -rf "$dir/kubeadm"
	mkdir -m 700 "$dir/kubeadm"
	trap finish EXIT
	bonsai start --nodes 1 ${KUBERNETES:+--kubernetes-version "$KUBERNETES"} >&2 || die "the cluster did not start"
	bonsai addons enable network-policy >&2 # it is; this waits for the resource definition that it installs
	"$BIN/defaults" -bin "$BIN" -dir "$dir/kubeadm" -version "$VERSION" -emulate "${KUBERNETES:-}" \
		-kubeconfig "$KUBECONFIG" -node "$(bonsai kubectl -- get nodes -o 'jsonpath={.items[0].metadata.name}')" 9>&-
}

main; exit
