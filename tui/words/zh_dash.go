package words

// zhDash is what only the dashboard's pages about changes, the past, traffic and starts say.
var zhDash = map[string]string{
	// Creating objects, as the API server's answers say it.
	"correct the text; nothing was created":            "请更正文本；什么都没有创建",
	"choose another name, or edit the one that exists": "请换一个名称，或编辑已有的对象",

	// Editing and creating.
	"Edit": "编辑", "Edit %s": "编辑 %s", "Create": "创建", "Created": "已创建", "It is changed.": "已更改。", "It is created.": "已创建。", "Check it": "检查", "kinds": "种类",
	"Keep my text, for the version there is now": "保留我的文本，并以当前版本为基础", "What others have changed meanwhile": "其间他人所做的更改",
	"nothing but its status; your text can be applied to the version there is now":                                       "只有状态变了；您的文本可以应用到当前版本",
	"What your text does not have of their changes is taken back by it; the difference shows that before it is applied.": "您的文本中没有的他人更改会被撤销；应用之前会在差异中显示。",
	"Several objects are separated by lines of three dashes.":                                                            "多个对象之间用三个短横线组成的行分隔。", "Show the YAML": "显示 YAML", "Show what would change": "显示将发生的更改",
	"Tab indents; Escape and then Tab leaves the text.": "Tab 键缩进；先按 Esc 再按 Tab 可离开文本框。", "What would change": "将发生的更改", "What would be created": "将创建的对象",
	"The API server has checked it, with defaults and admission; nothing is stored yet.": "API 服务器已检查（包括默认值和准入控制）；尚未保存任何内容。", "what changes": "更改内容", "nothing would change": "不会有任何更改",
	"a line for sh; the image's own if it is empty": "一行 sh 命令；留空则使用镜像自带的命令", "back to the object": "返回对象", "entries": "条目", "for example app=web": "例如 app=web",
	"for example busybox": "例如 busybox", "for example nginx:alpine": "例如 nginx:alpine", "labels of its pods": "其 Pod 的标签", "namespace of objects that name none": "未指定命名空间的对象所用的命名空间",
	"not checked, as its namespace does not exist yet": "未检查，因为其命名空间尚不存在", "one a line, as key=value": "每行一个，格式为 键=值", "port of the pods": "Pod 的端口", "the same if it is empty": "留空则相同",
	"values of Secrets are not shown": "不显示 Secret 的值", "where its containers listen; may be empty": "其容器监听的端口；可以留空",

	// What is related.
	"creates and uses": "创建和使用", "is used by": "被以下对象使用", "runs on": "运行于",

	// Actions, fixes, and what goes on for longer.
	"A Job is created.": "已创建一个 Job。", "Drain %s?": "排空 %s？", "Edit it": "编辑它", "Evicted": "将被驱逐", "Go back to it": "回退到此版本", "goes with it": "将一同删除",
	"It goes back; its pods are being replaced.": "正在回退；其 Pod 正在被替换。", "It goes on.": "已恢复运行。", "It has other pods.": "它现在选择其他 Pod。", "It is as it was.": "已恢复原状。", "It is suspended.": "已挂起。",
	"It runs on this machine, as the user whose cluster this is; then it is watched whether the problem goes.": "命令在本机以集群所属用户的身份运行；随后会观察问题是否消失。",
	"It would be refused:": "这会被拒绝：", "Let %s go on?": "恢复 %s？", "Resume": "恢复", "Run %s now?": "立即运行 %s？", "Run it": "运行", "Run now": "立即运行", "Run this?": "运行此命令？",
	"Set the selector of %s?": "设置 %s 的选择器？", "Set the selector": "设置选择器", "Staying": "将保留", "Suspend %s?": "挂起 %s？", "Take %s back to revision %d?": "将 %s 回退到版本 %d？",
	"Take %s back to the revision before?": "将 %s 回退到上一个版本？", "it gets no new pods, and those below are evicted, within what disruption budgets allow": "它不再接受新 Pod，下列 Pod 会在中断预算允许的范围内被驱逐",
	"it is being done, or watched, since": "正在执行或观察，开始于", "its emptyDir is lost": "其 emptyDir 数据将丢失", "its pods are replaced one after the other, as its strategy says": "其 Pod 按策略逐个替换",
	"no pods": "没有 Pod", "progress": "进度", "the Job below is created; its schedule stays as it is": "将创建下面的 Job；其计划保持不变", "the disruption budget %s lets none go now": "中断预算 %s 目前不允许任何 Pod 离开",
	"to what it is about": "前往相关对象", "what was changed, to take it back": "查看更改，以便撤销", "The cluster did not say whether it has helped.": "集群没有报告是否有效。", "The problem is gone.": "问题已消失。",
	"It is gone, but now there is this:": "问题已消失，但现在出现了：", "It has not helped; it is still there:": "没有效果；问题仍然存在：", "It was not done; the node accepts no new pods until it is uncordoned.": "未完成；在取消封锁之前，该节点不接受新 Pod。",
	"Its pods are gone; it accepts no new ones until it is uncordoned.": "其 Pod 已离开；在取消封锁之前不接受新 Pod。",

	// The past.
	"%s as it was": "%s 当时的样子", "All changes": "所有更改", "What a revert would change": "还原将带来的更改", "What is different now": "与现在的差异", "as it is": "现在的样子", "as it was at": "当时的样子，时间为",
	"as it was": "当时的样子", "before the change after": "后一次更改之前", "before the change before": "前一次更改之前", "it is like that now": "现在就是这样", "now": "现在", "the cluster as it was at": "查看集群在此时的样子：",

	// Nodes, traffic, DNS, and waterfalls.
	"(after %d other names)": "（此前尝试了 %d 个其他名称）", "It is measured only while somebody looks; the first figures come in a moment.": "仅在有人查看时测量；首批数据马上就到。",
	"Questions of pods as the nodes answer them, from now on; the newest are kept. They are recorded only while somebody looks.": "从现在起各节点所回答的 Pod 查询，只保留最新的。仅在有人查看时记录。",
	"Start": "启动", "The last hour": "最近一小时", "Why this node": "为何选择此节点", "also of nodes and this machine": "也包括节点和本机", "asked by": "查询者", "at most": "最高", "begins at": "开始于", "by": "执行者", "detail": "详情",
	"from": "来源", "it is not known yet": "尚不可知", "measured since": "测量始于", "name asked": "查询的名称", "new per second": "每秒新建", "no start is recorded yet": "尚无启动记录",
	"not measured yet; a sample is taken every half a minute while the dashboard is enabled": "尚未测量；仪表盘启用期间每半分钟采样一次", "nothing is being sent": "没有流量", "of": "共", "only of pods": "仅 Pod", "received per second": "每秒接收",
	"sent per second": "每秒发送", "starts": "历次启动", "step": "步骤", "the steps in time; the table below has the same": "各步骤的时间；下方表格内容相同", "to": "目标", "took": "耗时", "denied": "被拦下", "unanswered": "无应答", "works": "正常",

	// Advice about what goes on for longer.
	"wait until one of them ends": "请等待其中一项结束", "the history has what was changed": "历史中有已做的更改",
}
