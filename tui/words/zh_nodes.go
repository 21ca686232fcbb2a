package words

// zhNodes is what nodes, images, clusters, ports of this machine and cluster files are asked and answered.
var zhNodes = map[string]string{
	// Nodes.
	"it is stopped already": "它已经停止", "it is running": "它正在运行", "not a number from 0.1 to 1024": "不是 0.1 到 1024 之间的数",
	"from %d MB on, such as 2g or 1500m": "至少 %d MB，例如 2g 或 1500m",
	"add nodes to %s":                    "为 %s 添加节点", "Add": "添加", "other nodes are not touched; a new one has all images that were loaded": "不影响其他节点；新节点拥有所有已加载的镜像",
	"how many": "数量", "not a number from 1 to %d": "不是 1 到 %d 之间的数", "role": "角色", "worker": "工作节点", "control-plane": "控制平面",
	"a role is only a label: the control plane itself is not on nodes": "角色只是标签：控制平面本身不在节点上", "processors": "处理器", "memory": "内存",
	"empty: no limit; otherwise such as 2 or 0.5": "留空：不限；否则例如 2 或 0.5", "empty: no limit; otherwise such as 2g or 1500m": "留空：不限；否则例如 2g 或 1500m",
	"add a node": "添加一个节点", "add %d nodes": "添加 %d 个节点", "add nodes": "添加节点", "add": "添加",
	"empty: as it is; no-limit removes the limit": "留空：保持不变；no-limit 取消限制", "now %s": "当前 %s", "limits of %s": "%s 的限制", "limits": "限制", "Change": "更改",
	"pods keep running; removing a limit restarts the node": "Pod 继续运行；取消限制会重启节点", "change the limits of %s": "更改 %s 的限制", "changing": "更改中", "nothing was changed": "没有任何更改",
	"pods on it: %d": "其上的 Pod：%d",
	"as if it were switched off: after five minutes its pods are created elsewhere, unless they say otherwise": "如同关机：五分钟后其 Pod 会在别处重建，除非 Pod 另有规定",
	"it keeps everything, and stays stopped until it is started":                                               "它保留一切，直到被启动前一直处于停止状态",
	"restart %s?": "重启 %s？", "it is stopped and started again; its pods are started again where they were": "先停止再启动；其 Pod 会在原处重新启动", "Restart": "重启", "restarting": "重启中",
	"its pods move to other nodes first; if something on it would be lost, it is not deleted, and you are asked again": "先将其 Pod 迁移到其他节点；如果会丢失数据，则不删除，并再次询问",
	"then its container, its volume and everything in them are removed":                                                "然后移除其容器、卷及其中的一切",
	"emptying": "腾空中", "deleting": "删除中", "it was not deleted, because this would be lost or keeps it:": "未删除，因为以下内容会丢失或阻止删除：", "delete %s with all of it?": "连同这些一起删除 %s？",
	"no nodes: only an API server; %s adds some": "没有节点：仅有 API server；按 %s 添加",
	"stop the node": "停止节点", "start the node": "启动节点", "restart the node": "重启节点", "processors and memory of the node": "节点的处理器与内存",
	"images of the node": "节点的镜像", "drain: move its pods to other nodes": "腾空：将其 Pod 迁移到其他节点",
	"cordon %s?": "禁止调度 %s？", "it gets no new pods until it is uncordoned; those on it stay": "恢复调度前不再接收新的 Pod；已有的保留", "Cordon": "禁止调度",
	"failed: %s": "失败：%s", "%s lists it with its command; any key closes this": "%s 列出它及其命令；按任意键关闭", "arrows choose": "方向键选择", "lines %d-%d of %d": "第 %d-%d 行，共 %d 行",

	// Settings of addons.
	"settings": "设置", "settings of %s": "%s 的设置", "settings of an addon": "插件的设置", "show and change its settings": "查看并更改其设置", "configure %s": "配置 %s",
	"it has no settings": "它没有设置", "default: %s": "默认：%s",

	// One state of the cluster, and starts that fail.
	"the cluster is %s": "集群%s", "connecting to the API server": "正在连接 API server", "in all namespaces": "所有命名空间", "in namespace %s": "命名空间 %s",
	"what it has added is taken back; the cluster that was there before stays, with all its data": "撤回它所添加的内容；原有的集群及其所有数据保留",
	"cluster %s is new: what it has created so far, nodes, volumes and data, is removed":          "集群 %s 是新的：移除目前为止创建的节点、卷和数据", "abort it": "中止",
	"only what a start has made is kept": "只有启动所创建的内容可以保留", "again and keep": "重试并保留", "try again, and keep what it makes if it fails": "重试，失败时保留其创建的内容",

	"enter accepts it, esc cancels": "回车确认，esc 取消",

	// Titles of columns.
	"Cluster": "集群", "Image": "镜像", "On": "所在", "Missing on": "缺少的节点", "Came by": "来源", "Role": "角色",

	// Clusters.
	"CLUSTERS": "集群", "clusters": "集群", "clusters: switch, start, stop, delete": "集群：切换、启动、停止、删除", "switch to it": "切换到它", "shown here": "当前显示",
	"it is the one that is shown": "当前显示的就是它", "a new cluster": "新集群", "Go to it": "前往", "its start view chooses nodes and version; nothing is created before": "在其启动界面选择节点数和版本；在此之前不会创建任何内容",
	"lower-case letters, digits and dashes": "小写字母、数字和连字符", "lower-case letters, digits and dashes, beginning with a letter": "小写字母、数字和连字符，以字母开头",
	"there is a cluster of this name": "已有同名集群", "another cluster than the one that is shown": "这不是当前显示的集群", "no cluster exists yet; %s goes to a new one": "没有集群；按 %s 新建",
	"what runs in one cluster goes on while another one is shown": "显示其他集群时，各集群照常运行", "list the clusters; switch, start, stop and delete them": "列出集群；切换、启动、停止和删除",
	"stop the cluster under the cursor": "停止光标处的集群", "new": "新建", "go to a new cluster": "前往新集群", "delete the cluster": "删除集群", "start the cluster": "启动集群", "stop": "停止", "start": "启动",

	// Images.
	"TRAFFIC": "流量", "traffic": "流量", "who talks to whom": "谁与谁通信", "To": "目标", "Asked": "查询的名称", "New/s": "新建/秒", "Failed/s": "失败/秒",
	"Sent/s": "发送/秒", "Received/s": "接收/秒", "measuring traffic": "正在测量流量", "no traffic is seen": "没有看到流量", "all traffic": "所有流量", "traffic of pods": "Pod 的流量", "%d refused": "%d 次被拒绝",
	"%d without answer": "%d 次无应答", "of nodes": "节点", "with nodes and this machine, or of pods only": "包括节点和本机，或仅 Pod", "through Service %s": "经由 Service %s", "measured on %s": "在 %s 上测量",
	"not measured: %s": "未测量：%s",
	"IMAGES":           "镜像", "images": "镜像", "images in the nodes": "节点中的镜像", "pull": "拉取", "load": "加载", "remove": "移除", "node": "节点", "%s does not have it": "%s 没有它",
	"pulled, or part of the node": "拉取而来，或节点自带", "loaded": "已加载", "list the images of the container engine": "列出容器引擎的镜像", "on %d of %d nodes": "在 %d / %d 个节点上",
	"load which image of the container engine? Or type the path of an archive": "加载容器引擎的哪个镜像？或输入归档文件的路径",
	"pull an image": "拉取镜像", "image": "镜像", "Pull": "拉取", "every node pulls it from its registry, as it does for a pod": "每个节点从其镜像仓库拉取，与为 Pod 拉取相同", "such as nginx:alpine": "例如 nginx:alpine",
	"not the name of an image": "不是镜像名称", "pull %s": "拉取 %s", "remove %s": "移除 %s", "remove %d images": "移除 %d 个镜像", "Remove": "移除",
	"running containers go on; nodes that come later do not get it again": "运行中的容器不受影响；之后加入的节点不会再得到它", "on all nodes": "所有节点", "not on %s": "不在 %s 上",
	"list the images in the nodes; load, pull and remove them": "列出节点中的镜像；加载、拉取和移除", "load an image of the container engine, or an archive": "加载容器引擎的镜像或归档文件",
	"have every node pull an image": "让每个节点拉取镜像", "remove the image, or those that are marked, from every node": "从每个节点移除该镜像或已标记的镜像", "the images of one node, or of all": "一个节点或所有节点的镜像",

	// Ports of this machine.
	"ports of this machine": "本机端口", "open whenever the cluster runs": "集群运行时保持开放", "open when the cluster runs": "集群运行时开放", "closed: %s": "已关闭：%s", "port %d of %s": "端口 %d（%s）",
	"port %d of the nodes": "节点的端口 %d", "open a port of this machine": "开放本机端口", "Open": "开放", "it is open whenever the cluster runs, until it is removed": "集群运行时它一直开放，直到被移除",
	"port of this machine": "本机端口", "not a number from 1 to 65535": "不是 1 到 65535 之间的数", "leads to": "通往", "protocol": "协议", "who can use it": "谁可使用",
	"only this machine": "仅本机", "other machines too": "其他机器也可", "any that answers": "任一应答的节点",
	"a NodePort such as 30080, or NAMESPACE/NAME:PORT of a Service":                    "NodePort 例如 30080，或 Service 的 NAMESPACE/NAME:PORT",
	"node and protocol have fields of their own":                                       "节点和协议另有字段",
	"neither a port of the nodes, such as 30080, nor NAMESPACE/NAME:PORT of a Service": "既不是节点端口（例如 30080），也不是 Service 的 NAMESPACE/NAME:PORT",
	"a Service can be reached by TCP only; give its NodePort for UDP":                  "Service 只能通过 TCP 访问；UDP 请给出其 NodePort",
	"a Service is on no node; choose any":                                              "Service 不在某个节点上；请选任一节点",
	"it is open already, to %s":                                                        "它已开放，通往 %s",
	"open %s":                                                                          "开放 %s", "close %s?": "关闭 %s？", "it leads to %s; %d connections through it end": "它通往 %s；经由它的 %d 个连接会断开", "Close": "关闭", "close %s": "关闭 %s",
	"%s copies %s, %s closes it for good; %d connections so far": "%s 复制 %s，%s 永久关闭；至今 %d 个连接", "the cluster tries again on its own": "集群会自行重试", "%s is closed: %s": "%s 已关闭：%s",
	"list the ports of this machine; open and close them": "列出本机端口；开放和关闭", "open a port": "开放端口", "open a port of this machine for as long as the cluster runs": "开放本机端口，集群运行时一直有效",
	"stop forwarding it, or close it": "停止转发或关闭它",

	// The cluster file.
	"the cluster file: view, plan, apply": "集群文件：查看、计划、应用", "the file that makes this cluster again": "可重建此集群的文件", "what a cluster file would change": "集群文件会更改什么",
	"choose a file first: %s": "请先选择文件：%s", "cluster file: ": "集群文件：", "%s is not a file that can be read": "%s 不是可读取的文件", "the plan is still being made; you are asked once it is complete": "计划仍在生成；完成后会询问",
	"this file cannot be applied to the cluster as it is": "该文件无法应用于当前集群", "apply %s?": "应用 %s？", "Apply": "应用", "apply %s": "应用 %s", "plan a file": "计划文件", "apply it": "应用",
	"make the cluster what the file says": "使集群与文件一致", "the cluster's own": "集群自己的文件",
}
