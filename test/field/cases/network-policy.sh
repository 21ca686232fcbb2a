# a NetworkPolicy and a ClusterNetworkPolicy block what they say, and one that nothing enforces is reported
# https://github.com/kubernetes-sigs/kind/issues/3705
cluster 1
pod web sh -c 'echo yes >/tmp/index.html; exec httpd -f -p 8080 -h /tmp'
pod client sleep 9999
ready web client
address=$(k get pod web -o jsonpath='{.status.podIP}')
reaches() { k exec client -- timeout 2 wget -qO- "http://$address:8080/"; }
# That something else fails, such as kubectl, is not taken for a policy.
blocked() { k exec client -- true && ! reaches; }
within 30 reaches
cat >deny.yaml <<-END
	apiVersion: networking.k8s.io/v1
	kind: NetworkPolicy
	metadata: {name: deny}
	spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
END
silent 'warning' k apply -f deny.yaml
within 30 blocked
says 'NetworkPolicy default/deny does not let it out' b flow why default/client pod/web 8080
k delete -f deny.yaml
within 30 reaches

b addons enable network-policy # it is; this waits for the definition of ClusterNetworkPolicies
cat >cluster.yaml <<-END
	apiVersion: policy.networking.k8s.io/v1beta1
	kind: ClusterNetworkPolicy
	metadata: {name: nobody}
	spec:
	  tier: Admin
	  priority: 1
	  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: default}}}
	  ingress: [{name: others, action: Deny, from: [{namespaces: {}}]}]
END
silent 'warning' k apply -f cluster.yaml
within 30 blocked
says 'ClusterNetworkPolicy nobody does not let it in' b flow why default/client pod/web 8080
k delete -f cluster.yaml
within 30 reaches

b addons disable network-policy
says 'warning.*not enforced' k apply -f deny.yaml -f cluster.yaml
problem 30 'polic.*not enforced'
reaches
