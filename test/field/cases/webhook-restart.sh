# a fail-closed webhook whose Service is gone, and stop/start
# https://github.com/kyverno/kyverno/issues/16177, https://github.com/topolvm/topolvm/issues/57
cluster 1
cat >hook.yaml <<-END
	apiVersion: admissionregistration.k8s.io/v1
	kind: ValidatingWebhookConfiguration
	metadata: {name: policy}
	webhooks:
	- name: all.policy.test
	  failurePolicy: Fail
	  sideEffects: None
	  timeoutSeconds: 5
	  admissionReviewVersions: [v1]
	  clientConfig: {service: {name: policy, namespace: policy, path: /}}
	  rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: ["*"]}]
END
k apply -f hook.yaml
problem 90 'all\.policy\.test|webhook.*policy'
b stop
b start
problem 90 'delete validatingwebhookconfiguration'
k delete validatingwebhookconfiguration policy
within 60 b status
