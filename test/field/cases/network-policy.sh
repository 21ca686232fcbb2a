# a NetworkPolicy blocks what it says, and one that nothing enforces is reported
# https://github.com/kubernetes-sigs/kind/issues/3705
cluster 1
pod web sh -c 'echo yes >/tmp/index.html; exec httpd -f -p 8080 -h /tmp'
pod client sleep 9999
ready web client
address=$(k get pod web -o jsonpath='{.status.podIP}')
reaches() { k exec client -- timeout 2 wget -qO- "http://$address:8080/"; }
blocked() { ! reaches; }
within 30 reaches
cat >deny.yaml <<-END
	apiVersion: networking.k8s.io/v1
	kind: NetworkPolicy
	metadata: {name: deny}
	spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
END
silent 'warning' k apply -f deny.yaml
within 30 blocked
k delete -f deny.yaml
within 30 reaches
b addons disable network-policy
says 'warning.*not enforced' k apply -f deny.yaml
problem 30 'polic.*not enforced'
reaches
