# a namespace that never goes
# https://github.com/kubernetes/kubernetes/issues/60807
b start --nodes 0
cat >api.yaml <<-END
	apiVersion: apiregistration.k8s.io/v1
	kind: APIService
	metadata: {name: v1beta1.dead.test}
	spec: {group: dead.test, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {name: gone, namespace: default}}
END
k create -f api.yaml
k create namespace doomed
k delete namespace doomed --wait=false
k create namespace held
k -n held create configmap x
k -n held patch configmap x --type=merge -p '{"metadata":{"finalizers":["nobody.test/x"]}}'
k delete namespace held --wait=false
problem 100 'doomed.*v1beta1\.dead\.test|v1beta1\.dead\.test.*doomed'
problem 100 'held.*nobody\.test/x'
k delete apiservice v1beta1.dead.test
k wait namespace doomed --for=delete --timeout=90s
k -n held patch configmap x --type=merge -p '{"metadata":{"finalizers":null}}'
k wait namespace held --for=delete --timeout=60s
