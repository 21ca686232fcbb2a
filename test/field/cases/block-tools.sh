# loop devices and mount helpers
# https://github.com/kubernetes-sigs/kind/issues/1248, https://github.com/kubernetes-csi/csi-driver-host-path/pull/109
[ -e /dev/loop-control ] || skip "loop devices in the kernel"
cluster 1
before=$(losetup -a 2>/dev/null | wc -l || true)
k run loop --image=$BOX --image-pull-policy=Never --privileged --command -- sleep 9999
cat >nfs.yaml <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: nfs}
	spec:
	  containers: [{name: c, image: "$BOX", imagePullPolicy: Never, command: [sleep, "9"], volumeMounts: [{name: n, mountPath: /n}]}]
	  volumes: [{name: n, nfs: {server: 192.0.2.1, path: /x}}]
END
k apply -f nfs.yaml
ready loop
k exec loop -- sh -c 'dd if=/dev/zero of=/i bs=1M count=4 2>/dev/null; n=0; for i in $(seq 12); do losetup -f /i && n=$((n+1)); done; echo $n; [ $n = 12 ]'
problem 90 'mount helper|mount\.nfs|nfs.*helper'
b delete
[ "$(losetup -a 2>/dev/null | wc -l || true)" = "$before" ] || fail "loop devices are left: $(losetup -a)"
