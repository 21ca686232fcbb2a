# a NetworkPolicy that nothing enforces
# https://github.com/kubernetes-sigs/kind/issues/3705
cluster 1
cat >deny.yaml <<-END
	apiVersion: networking.k8s.io/v1
	kind: NetworkPolicy
	metadata: {name: deny}
	spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
END
says 'warning.*not enforce' k apply -f deny.yaml
problem 30 'polic.*not enforce'
