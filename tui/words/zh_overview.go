package words

// zhOverview is the overview, problems, nodes, the control plane and births.
var zhOverview = map[string]string{
	"overview": "概览", "PROBLEMS": "问题", "NODES": "节点", "CONTROL PLANE": "控制平面", "PODS": "Pod", "WARNINGS": "警告", "LOG": "日志", "EVIDENCE": "证据", "KEYS": "按键",
	"COMPONENTS": "组件", "%d of %d": "第 %d 个，共 %d 个", "%d of %d ready": "%d/%d 就绪", "and %d more": "另有 %d 个",
	"looking at the cluster": "正在查看集群", "there is no cluster %q yet; %s finds \"start\"": "还没有集群 %q；按 %s 查找 start",
	"the cluster is stopped, its data is kept; %s finds \"start\"": "集群已停止，数据保留；按 %s 查找 start",
	"nothing is wrong": "一切正常", "nothing is wrong; there is nothing to explain": "一切正常，没有需要解释的问题", "started in %s, %s ago": "启动用时 %s，%s 前",
	"watch the control plane at work": "观察控制平面如何工作", "on a pod: how it came to be, step by step": "在 Pod 上按：看它如何一步步创建出来",
	"find anything: verbs, objects, settings": "查找一切：操作、对象、设置", "finds anything: verbs, objects, settings": "查找一切：操作、对象、设置",
	"screens; the first one says what is wrong": "切换界面；第一个告诉您哪里有问题", "the keys of every screen; any key ends this": "各界面的按键；按任意键关闭此提示",
	"explain": "解释", "pods": "Pod", "control plane": "控制平面", "does it": "执行", "why": "原因", "to do": "处理", "this is over": "问题已消失", "go to %s": "转到 %s", "copy": "复制",
	"edit %s": "编辑 %s", "scale %s": "扩缩 %s", "restart %s": "重启 %s", "delete %s": "删除 %s", "uncordon %s": "恢复调度 %s", "carry this out?": "要执行吗？", "Go on": "执行", "cluster: %s": "集群：%s",
	"it is no object of the API": "它不是 API 对象",
	"one process, %s":            "单进程，%s", "watches %d": "watch %d", "pending %d": "待调度 %d", "%d loops": "%d 个控制循环", "%d queued": "%d 个排队",
	"waits": "等待", "fails": "失败", "ends": "终止中", "done": "完成", "reading pods": "正在读取 Pod", "no pods yet": "还没有 Pod",
	"not measured yet": "尚无测量数据", "not ready": "未就绪", "container %s": "容器%s", "kubelet %s": "kubelet %s", "no nodes: an API server alone": "没有节点：仅有 API server",
	"%d of %d servers answer": "%d/%d 个服务器应答", "cluster DNS is off; %s addons": "集群 DNS 已关闭；按 %s 打开插件", "failed": "失败", "cache": "缓存", "listening": "正在监听", "nobody asks at the moment": "目前没有查询",
	"no such record": "无此记录", "reading events": "正在读取事件", "no warnings in the last hour": "最近一小时没有警告", "no lines yet": "还没有日志",
	"the log of a pod with a problem stands here": "这里显示有问题的 Pod 的日志",
	"cordoned": "已禁止调度", "nodes": "节点", "Node": "节点", "Status": "状态", "Cores": "CPU 核", "Memory": "内存", "Container": "容器", "Kubelet": "kubelet", "Restarts": "重启", "Address": "地址", "Version": "版本", "Disk": "磁盘", "Age": "存在时间",
	"of %s": "共 %s", "reading nodes": "正在读取节点", "no nodes: an API server alone; %s finds \"start\", which adds some": "没有节点：仅有 API server；按 %s 查找 start 来添加节点",
	"nothing matches %q; %s takes the filter away": "没有匹配 %q 的内容；按 %s 取消过滤", "%d components run": "%d 个组件在运行", "heard %s ago": "%s 前有心跳",
	"the cluster does not know this node": "集群中没有这个节点", "no pods run on %s": "%s 上没有运行 Pod", "disk": "磁盘", "%d restarts": "重启 %d 次",
}
