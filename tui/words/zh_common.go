package words

// zhCommon is the chrome, the dialogs and the verbs.
var zhCommon = map[string]string{
	"Overview": "概览", "Nodes": "节点", "Pods": "Pod", "Logs": "日志", "Events": "事件", "DNS": "DNS", "Addons": "插件", "Control plane": "控制平面", "Ports": "端口",
	"find": "查找", "keys": "按键", "ready": "就绪", "live": "实时", "all": "全部", "looking": "查看中", "running": "运行中", "stopped": "已停止",
	"starting": "启动中", "stopping": "停止中", "absent": "不存在", "degraded": "降级", "failed": "失败", "unknown": "未知",
	"node not ready": "节点未就绪", "has problems": "有问题", "has warnings": "有警告", "read-only": "只读",
	"nodes %d/%d": "节点 %d/%d", "pods %d/%d": "Pod %d/%d", "silent %s, as of %s": "静默 %s，数据截至 %s",
	"Cancel": "取消", "cancel": "取消", "Delete": "删除", "Drain": "排空", "arrows choose, enter": "方向键选择，回车确认",
}
