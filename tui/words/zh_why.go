package words

// zhWhy is what traffic, what policies stop, and the way from a pod to something else are called.
var zhWhy = map[string]string{
	"map": "拓扑", "list": "列表", "a map of namespaces and workloads, or the list": "命名空间与工作负载的拓扑，或列表", "map of workloads": "工作负载拓扑",
	"nodes, this machine and outside": "节点、本机与外部", "%d denied": "%d 个被拦下", "%d denied, which %s allow now": "%d 个曾被拦下，现在 %s 已放行",
	"%d denied by %s (egress)": "%d 个被 %s 拦下（出站）", "%d denied by %s (ingress)": "%d 个被 %s 拦下（入站）", "Traffic": "流量",

	"walking there": "正在逐步检查", "it is reached": "可以到达", "the way ends at: %s": "路径止于：%s", "why does it not reach something, or is not reached": "它为何访问不到目标，或为何无法被访问",
	"where the way from it, or to it, ends, and why": "从它出发或通往它的路径在哪里中断，以及原因", "walk there again": "重新检查", "walk from the same pod to something else": "检查从同一个 Pod 到其他目标的路径",
	"elsewhere": "别处", "only ways that begin at a pod can be walked": "只能检查从 Pod 出发的路径", "only for pods, workloads and Services": "仅适用于 Pod、工作负载和 Service",
	"from %s to which name, Service, pod or address, and port: ": "从 %s 到哪个名称、Service、Pod 或地址，以及端口：", "to %s from which pod (NAMESPACE/NAME): ": "从哪个 Pod（NAMESPACE/NAME）到 %s：",
	"source": "来源", "address": "地址", "port": "端口", "endpoints": "端点", "policies out": "出站策略", "policies in": "入站策略", "listener": "监听", "connection": "连接", "answer": "应答",

	"see each step of the way there": "查看到那里的每一步", "if that is meant to work, allow it": "如果它应当可以访问，请放行", "say which one": "请指明是哪一个",
	"see which addresses Services and pods have":                                                        "查看 Service 和 Pod 的地址",
	"see whether this machine reaches it; what is outside may have a firewall, or nothing that listens": "检查本机能否访问它；外部可能有防火墙，或没有程序监听",
}

// zhWays are the sentences about what policies stop, and about the steps from a pod to something else.
var zhWays = []phrase{
	{"cannot reach {} at port {}: stopped by {} on the way in", "无法访问 {} 的端口 {}：入站时被 {} 拦下"}, {"cannot reach {} at port {}: stopped by {} on the way out", "无法访问 {} 的端口 {}：出站时被 {} 拦下"},
	{"{} cannot reach it at port {}: stopped by {} on the way in", "{} 无法访问其端口 {}：入站时被 {} 拦下"}, {"cannot ask cluster DNS: stopped by {}", "无法查询集群 DNS：被 {} 拦下"},
	{"NetworkPolicy {_}", "NetworkPolicy {}"}, {"NetworkPolicies {}", "NetworkPolicy {}"}, {"{_} allows {}", "{} 允许{}"}, {"pod {_} has {}", "Pod {} 有 {}"}, {"pod {_} has no labels", "Pod {} 没有标签"},
	{"ingress from {}", "来自{}的入站"}, {"egress to {}", "到{}的出站"}, {"no ingress", "不允许任何入站"}, {"no egress", "不允许任何出站"}, {"something else", "其他流量"},
	{"{} packets from {} to {} were stopped", "从 {2} 到 {3} 的 {1} 个数据包被拦下"},

	{"{} does not let it in", "{} 不放行其进入"}, {"{} do not let it in", "{} 不放行其进入"}, {"{} does not let it out", "{} 不放行其离开"}, {"{} do not let it out", "{} 不放行其离开"},
	{"{} does not let the pod ask cluster DNS", "{} 不允许该 Pod 查询集群 DNS"}, {"{} do not let the pod ask cluster DNS", "{} 不允许该 Pod 查询集群 DNS"}, {"NetworkPolicy {_} allows it", "NetworkPolicy {} 允许"},
	{"no policy for egress applies to {}", "没有出站策略作用于 {}"}, {"no policy for ingress applies to {}", "没有入站策略作用于 {}"}, {"NetworkPolicies are not enforced", "NetworkPolicy 未被执行"},
	{"pod {_} ({_}) on node {_}", "节点 {3} 上的 Pod {1}（{2}）"}, {"pod {_} does not run: it is {}", "Pod {} 未在运行：{}"}, {"{_} has the address {_}", "{} 的地址是 {}"}, {"cluster DNS has no address for {}", "集群 DNS 没有 {} 的地址"},
	{"{_} is that of Service {_}", "{} 是 Service {} 的地址"}, {"{_} is that of pod {_}", "{} 是 Pod {} 的地址"}, {"{_} is that of node {_}", "{} 是节点 {} 的地址"}, {"{_} is outside of the cluster", "{} 在集群之外"},
	{"port {_} leads to port {_} of its pods", "端口 {} 通往其 Pod 的端口 {}"}, {"{} is ready: {}", "{} 就绪：{}"}, {"{} are ready: {}", "{} 就绪：{}"}, {"it selects no pod: none has {}", "它未选中任何 Pod：没有 Pod 带有 {}"},
	{"none of its {_} pods is ready", "其 {} 个 Pod 均未就绪"}, {"nothing listens on port {_}", "没有程序监听端口 {}"}, {"pod {_} listens on {}", "Pod {} 监听 {}"}, {"no port at all", "任何端口都没有"},
	{"connected to {_}", "已连接 {}"}, {"{_} refuses connections", "{} 拒绝连接"}, {"{_} does not answer", "{} 没有应答"}, {"there is no way to {_}", "没有通往 {} 的路由"}, {"GET {_} is answered with {}", "GET {} 的应答是 {}"},
	{"Service {_} has no port {}", "Service {} 没有端口 {}"}, {"it leads to the port named {_}, and no pod declares one", "它通往名为 {} 的端口，而没有 Pod 声明它"}, {"declared are: {}", "已声明：{}"},
	{"there is neither a Service nor a pod {_}", "既没有名为 {} 的 Service，也没有这样的 Pod"}, {"cluster DNS is disabled", "集群 DNS 已禁用"}, {"UDP has no connections, and nothing was sent", "UDP 没有连接，未发送任何内容"},
	{"{_} is an address of the cluster that nothing has", "{} 是集群的地址，但没有对象使用它"}, {"the pod is on its node's network, and no policy applies to it", "该 Pod 使用其节点的网络，没有策略作用于它"},
	{"what a pod does with itself is always allowed", "Pod 与自身的通信总是允许的"}, {"what a node does with its own pods is always allowed", "节点与其自己的 Pod 的通信总是允许的"},
	{"{_} is the pod itself", "{} 是该 Pod 自身"}, {"it is not known which port is meant", "不清楚指的是哪个端口"}, {"there is no port {_}", "没有端口 {}"}, {"port {_}, which the pod declares", "端口 {}，由该 Pod 声明"},
	{"pods there have {}", "那里的 Pod 带有 {}"}, {"cluster DNS does not answer", "集群 DNS 没有应答"}, {"the namespace has the Services {}", "该命名空间有 Service {}"}, {"no answer to GET {_}: {}", "GET {} 没有应答：{}"}, {"nothing came back", "没有任何返回"},
	{"pod {_} listens on {_} at 127.0.0.1 only, which no other pod can reach", "Pod {} 只在 127.0.0.1 上监听 {}，其他 Pod 无法访问"},
}
