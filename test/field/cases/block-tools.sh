# loop devices and mount helpers
# https://github.com/kubernetes-sigs/kind/issues/1248, https://github.com/kubernetes-csi/csi-driver-host-path/pull/109
[ -e /dev/loop-control ] || skip "loop devices in the kernel"
cluster 1
before=$(losetup -a 2>/dev/null | wc -l || true)
cat >pods.yaml <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: loop} # with the node's /dev, as drivers have it: a container's own has what existed when it began
	spec:
	  containers: [{name: c, image: "$BOX", imagePullPolicy: Never, command: [sleep, "9999"], securityContext: {privileged: true}, volumeMounts: [{name: dev, mountPath: /dev}]}]
	  volumes: [{name: dev, hostPath: {path: /dev}}]
	---
	apiVersion: v1
	kind: Pod
	metadata: {name: nfs}
	spec:
	  containers: [{name: c, image: "$BOX", imagePullPolicy: Never, command: [sleep, "9"], volumeMounts: [{name: nfs, mountPath: /nfs}]}]
	  volumes: [{name: nfs, nfs: {server: 192.0.2.1, path: /x}}]
END
k apply -f pods.yaml
ready loop
# A program may be faster than the agent, which makes the node of a new device: it tries again.
k exec loop -- sh -c 'dd if=/dev/zero of=/i bs=1M count=4 2>/dev/null; n=0; for i in $(seq 40); do [ $n = 12 ] || ! losetup -f /i || n=$((n+1)); done; echo $n; [ $n = 12 ]'
problem 90 'mount helper|mount\.nfs|nfs.*helper'
b delete
[ "$(losetup -a 2>/dev/null | wc -l || true)" = "$before" ] || fail "loop devices are left: $(losetup -a)"
