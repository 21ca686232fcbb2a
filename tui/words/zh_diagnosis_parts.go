package words

// zhDiagnosisParts are what stands in the gaps of diagnoses, behind them, or alone between commas.
var zhDiagnosisParts = []phrase{
	{"{} ({} pods)", "{}（{} 个 Pod）"}, {"{} ({} pod)", "{}（{} 个 Pod）"}, {"({} pods)", "（{} 个 Pod）"},
	{"{} pods", "{} 个 Pod"}, {"{} pod", "{} 个 Pod"}, {"{} others", "{} 个"}, {"{} other", "{} 个"},
	{"{} ({_} times since {})", "{1}（自 {3} 以来 {2} 次）"}, {"({_} times since {})", "（自 {2} 以来 {1} 次）"}, {"{_} at {_}", "{} 于 {}"},
	{"once", "1 次"}, {"twice", "2 次"}, {"{} times", "{} 次"}, {"{} so far", "至今 {}"}, {"or more", "或更多"},
	{"run", "在运行"}, {"runs", "在运行"},
	{"memory", "内存"}, {"disk space", "磁盘空间"}, {"processes", "进程"},
	{"{_} and {_}", "{} 和 {}"}, {"{_} or {_}", "{} 或 {}"}, {"{_} CPUs", "{} 个 CPU"}, {"{_} of memory", "{} 内存"}, {"{_} of disk (ephemeral-storage)", "{} 磁盘（临时存储）"},
	{"its {_} pods", "其 {} 个 Pod"}, {"pod {_}", "Pod {}"}, {"port {_}", "端口 {}"}, {"port {_} (UDP)", "端口 {}（UDP）"}, {"no storage class", "没有存储类"}, {"the class {_}", "存储类 {}"}, {"the classes {}", "存储类 {}"},
	{"claim {_}", "声明 {}"}, {"claims {}", "声明 {}"}, {"service {_}", "Service {}"},
	{"starting", "启动中"}, {"failed", "失败"}, {"stopped", "已停止"}, {"degraded", "降级"}, {"blocked", "受阻"}, {"absent", "不存在"}, {"unknown", "未知"},
	{"is stopped", "已停止"}, {"is paused", "已暂停"}, {"has exited", "已退出"}, {"was stopped", "被停止"},
	{"liveness", "存活"}, {"startup", "启动"}, {"readiness", "就绪"},
	{"{} exits with {_}, {} so far", "{} 以 {} 退出，至今 {}"}, {"{} exited with {_}", "{} 以 {} 退出"}, {"{} exits on its own (exit code 0), {} so far", "{} 自行退出（退出码 0），至今 {}"},
	{"{} exited on its own (exit code 0)", "{} 自行退出（退出码 0）"}, {"container {_} {_}", "容器 {} {}"}, {"container {_}", "容器 {}"}, {"the container", "容器"},
	{"init container {_}", "初始化容器 {}"}, {"sidecar container {_}", "边车容器 {}"}, {"ephemeral container {_}", "临时容器 {}"},
	{"GET {_} on port {_}", "GET {}，端口 {}"}, {"connect to port {_}", "连接端口 {}"}, {"gRPC health on port {_}", "gRPC 健康检查，端口 {}"}, {"command {}", "命令 {}"}, {"of an unknown kind", "未知类型"}, {"ConfigMap {}", "ConfigMap {}"}, {"Secret {}", "Secret {}"},
	{"timed out", "超时"}, {"connection refused", "连接被拒绝"},
	{"the {} is being deleted, but {}", "该 {} 正在删除，但{}"}, {"{} is being deleted, but {}", "{} 正在删除，但{}"},
	{"{} has finalizer {}, which holds it", "{} 有 finalizer {}，阻止了删除"}, {"{} and {} have finalizers, which hold it", "{} 和另外 {} 有 finalizer，阻止了删除"}, {"{} other objects", "{} 个对象"}, {"{} other object", "{} 个对象"},
}
