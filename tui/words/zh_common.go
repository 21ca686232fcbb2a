package words

// zhCommon is the chrome, the dialogs, the verbs and the keys.
var zhCommon = map[string]string{
	"Overview": "概览", "Nodes": "节点", "Pods": "Pod", "Logs": "日志", "Events": "事件", "Addons": "插件", "Control plane": "控制平面", "Ports": "端口",
	"find": "查找", "keys": "按键", "ready": "就绪", "live": "实时", "all": "全部", "looking": "查看中", "running": "运行中", "stopped": "已停止", "paused": "已暂停",
	"starting": "启动中", "stopping": "停止中", "absent": "不存在", "degraded": "降级", "failed": "失败", "unknown": "未知",
	"node not ready": "节点未就绪", "has problems": "有问题", "has warnings": "有警告", "read-only": "只读",
	"nodes %d/%d": "节点 %d/%d", "pods %d/%d": "Pod %d/%d", "silent %s, as of %s": "已静默 %s，数据截至 %s",
	"Cancel": "取消", "cancel": "取消", "Delete": "删除", "Drain": "腾空", "arrows choose, enter": "方向键选择，回车确认",
	"type %s to continue: ": "输入 %s 以继续：", "%d of %d": "%d / %d",
	"shows it and can cancel it": "查看或取消",

	// Hints.
	"open": "打开", "logs": "日志", "previous": "上一次", "shell": "终端", "describe": "详情", "yaml": "yaml", "actions": "操作", "mark": "标记", "filter": "过滤",
	"command": "命令", "fix": "修复", "cordon": "禁止调度", "restart": "重启", "edit": "编辑", "forward": "转发", "birth": "创建过程", "delete": "删除", "back": "返回",
	"sort": "排序", "copy": "复制", "next": "下一个", "before": "上一个", "prev": "上一个", "pause": "暂停", "wrap": "换行", "end": "末尾", "raw": "原文", "time": "时间", "save": "保存",
	"prev run": "上一次运行", "zoom": "放大", "scale": "扩缩", "namespace": "命名空间", "tree": "树形", "wide": "全部列", "quit": "退出",

	// Keys.
	"overview: problems first": "概览：问题优先", "nodes": "节点", "pods": "Pod", "logs of many pods, merged": "多个 Pod 的合并日志", "events": "事件",
	"DNS: who asks for what": "DNS：谁在查询什么", "addons": "插件", "control plane, live": "控制平面实时图", "Services and forwarded ports": "Service 与端口转发",
	"next screen": "下一屏", "previous screen": "上一屏", "go to any resource type": "前往任意资源类型", "find any verb, object or setting": "查找任意操作、对象或设置",
	"filter, or search in text": "过滤，或在文本中搜索", "choose a namespace": "选择命名空间", "all namespaces": "所有命名空间", "back; clear the filter": "返回；清除过滤",
	"back to the previous place": "返回之前的位置", "forward again": "再次前进", "the previous screen, and back": "切换到上一屏再切回", "all keys of this screen": "本屏所有按键",
	"next theme": "下一个主题", "give the mouse to the terminal, or take it back": "将鼠标交给终端或收回", "what was done, as commands": "已执行的操作（以命令表示）",
	"only this pane, or all": "仅显示此窗格，或显示全部", "quit; the cluster keeps running": "退出；集群继续运行", "stop the cluster": "停止集群", "pause the cluster, or let it run again": "暂停集群，或恢复运行",
	"down": "下", "up": "上", "first": "第一行", "last": "最后一行", "a page down": "下翻一页", "a page up": "上翻一页",
	"sort by another column": "按其他列排序", "all columns": "所有列", "pods under their workloads": "按工作负载显示 Pod", "logs of the previous container": "前一个容器的日志",
	"forward a port": "转发端口", "what owns it": "所属对象", "how the pod was created": "Pod 的创建过程", "copy the name": "复制名称", "copy the line, or what it is about": "复制该行或其内容",
	"cordon or uncordon": "禁止或恢复调度", "restart a workload": "重启工作负载", "drain": "腾空", "all actions": "所有可用操作",
	"the suggested fix": "建议的修复", "copy the command": "复制命令",
	"the other answer": "另一个选项", "previous input": "上一条输入", "next input": "下一条输入", "accept the first suggestion": "接受第一个建议",
	"a word to the left": "左移一词", "a word to the right": "右移一词", "delete the character before the cursor": "删除光标前的字符",
	"delete the character under the cursor": "删除光标处的字符", "cut the word before the cursor": "剪切光标前的词", "cut the word after the cursor": "剪切光标后的词",
	"cut everything before the cursor": "剪切光标前的全部内容", "cut everything after the cursor": "剪切光标后的全部内容", "insert the last cut text": "插入最近剪切的内容", "cancel what is running": "取消正在进行的操作",
	"beginning": "开头", "end, and follow": "末尾并跟随", "left": "左", "right": "右", "next match": "下一处匹配", "previous match": "上一处匹配", "show matching lines only": "只显示匹配行",
	"pause or follow; nothing is lost": "暂停或跟随；不会丢失内容", "wrap long lines": "长行换行", "times: clock, age, none": "时间：时刻、时长、不显示", "JSON as received, or readable": "JSON 原文或易读格式",
	"the previous run": "上一次运行", "the next run": "下一次运行", "copy the line": "复制该行", "save to a file": "保存到文件", "choose a container": "选择容器", "accept": "确认",

	// Verbs.
	"run the suggested fix": "执行建议的修复", "show as YAML": "以 YAML 显示", "how it was created": "创建过程",
	"forward a port to this machine": "把端口转发到本机", "go to what owns it": "前往所属对象",
	"only for pods": "仅适用于 Pod", "only for nodes": "仅适用于节点", "it has no logs": "没有日志", "only pods and nodes have a shell": "仅 Pod 和节点有终端",
	"the pod is not running: it is %s": "Pod 未运行：状态为 %s", "it has no ports": "没有端口", "nothing owns it": "没有所属对象", "it has no replicas": "没有副本",
	"only workloads can be restarted": "只能重启工作负载", "nothing would recreate the pod": "没有控制器会重建该 Pod", "no fix is known for it": "没有已知的修复",
	"nothing is selected": "未选中任何对象", "one at a time": "一次只能一个", "bonsai ui runs with --readonly": "bonsai ui 以 --readonly 运行",
	"the cluster does not answer; the data shown may be old": "集群无响应；所示数据可能已过时", "%s: nothing is selected here": "%s：此处未选中任何对象", "%s: %s": "%s：%s",
	"the object under the cursor has just been removed": "光标处的对象刚刚被移除", "%d objects": "%d 个对象",
	"delete %s?": "删除 %s？", "delete %d objects?": "删除 %d 个对象？", "and %d more": "另有 %d 个", "delete %s": "删除 %s", "cluster: %s": "集群：%s",
	"nothing recreates it": "不会被重建", "its %s creates another one": "其 %s 会重建", "everything in it is deleted too: %d pods and all other objects": "其中一切都会删除：%d 个 Pod 及其他所有对象",
	"only the Node object is deleted: its container keeps running and registers again": "仅删除 Node 对象：其容器继续运行并重新注册", "its data may be deleted with it": "其数据可能一并删除",
	"its pods are deleted with it": "其 Pod 一并删除", "all objects of this type are deleted with it": "该类型的所有对象一并删除",
	"replicas of %s: ": "%s 的副本数：", "%q is not a number of replicas": "%q 不是有效的副本数", "scale %s to %d": "将 %s 扩缩到 %d", "drain %s?": "腾空 %s？",
	"its pods move to other nodes; those of DaemonSets stay": "其 Pod 会迁移到其他节点；DaemonSet 的 Pod 保留", "what they keep in emptyDir volumes is lost": "emptyDir 卷中的数据会丢失",
	"drain %s": "腾空 %s", "restart %s": "重启 %s", "uncordon %s": "恢复调度 %s", "cordon %s": "禁止调度 %s",

	// Lists, prompts, the palette.
	"name": "名称", "choose it again to reverse the order": "再选一次则反转顺序", "sort by": "排序依据", "reading %s": "正在读取 %s", "nothing matches %q; %s clears the filter": "没有匹配 %q 的内容；%s 清除过滤",
	"no %s in %q; %s another namespace, %s all": "没有 %s 在 %q 中；%s 换命名空间，%s 查看全部", "there are no %s": "没有 %s", "%d so far": "已读取 %d",
	"here": "此处", "everywhere": "全局", "this terminal": "本终端", "theme %s, %d by %d cells, language %s": "主题 %s，%d × %d，语言 %s", "theme %s": "主题 %s", "setting": "设置",
	"what was detected about this terminal": "终端检测结果", "there is nothing to filter here": "此处没有可过滤的内容", "unknown type or screen %q": "没有名为 %q 的类型或屏幕",
	"%d pods": "%d 个 Pod", "enter keeps it, esc clears it": "回车保留，esc 清除", "keys: %s": "按键：%s", "%s does nothing here; %s shows the keys": "%s 在此无作用；%s 显示按键",
	"theme %s; --theme %s keeps it": "主题 %s；用 --theme %s 保留", "bonsai uses the mouse again": "bonsai 重新接管鼠标",
	"the terminal has the mouse: select and copy; %s takes it back": "鼠标已交给终端：可选择和复制；按 %s 收回", "copied: %s": "已复制：%s",
	"overview": "概览", "dns": "DNS", "control": "控制平面", "ports": "端口", "what was done": "已执行的操作", "it has ended": "已结束",
	"nothing has been done here yet; your actions are listed with the commands that do the same": "尚未执行任何操作；你的操作会与等效命令一起列在这里",
	"reading the types of the API server":                                                        "正在读取 API server 的资源类型",

	"next pane": "下一窗格", "to the next pane": "到下一个窗格", "to the previous pane": "到上一个窗格", "only this pane, and back": "只看这个窗格，再按恢复",
	"this pane larger": "放大这个窗格", "this pane smaller": "缩小这个窗格", "panes side by side": "并排的窗格",
}
