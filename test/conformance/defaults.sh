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

main() {
	begin conformance-defaults "$dir/lock" "$dir"

	renew "$BIN" go.mod go.sum lib.sh
	local component flags
	flags=$(version_flags)
	for component in kubeadm kube-apiserver kube-controller-manager kube-scheduler; do
		program "$component" "k8s.io/kubernetes/cmd/$component" "$flags"
	done
	program etcd go.etcd.io/etcd/server/v3
	(cd "$KIT" && go build -o "$BIN/" ./cmd/defaults)

	leftovers
	rm -rf "$dir/kubeadm"
	mkdir -m 700 "$dir/kubeadm"
	trap 'finish discard' EXIT
	bonsai start --nodes 1 ${KUBERNETES:+--kubernetes-version "$KUBERNETES"} >&2 || die "the cluster did not start"
	bonsai addons enable network-policy >&2 # it is; this waits for the resource definition that it installs
	"$BIN/defaults" -bin "$BIN" -dir "$dir/kubeadm" -version "$VERSION" -emulate "${KUBERNETES:-}" \
		-kubeconfig "$KUBECONFIG" -node "$(bonsai kubectl -- get nodes -o 'jsonpath={.items[0].metadata.name}')" 9>&-
}

main; exit
