# hostUsers: false, and procMount: Unmasked
# https://github.com/kubernetes-sigs/kind/issues/4178
cluster 1
cat >pods.yaml <<-END
	apiVersion: v1
	kind: PersistentVolumeClaim
	metadata: {name: claim}
	spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
	---
	apiVersion: v1
	kind: Secret
	metadata: {name: secret}
	stringData: {key: value}
	---
	apiVersion: v1
	kind: Pod
	metadata: {name: u}
	spec:
	  hostUsers: false
	  containers:
	  - name: c
	    image: "$BOX"
	    imagePullPolicy: Never
	    command: [sleep, "9999"]
	    volumeMounts: [{name: d, mountPath: /d}, {name: claim, mountPath: /claim}, {name: secret, mountPath: /secret}, {name: host, mountPath: /host}]
	  volumes:
	  - {name: d, emptyDir: {}}
	  - {name: claim, persistentVolumeClaim: {claimName: claim}}
	  - {name: secret, secret: {secretName: secret}}
	  - {name: host, hostPath: {path: /var/field, type: DirectoryOrCreate}}
	---
	apiVersion: v1
	kind: Pod
	metadata: {name: p}
	spec:
	  hostUsers: false
	  containers: [{name: c, image: "$BOX", imagePullPolicy: Never, command: [sleep, "9999"], securityContext: {procMount: Unmasked, capabilities: {add: [SYS_ADMIN]}}}]
END
k apply -f pods.yaml
ready u p
k exec u -- cat /proc/self/uid_map
[ "$(k exec u -- awk 'NR==1{print $2}' /proc/self/uid_map)" != 0 ] || fail "the uid map is the machine's"
k exec u -- sh -c 'echo kept >/claim/f && cat /claim/f && cat /secret/key'
k exec p -- unshare -r true
