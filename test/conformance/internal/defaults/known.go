package defaults

// Table is every difference between bonsai's control plane and kubeadm's that is meant to be. docs/conformance.md has the
// same rows; a test compares them.
var Table = []Known{
	{"feature gate of kubelet and kube-proxy: KubeProxyNFTablesLocalhostNodePorts", Changed,
		"on: nodes pull from a registry in the cluster by the name `localhost:NODEPORT`, which in nftables mode this alpha gate makes possible"},
	{"feature gate of kube-scheduler: ControllerManagerReleaseLeaderElectionLockOnExit", OnlyBonsai,
		"a gate of the controller manager, off in both; here it is in the same process"},

	{"flag of kube-apiserver: advertise-address", Changed, "the address of each cluster's network"},
	{"flag of kube-apiserver: external-hostname", Changed, "follows from advertise-address"},
	{"flag of kube-apiserver: secure-port", Changed, "a free port"},
	{"flag of kube-apiserver: service-cluster-ip-range", Changed, "65,534 Services are enough, and a smaller range collides less with the networks of the machine"},
	{"flag of kube-apiserver: etcd-*", Changed, "etcd is reached by a unix socket in a private folder, not by TCP, so it needs no certificates"},
	{"flag of kube-apiserver: authentication-config", Changed, "requests without credentials reach the health endpoints only; with kubeadm `/version` and the ConfigMap `cluster-info` as well"},
	{"flag of kube-apiserver: enable-bootstrap-token-auth", Changed, "machines join a kubeadm cluster with such tokens; nodes get a certificate from bonsai"},
	{"flag of kube-apiserver: kubelet-certificate-authority", Changed, "the certificates of kubelets are signed by the cluster's CA and verified; those of kubeadm sign themselves"},
	{"flag of kube-apiserver: kubelet-preferred-address-types", Changed, "nodes have no other addresses, and their names resolve in the cluster's network only"},
	{"flag of kube-apiserver: profiling", Changed, "a copy of the server's memory is not for everybody with an admin's token"},
	{"flag of kube-apiserver: service-account-key-file", Changed, "the private key, which contains the public one"},
	{"flag of kube-apiserver: shutdown-send-retry-after", Changed, "the server stops within seconds, also while watches are open"},
	{"flag of kube-apiserver: default-*-toleration-seconds", Changed, "pods leave a node that has failed after half a minute instead of five"},
	{"flag of kube-apiserver: help", OnlyKubeadm, "a flag of the command line, which there is none of here"},
	{"flag of kube-apiserver: version", OnlyKubeadm, "the same"},
	{"flag of kube-apiserver: log-json-*", OnlyKubeadm, "bonsai writes the log files, and not as JSON"},

	{"path /*/poststarthook/bonsai/bootstrap", OnlyBonsai, "makes the same objects as the next two without waiting a second for each"},
	{"path /*/poststarthook/rbac/bootstrap-roles", OnlyKubeadm, "see above; the roles are compared and are the same"},
	{"path /*/poststarthook/scheduling/bootstrap-system-priority-classes", OnlyKubeadm, "see above; the classes are compared and are the same"},

	{"object serviceaccounts kube-system/bootstrap-signer", OnlyKubeadm, "a controller for bootstrap tokens, off by default, which kubeadm switches on"},
	{"object serviceaccounts kube-system/token-cleaner", OnlyKubeadm, "the same"},
	{"object *roles *bonsai:agent", OnlyBonsai, "rights of the nodes' agents"},
	{"object *rolebindings *bonsai:agents", OnlyBonsai, "rights of the nodes' agents"},
	{"object clusterrolebindings bonsai:kubelet-clients", OnlyBonsai, "the right of the API server to use kubelets; `kubeadm init` adds an equal one later"},
	{"object storageclasses standard", OnlyBonsai, "addon default-storageclass"},
	{"API group metrics.k8s.io", OnlyBonsai, "addon metrics-server"},
	{"resource metrics.k8s.io/v1beta1 *", OnlyBonsai, "the same"},
	{"path /apis/metrics.k8s.io*", OnlyBonsai, "the same"},
	{"object apiservices v1beta1.metrics.k8s.io", OnlyBonsai, "the same"},
	{"object clusterroles system:aggregated-metrics-reader", OnlyBonsai, "the same"},
	{"object clusterroles admin", Changed, "has what that role adds, as with upstream's metrics-server"},
	{"object clusterroles edit", Changed, "the same"},
	{"object clusterroles view", Changed, "the same"},
	{"API group policy.networking.k8s.io", OnlyBonsai, "addon network-policy: ClusterNetworkPolicies"},
	{"resource policy.networking.k8s.io/v1* *", OnlyBonsai, "the same"},
	{"path /apis/policy.networking.k8s.io*", OnlyBonsai, "the same"},
	{"schema apis/policy.networking.k8s.io*", OnlyBonsai, "the same"},
	{"object apiservices v1*.policy.networking.k8s.io", OnlyBonsai, "the same"},
	{"object customresourcedefinitions clusternetworkpolicies.policy.networking.k8s.io", OnlyBonsai, "the same"},
	{"object services kube-system/kube-dns", OnlyBonsai, "cluster DNS; `kubeadm init` adds CoreDNS later"},
	{"object configmaps kube-system/bonsai-network-policy", OnlyBonsai, "addon network-policy: what the nodes are to do"},
	{"object pods kube-system/*", OnlyBonsai, "mirror pods of the components; those of kubeadm come from its kubelet, which does not run for this comparison"},
	{"object *s kube-system/coredns*", OnlyBonsai, "what scripts expect of CoreDNS, see [DNS](dns.md#scripts-that-expect-coredns)"},
}

// Emulated are the further differences of clusters that emulate an older version.
var Emulated = []Known{
	{"feature gate of kubelet and kube-proxy: *", Changed,
		"when an older version is emulated: upstream's kubelet and kube-proxy cannot do that, so theirs are the gates of the built-in version"},
	{"feature gate of kubelet and kube-proxy: *", OnlyBonsai, "the same"},
}
