package words

// zhChanges is what is shown before objects are changed: revisions, images, resources; and values of Secrets.
var zhChanges = map[string]string{
	// Changes that are shown before they are made.
	"ask what would change: %s": "查询会更改什么：%s", "nothing would change: it is like that already": "不会有任何更改：已经是这样",
	"Show what changes": "显示更改内容", "Go back": "回退",
	"nothing is changed before you have seen what would change":          "在你看到会更改什么之前，不会更改任何内容",
	"its pods are replaced one after the other; the palette can undo it": "其 Pod 会逐个替换；可在命令面板中撤销",
	"the container restarts with it":                                     "容器会因此重启",
	"it counts for the next run":                                         "下次运行时生效",
	"it has no pod template that can change":                             "它没有可更改的 Pod 模板",
	"it has no containers":                                               "它没有容器",
	"images of %s":                                                       "%s 的镜像",
	"an image, such as web:2":                                            "镜像，例如 web:2",
	"set the image of %s":                                                "设置 %s 的镜像",
	"which container?":                                                   "哪个容器？",
	"resources of %s in %s":                                              "%s 的资源（%s）",
	"set the resources of %s":                                            "设置 %s 的资源",
	"such as 250m or 1; empty for none":                                  "例如 250m 或 1；留空表示不设",
	"such as 64Mi or 1Gi; empty for none":                                "例如 64Mi 或 1Gi；留空表示不设",
	"not an amount: %s":                                                  "不是有效的数量：%s",
	"cpu requested":                                                      "CPU 请求",
	"cpu limit":                                                          "CPU 上限",
	"memory requested":                                                   "内存请求",
	"memory limit":                                                       "内存上限",
	"requests decide which node has room; above its memory limit a container is killed, at its cpu limit it is slowed down": "请求决定哪个节点有空间；超过内存上限的容器会被杀死，达到 CPU 上限的会被限速",
	"set the image":           "设置镜像",
	"set requests and limits": "设置请求与上限",
	"resources":               "资源",
	"another image, after what it changes was shown": "更换镜像，先显示会更改什么",
	"what containers request, and their limits":      "容器的请求与上限",

	// Revisions.
	"Revisions": "修订版本", "revisions": "修订版本", "revision %d": "修订版本 %d", "current": "当前", "1 pod": "1 个 Pod",
	"revisions: compare, go back":                    "修订版本：比较、回退",
	"revisions of a workload: compare them, go back": "工作负载的修订版本：比较、回退",
	"go back":                        "回退",
	"go back to the revision before": "回退到上一修订版本",
	"go back to this revision, after what it changes was shown":    "回退到此修订版本，先显示会更改什么",
	"only Deployments, StatefulSets and DaemonSets have revisions": "只有 Deployment、StatefulSet 和 DaemonSet 有修订版本",
	"it is the current revision; choose an older one":              "这是当前修订版本；请选择更早的",
	"choose a revision first":                                      "请先选择一个修订版本",
	"take %s back to revision %d":                                  "将 %s 回退到修订版本 %d",
	"take %s back to the revision before":                          "将 %s 回退到上一修订版本",
	"the same as the one before":                                   "与上一个相同",
	"the oldest that is kept":                                      "所保留的最早版本",
	"spec.revisionHistoryLimit says how many are kept":             "spec.revisionHistoryLimit 决定保留多少个",
	"no revision is kept":                                          "没有保留任何修订版本",

	// Values of Secrets and ConfigMaps, environments.
	"Values": "值", "values": "值", "show the values": "显示值", "show values": "显示值", "values of a Secret or ConfigMap": "Secret 或 ConfigMap 的值",
	"show values of Secrets for 30 seconds, or hide them":         "显示 Secret 的值 30 秒，或隐藏",
	"only Secrets and ConfigMaps have values":                     "只有 Secret 和 ConfigMap 有值",
	"values of Secrets are hidden; %s shows them for %d s":        "Secret 的值已隐藏；%s 显示 %d 秒",
	"values of Secrets are shown for another %d s; %s hides them": "Secret 的值还会显示 %d 秒；%s 隐藏",
	"values of Secrets are not saved to a file":                   "Secret 的值不会保存到文件",
	"there are no values of Secrets here":                         "这里没有 Secret 的值",
	"not a text":                                                  "不是文本",
	"it has no values":                                            "它没有值",
	"not set: optional, and it does not exist":                    "未设置：可选，且不存在",
	"it does not exist; the container cannot start":               "它不存在；容器无法启动",
	"not known before the container runs":                         "容器运行前未知",
	"replaced by a later one":                                     "被后面的同名变量取代",
	"these are the values of now; a container keeps those from its start, and has variables of the Services of its namespace as well": "这些是当前的值；容器保留启动时的值，并且还有其命名空间中 Service 的变量",

	// CronJobs.
	"only for CronJobs": "仅适用于 CronJob", "only for CronJobs and Jobs": "仅适用于 CronJob 和 Job", "run %s now": "立即运行 %s", "%s: job %s is created": "%s：已创建 Job %s",
	"suspend %s": "暂停 %s", "resume %s": "恢复 %s", "suspend %s?": "暂停 %s？", "Suspend": "暂停", "its pods are deleted until it is resumed": "其 Pod 会被删除，直到恢复",
	"run it now": "立即运行", "suspend or resume": "暂停或恢复", "run now": "立即运行", "suspend": "暂停", "run a CronJob now": "立即运行 CronJob",
	"suspend a CronJob or Job, or let it run again": "暂停 CronJob 或 Job，或恢复运行",

	// What uses what.
	"Relations": "关联", "related": "关联", "what it uses, and what uses it": "它使用什么，以及什么使用它", "what it uses, and what uses it, as a tree": "以树形显示它使用什么，以及什么使用它",
	"open the object of this line": "打开此行的对象", "USES": "使用", "USED BY": "被使用", "it uses nothing that is known": "它没有使用任何已知对象", "nothing uses it": "没有对象使用它",
	"nothing is known of what it uses": "不清楚它使用什么", "does not exist": "不存在", "does not exist; optional": "不存在；可选",
	"by labels": "按标签", "its endpoints": "其端点", "in variables": "在变量中", "in volumes": "在卷中", "as its account": "作为其账户", "to pull images": "用于拉取镜像", "by its rules": "按其规则",
	"for TLS": "用于 TLS", "bound": "已绑定", "its replicas": "调整其副本数", "disruption budget": "干扰预算", "listed": "在其 Secret 列表中",

	// Who may do what.
	"who may do what: can-i and who-can": "谁可以做什么：can-i 与 who-can", "who may do what?": "谁可以做什么？", "what it may do": "它可以做什么", "ask": "询问", "Ask": "询问", "ask something else": "询问别的",
	"open the binding of this line": "打开此行的绑定", "copy the command that asks the same": "复制执行相同查询的命令", "choose a line with a binding first": "请先选择带有绑定的一行",
	"rights": "权限", "WHAT %s MAY DO": "%s 可以做什么", "MAY SOMEBODY DO THIS?": "是否允许这样做？", "%s may %s": "%s 可以 %s", "%s may not %s": "%s 不可以 %s",
	"WHO MAY, BY RBAC": "RBAC 允许谁", "nobody": "没有人", "RBAC allows it nothing": "RBAC 不允许它做任何事", "you": "你",
	"the API server is asked; who else may is read from roles and bindings": "是否允许由 API server 回答；还有谁可以，则从角色和绑定中读取",
	"who": "谁", "verb": "动词",
	"empty: you; NAMESPACE/NAME of a ServiceAccount, the name of a user, or group:NAME": "留空：你；ServiceAccount 的 NAMESPACE/NAME、用户名，或 group:NAME",
	"NAMESPACE/NAME of a ServiceAccount, the name of a user, or group:NAME":             "ServiceAccount 的 NAMESPACE/NAME、用户名，或 group:NAME",
	"a type, such as secrets or pods/log":                                               "类型，例如 secrets 或 pods/log", "the API server has no such type": "API server 没有此类型",
	"empty: all namespaces": "留空：所有命名空间", "empty: all objects of the type": "留空：该类型的所有对象", "only for ServiceAccounts": "仅适用于 ServiceAccount",

	// Fixes, and what follows from problems.
	"Allow pods": "恢复调度", "set the selector of %s": "设置 %s 的选择器", "the fix has not helped": "修复没有奏效", "the fix can be undone": "可以撤销此修复",
	"it is gone, but now there is this: %s": "它已消失，但现在出现：%s", "it is still there: %s": "它仍然存在：%s", "gone, %s after %q: %s": "已消失，用时 %s（自 %q 起）：%s", "%s ago: %s": "%s 前：%s",
	"%s, %s ago; watched until the problem is gone": "%s，%s 前；将观察到问题消失为止",
	"its pods are on that node":                     "其 Pod 在该节点上", "its volume is on that node and nowhere else": "其卷只在该节点上", "that node would have room for it": "该节点本可容纳它",
	"that node gets no pods meanwhile": "该节点此时不接收 Pod", "it needs that component": "它需要该组件", "FOLLOWS FROM IT": "由此引起", "nothing is known to follow from it": "没有已知的后果",
	"it is listed here": "已在此列出", "because": "因为", "+%d that follow": "+%d 个后果", "what follows": "后果", "show or hide what follows from a problem": "显示或隐藏由某问题引起的后果",

	// What pods use of what they request.
	"what pods use of what they request": "Pod 的用量与请求", "RESOURCES": "资源", "what is used of what is requested": "用量与请求之比", "%s of %s requested": "已请求 %s / %s",
	"none": "无", "request": "请求", "limit": "上限", "CPU of its request": "CPU 用量/请求", "Memory of its limit": "内存用量/上限", "Limit": "上限", "Request": "请求", "Past": "历史",
}
