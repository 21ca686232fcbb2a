# addresses and ports that NodeLocal DNSCache and others take
# https://github.com/kubernetes/kops/issues/9245, https://github.com/bottlerocket-os/bottlerocket/issues/3711
cluster 1
cat >pod.yaml <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: local-dns}
	spec:
	  hostNetwork: true
	  containers:
	  - {name: address, image: "$BOX", imagePullPolicy: Never, command: [sh, -c, "ip addr add 169.254.20.10/32 dev lo && exec httpd -f -p 169.254.20.10:53"], securityContext: {capabilities: {add: [NET_ADMIN]}}}
	  - {name: metrics, image: "$BOX", imagePullPolicy: Never, command: [httpd, -f, -p, "9253"]}
	  - {name: prometheus, image: "$BOX", imagePullPolicy: Never, command: [httpd, -f, -p, "9153"]}
	  - {name: health, image: "$BOX", imagePullPolicy: Never, command: [httpd, -f, -p, "8080"]}
END
k apply -f pod.yaml
ready local-dns
sleep 3
[ "$(k get pod local-dns -o jsonpath='{.status.containerStatuses[*].restartCount}')" = "0 0 0 0" ] || { k logs local-dns --all-containers; fail "a port is taken"; }
