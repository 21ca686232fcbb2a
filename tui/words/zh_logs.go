package words

// zhLogs is text: logs, the pages of objects, shells and editing.
var zhLogs = map[string]string{
	"logs of %s": "%s 的日志", "logs before, of %s": "%s 的前一次日志", "everything": "全部", "container": "容器", "pod": "Pod", "show only": "仅显示", "only %s": "仅 %s",
	"%s lines were dropped: they came faster than they were shown": "丢弃了 %s 行：到达速度超过显示速度",
	"%s older lines were dropped":                                  "更早的 %s 行已丢弃",
	"only the logs of pods have one before":                        "只有 Pod 的日志才有前一次",
	"there was no container before this one; %s shows this one":    "此容器没有前一次运行；按 %s 查看当前日志",
	"the log is empty": "日志为空", "no line yet; lines are shown as they come": "暂无日志；新行到达后立即显示", "here lines may be missing": "此处可能缺少若干行",
	"%q is nowhere in it": "找不到 %q", "there is no other run": "没有其他运行", "save %d lines": "保存 %d 行", "saved %d lines: %s": "已保存 %d 行：%s",
	"not found": "未找到", "%d lines": "%d 行", "%s of %s lines": "%s / %s 行", "paused, +%s waiting": "已暂停，+%s 行待显示", "follow": "跟随", "clock": "时刻", "age": "时长",
	"column %d": "第 %d 列", "wrap": "换行", "time": "时间", "raw": "原文",
	"nothing is known of the type %s": "没有关于类型 %s 的信息", "why:": "原因：", "why": "原因", "it has gone; this is the last that was known": "对象已不存在；以下是最后已知的状态",
	"it is being deleted": "正在删除", "reading it": "读取中", "no events of it; the API server keeps those of the last hour": "没有相关事件；API server 只保留最近一小时的事件",
	"the pod has asked nothing since you look; its questions come here, those of all pods are on %s": "打开以来该 Pod 未发出查询；其查询会显示在这里，所有 Pod 的查询见 %s",
	"from %s": "来自 %s", "its containers have no variables of their own": "其容器没有自己的环境变量", "what helps": "解决办法", "node": "节点", "owner": "属主", "uses": "用量",
	"created": "创建于", "%s ago": "%s 前", "labels": "标签", "CONTAINERS": "容器", "CONDITIONS": "状况", "EVENTS": "事件", "before": "前一次", "image": "镜像", "requests": "请求",
	"limits": "上限", "ports": "端口", "mounts": "挂载", "%d restarts": "重启 %d 次", "back": "返回",
	"Summary": "摘要", "Env": "环境变量", "Birth": "诞生", "Describe": "描述",
	"only one container, or one pod": "仅一个容器或一个 Pod", "the whole line, JSON over several": "显示整行，JSON 分多行", "the next tab of the object": "对象的下一个标签页", "the tab before": "上一个标签页",
	"only one": "仅一个", "next run": "下一次运行", "previous": "前一次", "whole line": "整行", "next tab": "下一标签页", "find": "查找",
}
