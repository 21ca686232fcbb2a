package words

// zhWeb is what only the dashboard says; most of its texts are those of the terminal UI.
var zhWeb = map[string]string{
	// The frame around each page.
	"to the content": "跳到内容", "pages": "页面", "as of %s ago": "%s 前的数据", "connecting again": "正在重新连接", "copied": "已复制", "close": "关闭",
	"close, or leave the filter": "关闭，或离开过滤框", "the same in a terminal": "在终端中的等效命令", "end the session": "结束会话",
	"the session has ended: bonsai dashboard opens another one": "会话已结束：运行 bonsai dashboard 打开新的会话",
	"Architecture": "架构", "Workloads": "工作负载",

	// Why there is nothing.
	"A page of another site sent this request": "此请求来自其他网站的页面", "only pages of the dashboard may use it": "只有仪表盘的页面可以使用它",
	"This dashboard is another user's": "此仪表盘属于另一个用户", "This is not a name of the dashboard": "这不是仪表盘的名称",
	"open the address that bonsai dashboard prints": "请打开 bonsai dashboard 显示的地址", "open the page again": "请重新打开该页面",
	"This address was used already, or is too old": "此地址已被使用，或已过期", "This browser is not logged in": "此浏览器尚未登录",
	"bonsai dashboard prints a new one": "运行 bonsai dashboard 获取新的地址", "bonsai dashboard prints an address that lets it in": "运行 bonsai dashboard 获取登录地址",
	"This session has too many pages open": "此会话打开的页面过多", "close some of them": "请关闭其中一些", "This session is read-only": "此会话为只读",
	"bonsai dashboard opens one that is not": "运行 bonsai dashboard 打开可操作的会话", "The session has ended": "会话已结束", "There is no such page": "没有这个页面",
	"The form cannot be read": "无法读取表单", "The form is not one of this session": "该表单不属于此会话", "The address does not name a log": "该地址没有指明日志",

	// Overview, nodes, addons, history.
	"Problems": "问题", "cause": "原因", "evidence": "证据", "component": "组件", "Components": "组件", "restarts": "重启次数",
	"The cluster is paused; the next change wakes it.": "集群已暂停；下一次更改会唤醒它。", "severity": "级别", "info": "信息", "IP address": "IP 地址",
	"recorded since": "记录始于", "nothing has changed since then": "此后没有任何更改", "updated": "已更新", "deleted": "已删除", "show": "显示",

	// Tables and objects.
	"types": "类型", "reading": "正在读取", "filter: text, or label=value": "过滤：文本，或 标签=值", "there is nothing here": "这里没有内容", "nothing matches the filter": "没有匹配过滤条件的内容",
	"Tables need scripts; the command below shows the same.": "表格需要脚本；下面的命令显示相同的内容。", "last seen": "最近出现", "reason": "原因", "message": "消息",
	"object": "对象", "count": "次数", "reported by": "上报者", "normal": "正常", "there are no Events about it": "没有关于它的事件", "parts of this page": "此页面的各部分",
	"Related": "相关对象", "Containers": "容器", "containers": "容器", "Conditions": "状况", "status": "状态", "annotations": "注解", "managed fields": "受管字段",
	"terminated": "已终止", "belongs to": "属于", "creates": "创建了", "selects": "选择了", "is selected by": "被以下对象选择",
	"nothing is known to be related to it": "没有已知的相关对象",

	// Logs.
	"show lines with this text": "只显示含此文本的行", "it cannot be read: %s": "无法读取：%s", "%d lines were lost here": "此处丢失了 %d 行",
	"only %d containers are followed": "只跟随 %d 个容器",

	// Actions.
	"Scale": "扩缩", "Uncordon": "恢复调度", "Scale %s?": "扩缩 %s？", "Restart the pods of %s?": "重启 %s 的 Pod？", "Keep new pods off %s?": "不让新的 Pod 调度到 %s？",
	"Let %s have pods again?": "让 %s 重新接受 Pod？", "Delete %s?": "删除 %s？", "replicas": "副本数", "It was not done": "操作未执行",
	"they are replaced one after the other, as its strategy says": "按其策略逐个替换", "pods that run there stay": "在那里运行的 Pod 会保留",
	"everything in it is deleted too": "其中的一切都会被删除", "what created it creates another one; without an owner it is gone": "创建它的对象会再创建一个；没有所属对象则不再存在",
	"what it created is deleted with it": "它创建的对象会一并删除", "It is being scaled.": "正在扩缩。", "Its pods are being replaced.": "正在替换其 Pod。",
	"It is being deleted.": "正在删除。", "It accepts no new pods.": "它不再接受新的 Pod。", "It accepts pods again.": "它重新接受 Pod。",

	// The drawing.
	"A part that you choose is explained below. The numbers are requests per second.": "选择一个部分，下方会有说明。数字为每秒请求数。",
	"the control plane and the nodes of the cluster":                                  "集群的控制平面与节点", "what the parts do": "各部分的作用",
	"Everything that talks to the cluster from outside: kubectl, this page, programs of yours. They all speak to the API server, and to nothing else.":                                                            "从外部与集群通信的一切：kubectl、本页面、你的程序。它们都只与 API server 通信。",
	"The only entrance: it says who you are, what you may do, and whether an object is valid. Every other part reads and writes objects through it, and watches it for changes.":                                  "唯一的入口：它判断你是谁、可以做什么、对象是否有效。其他各部分都通过它读写对象，并监视变化。",
	"Where the cluster is stored: every object, with all of its state. Only the API server talks to it; if it is lost, so is the cluster.":                                                                        "集群的存储：每个对象及其全部状态都保存在这里。只有 API server 与它通信；它丢失了，集群也就丢失了。",
	"It looks for pods without a node and chooses one for each, by room, rules and preferences. It only writes down the choice; starting the pod is the kubelet's work.":                                          "它寻找没有节点的 Pod，按余量、规则和偏好为每个 Pod 选择节点。它只记录选择结果；启动 Pod 是 kubelet 的工作。",
	"Many loops that compare what is wanted with what is there, and close the gap: a Deployment gets its ReplicaSet, a ReplicaSet its pods, a lost node loses its pods. Each loop only reads and writes objects.": "许多控制循环，比较期望与现状并消除差距：Deployment 得到 ReplicaSet，ReplicaSet 得到 Pod，失联的节点失去其 Pod。每个循环只读写对象。",
	"The API server's agent on a node: it takes the pods that were assigned to the node, has their containers started, and reports how they are. It restarts what crashes and kills what fails its probes.":       "API server 在节点上的代理：它接收分配给该节点的 Pod，让其容器启动，并上报状态。它重启崩溃的容器，终止探针失败的容器。",
	"It pulls images and runs containers when the kubelet asks for it. Containers keep running when it restarts.":                                                                                                 "它在 kubelet 要求时拉取镜像并运行容器。它重启时容器继续运行。",
	"It turns the addresses of Services into those of pods that are ready, by rules in the node's kernel. No traffic goes through the program itself.":                                                            "它通过节点内核中的规则，把 Service 的地址转换为就绪 Pod 的地址。流量不经过程序本身。",
	"It answers the names of Services and pods on the node itself, and passes all other names on. So a pod finds web.shop by its name, wherever its pods are.":                                                    "它在节点上直接解析 Service 和 Pod 的名称，并转发其他名称的查询。因此无论 web.shop 的 Pod 在哪里，都可以用名称找到它。",
	"It gives each pod an address, and the node's kernel routes to the pods of other nodes. Every pod reaches every other one without translation.":                                                               "它给每个 Pod 分配地址，并在节点内核中设置通往其他节点 Pod 的路由。每个 Pod 无需地址转换即可访问其他任何 Pod。",
	"The smallest thing that is placed on a node: one or more containers with one address. When it goes, another one takes its place; its name and address are new.":                                              "被调度到节点上的最小单位：共用一个地址的一个或多个容器。它消失后由另一个取代，名称和地址都是新的。",
}
