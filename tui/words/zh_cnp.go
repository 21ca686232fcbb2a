package words

// zhClusterPolicies are the sentences about policies of the whole cluster, and about what a pod does with its own node.
var zhClusterPolicies = []phrase{
	{"ClusterNetworkPolicy {_}", "ClusterNetworkPolicy {}"}, {"{_} denies {} (rule {})", "{} 拒绝{}（规则 {}）"},
	{"ClusterNetworkPolicy {_} allows it (rule {})", "ClusterNetworkPolicy {} 允许（规则 {}）"},
	{"no rule for egress is about it, and none isolates {}", "没有出站规则涉及它，也没有策略隔离 {}"},
	{"no rule for ingress is about it, and none isolates {}", "没有入站规则涉及它，也没有策略隔离 {}"},
	{"NetworkPolicies always allow what a pod does with its own node", "NetworkPolicy 总是允许 Pod 与其所在节点的通信"},
}
