package words

// zhMachine is text about checkpoints, and about what doctor sees.
var zhMachine = map[string]string{
	"checkpoints": "检查点", "CHECKPOINTS": "检查点", "Checkpoint": "检查点", "Claims": "卷数据", "Objects": "对象", "Size": "大小", "all objects as they were": "所有对象当时的状态",
	"no checkpoint exists yet; %s saves one": "还没有检查点；按 %s 保存一个", "checkpoints: save, restore, fork, delete": "检查点：保存、恢复、派生、删除",
	"save a checkpoint": "保存检查点", "go back to the checkpoint": "回到该检查点", "a second cluster from the checkpoint": "从该检查点派生第二个集群", "delete the checkpoint": "删除该检查点",
	"restore": "恢复", "fork": "派生", "Save": "保存", "Restore": "恢复", "Fork": "派生",
	"save, restore, fork and delete checkpoints":                                                               "保存、恢复、派生和删除检查点",
	"all objects as they are now; the cluster goes on. Data of claims is copied file by file while pods go on": "保存所有对象的当前状态；集群继续运行。卷数据在 Pod 运行时逐个文件复制",
	"empty: after the time; otherwise lower-case letters, digits and dashes":                                   "留空：以时间命名；否则为小写字母、数字和连字符",
	"lower-case letters, digits and dashes, and not auto-":                                                     "小写字母、数字和连字符，且不能以 auto- 开头",
	"there is a checkpoint of this name":                                                                       "已有同名检查点", "what": "内容", "objects": "对象", "objects and claims": "对象和卷数据",
	"save checkpoint %s": "保存检查点 %s", "restore checkpoint %s": "恢复检查点 %s", "restore checkpoint %s?": "恢复检查点 %s？", "delete checkpoint %s": "删除检查点 %s", "delete checkpoint %s?": "删除检查点 %s？",
	"all objects are replaced by the %d of the checkpoint, which is %s old":                                       "所有对象将被检查点中的 %d 个对象取代，该检查点保存于 %s 前",
	"the data of claims on %s is replaced, too: these nodes stop meanwhile, with all their pods":                  "%s 上的卷数据也会被取代：期间这些节点及其所有 Pod 会停止",
	"the data of claims stays as it is":                                                                           "卷数据保持不变",
	"what is replaced is saved before, as a checkpoint, so that this can be undone; requests fail for a moment":   "被取代的内容会先保存为检查点，因此可以撤销；请求会短暂失败",
	"the cluster does not run, so that what is replaced is not saved before, and is lost; the cluster is started": "集群未运行，因此被取代的内容不会先保存，将会丢失；集群会被启动",
	"its claims are empty": "其卷是空的", "its claims have the data of the checkpoint": "其卷带有检查点中的数据", "a second cluster from checkpoint %s": "从检查点 %s 派生第二个集群",
	"it has the same objects and as many nodes, and goes its own way; this cluster goes on": "它有相同的对象和同样多的节点，此后独立运行；本集群继续运行",
	"create cluster %s": "创建集群 %s", "%d objects as they were %s ago are lost; it cannot be undone": "将丢失 %d 个对象在 %s 前的状态；无法撤销", "so are %s of claims": "以及 %s 的卷数据",
	"objects and data of the cluster stay as they are": "集群的对象和数据保持不变", "saved %s, Kubernetes %s": "保存于 %s，Kubernetes %s", "by bonsai, %s": "由 bonsai 保存，%s",
	"of cluster %s, from which this one was made": "来自集群 %s，本集群由其派生", "%d objects, %s on the disk": "%d 个对象，占用磁盘 %s", "%s of claims on %s": "%s 卷数据，位于 %s", "without the data of claims": "不含卷数据",

	"before checkpoint restore": "恢复检查点之前", "before node delete": "删除节点之前", "for an export": "用于导出",

	"doctor": "体检", "DOCTOR": "体检", "Check": "检查项", "whether this machine is fit for clusters": "本机是否适合运行集群", "looking at this machine": "正在检查本机",
	"run what fixes it": "运行其修复命令", "fix": "修复", "repair": "修复全部", "repair what this user has the rights for": "修复该用户有权修复的问题", "repair what this user has the rights for?": "修复该用户有权修复的问题？",
	"look again": "重新检查", "copy what to type": "复制要输入的命令", "there is nothing to type for it": "没有可输入的命令",
	"no fix is known for it that can be run from here; %s shows what to type": "没有可在此运行的修复；按 %s 查看要输入的命令",
	"folders of clusters that others may look into become private; entries of the kubeconfig that are missing are written; as root, limits of the kernel are raised until this machine restarts": "他人可查看的集群目录将变为私有；补写 kubeconfig 中缺少的条目；以 root 运行时，提高内核限制直到本机重启",
	"nothing is installed, started or stopped; then everything is looked at again":                                                                                                               "不安装、不启动、不停止任何东西；之后重新检查一切", "Repair": "修复",
	"there was nothing that this user can repair": "没有该用户可以修复的问题", "%d repaired": "已修复 %d 项",
	"Container engine": "容器引擎", "Control groups": "控制组", "Kernel": "内核", "Limits": "限制", "Memory": "内存", "Disk": "磁盘", "Clock": "时钟", "State folder": "状态目录",
	"Ports": "端口", "Networks": "网络", "Firewall": "防火墙", "Proxy": "代理", "Session": "会话", "Clusters": "集群",
	"ok": "正常", "warning": "警告", "error": "错误", "unknown": "未知",
}
