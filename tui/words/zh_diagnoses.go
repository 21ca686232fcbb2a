package words

// zhDiagnoses are the sentences that describe problems; zhDiagnosisParts, in the next file, what stands in their gaps.
var zhDiagnoses = []phrase{
	// The control plane and nodes.
	{"the control plane was killed, probably together with what started it{}", "控制平面被杀死，很可能是随启动它的进程一起{}"},
	{"the control plane's process exited unexpectedly", "控制平面的进程意外退出"}, {"the control plane ended when this machine was restarted{}", "本机重启时控制平面结束{}"},
	{"the control plane ended when this machine was restarted", "本机重启时控制平面结束"}, {"nothing starts it automatically", "不会自动启动它"},
	{"the control plane was killed together with what started it{}", "控制平面随启动它的进程一起被杀死{}"}, {"the control plane was killed together with what started it", "控制平面随启动它的进程一起被杀死"},
	{"the control plane was killed, probably together with what started it", "控制平面被杀死，很可能是随启动它的进程一起"},
	{"it was started in a pid namespace of its own (a container, a sandbox or a step of a CI job), and ended with that", "它在独立的 PID 命名空间（容器、沙箱或 CI 任务的步骤）中启动，并随之结束"},
	{"the control plane's process exited unexpectedly, and was restarted", "控制平面的进程意外退出，并已被重启"}, {"it was killed, and had no time to say why", "它被杀死，没来得及说明原因"},
	{"{}, and is being restarted at {_}", "{}，将于 {} 重启"}, {"{}, and is being restarted", "{}，正在重启"}, {"and is being restarted", "正在重启"},
	{"it was a part of {}, which has ended with all its processes", "它属于 {}，而后者已连同其所有进程结束"},
	{"the control plane's process was killed{}", "控制平面的进程被杀死{}"}, {"the control plane's process was killed", "控制平面的进程被杀死"}, {"it had no time to say why", "它没来得及说明原因"},
	{"running pods continue, but nothing is scheduled, repaired or answered", "运行中的 Pod 继续，但不再调度、修复或响应任何请求"},
	{"the container of node {} is gone", "节点 {} 的容器不见了"}, {"node {} is gone, with its data", "节点 {} 连同其数据不见了"},
	{"its container and its volume were removed from the container engine, for example by docker system prune", "其容器和卷已从容器引擎中移除，例如被 docker system prune 移除"},
	{"the container engine does not answer", "容器引擎无响应"}, {"running containers continue without it", "运行中的容器不受影响"},
	{"the container of node {} {}", "节点 {} 的容器{}"}, {"the control plane's process does not answer", "控制平面的进程无响应"},
	{"the certificates on disk are not those that the running control plane uses", "磁盘上的证书不是运行中的控制平面所用的证书"}, {"they were renewed or replaced after its start", "它们在控制平面启动之后被更新或替换"},
	{"{} is valid until {}", "{} 有效期至 {}"}, {"{} on node {} exits again and again", "节点 {2} 上的 {1} 反复退出"}, {"{} on node {} is {_}", "节点 {2} 上的 {1} {3}"},
	{"addon {} is {_}", "插件 {} {}"}, {"{} is starting", "{} 启动中"}, {"{} is stopping", "{} 停止中"}, {"{} is stopped", "{} 已停止"}, {"{} is failed", "{} 失败"}, {"{} is degraded", "{} 降级"}, {"{} is absent", "{} 不存在"}, {"{} is unknown", "{} 状态未知"}, {"node {} is not ready", "节点 {} 未就绪"}, {"{} is not ready", "{} 未就绪"}, {"its kubelet no longer reports", "其 kubelet 不再上报"},
	{"node {} is short of {}", "节点 {} 的{}不足"}, {"restarted {}", "已重启 {}"},
	{"etcd is {}% full: {} of {}", "etcd 已用 {}%：{}，共 {}"}, {"etcd is full ({}) and refuses all writes: nothing can be created or changed", "etcd 已满（{}），拒绝一切写入：无法创建或更改任何对象"}, {"it is taken by {}", "占用者：{}"}, {"its pod network is not set up: {}", "其 Pod 网络尚未配置：{}"},
	{"the images in it, and the data of all claims that were on it, are lost", "其中的镜像以及其上所有声明的数据已丢失"}, {"the images in it, and the data of {}, are lost", "其中的镜像以及 {} 的数据已丢失"}, {"the images in it are lost", "其中的镜像已丢失"},
	{"pods cannot reach what this machine reaches at {}", "Pod 无法访问本机可访问的 {}"}, {"the cluster's {} have {}", "集群的{}使用 {}"},

	// APIs, webhooks, autoscalers.
	{"nobody answers for API {}", "API {} 无人响应"}, {"cannot scale", "无法扩缩"}, {"the metrics API does not answer", "指标 API 无响应"},
	{"APIService v1beta1.metrics.k8s.io exists, but what it leads to does not answer", "APIService v1beta1.metrics.k8s.io 存在，但其后端无响应"},
	{"its pods do not say how much {} they request", "其 Pod 没有声明请求多少 {}"}, {"it scales by the share of the request that is used", "它按已用占请求的比例扩缩"}, {"nothing provides its metrics", "没有组件提供其指标"},
	{"spec.scaleTargetRef names it, and namespace {} has no such object", "spec.scaleTargetRef 指向它，而命名空间 {} 中没有这个对象"}, {"the API server has no kind {} in {}", "API server 在 {2} 中没有类型 {1}"},
	{"there are no metrics", "没有指标"},
	{"the API metrics.k8s.io, from which it gets the use of CPU and memory, does not exist: metrics-server is not installed", "用于获取 CPU 和内存用量的 API metrics.k8s.io 不存在：未安装 metrics-server"},
	{"webhook {} refuses whatever it covers, because nobody answers it", "webhook {} 因无人响应而拒绝其覆盖的一切请求"}, {"its failurePolicy is Fail", "其 failurePolicy 为 Fail"},

	{"its Service {} does not exist", "其 Service {} 不存在"}, {"no pod of its Service {} is ready", "其 Service {} 的 Pod 都未就绪"}, {"the API server cannot call it: {}", "API server 无法调用它：{}"},

	// Volumes and claims.
	{"its volume was on node {}, which does not exist any more", "其卷在节点 {} 上，而该节点已不存在"}, {"the data of claim {} is lost with the node", "声明 {} 的数据已随节点丢失"},
	{"its volume is on node {}, which does not work", "其卷在节点 {} 上，而该节点不工作"}, {"the data of claim {} is kept there", "声明 {} 的数据保留在那里"}, {"the pod starts when the node is back", "节点恢复后该 Pod 会启动"},
	{"its volume is on node {}, which accepts no new pods", "其卷在节点 {} 上，而该节点不接受新的 Pod"}, {"the node is cordoned", "该节点已禁止调度"}, {"waits for node {}, which does not work", "等待节点 {}，而该节点不工作"},
	{"a StatefulSet replaces a pod only when the old one is known to have ended", "StatefulSet 只有在确知旧 Pod 已结束后才会替换它"}, {"no controller starts the pod elsewhere", "没有控制器会在别处启动该 Pod"},
	{"its volume exists only there", "其卷只存在于那里"}, {"its data (claim {}) is on that node and is kept", "其数据（声明 {}）在该节点上并会保留"},
	{"is waiting for a volume", "在等待卷"}, {"a claim of the pod is not bound", "该 Pod 的一个声明未绑定"}, {"is waiting for claim {}", "在等待声明 {}"}, {"claim {} does not exist", "声明 {} 不存在"}, {"the pod uses it as a volume", "该 Pod 将其用作卷"},
	{"the claim has lost its data", "该声明的数据已丢失"}, {"node {} no longer has the folder of volume {}: the node was created again without its disk", "节点 {} 上已没有卷 {} 的目录：该节点在没有其磁盘的情况下被重建"},
	{"volume {} cannot be mounted", "无法挂载卷 {}"}, {"its volumes cannot be mounted", "无法挂载其卷"}, {"the claim has no volume", "该声明没有卷"}, {"the claim has lost its volume", "该声明的卷已丢失"},
	{"volume {} does not exist any more, and its data is lost", "卷 {} 已不存在，其数据已丢失"}, {"its class is empty, which matches only existing volumes, and none fits", "其存储类为空，只匹配现有的卷，而没有合适的"},
	{"it names no storage class, and the cluster has no default one", "它没有指定存储类，而集群没有默认存储类"}, {"storage class {} does not exist", "存储类 {} 不存在"}, {"the cluster has {}", "集群有{}"},
	{"class {} does not create volumes, and no existing one fits", "存储类 {} 不创建卷，而没有合适的现有卷"}, {"nothing creates volumes of class {} (provisioner {})", "没有组件为存储类 {} 创建卷（provisioner {}）"},
	{"volume {} cannot be mounted into a pod with hostUsers: false", "卷 {} 无法挂载到 hostUsers: false 的 Pod"}, {"node {} can map the owners of files below /var only, where its disk is", "节点 {} 只能映射 /var 之下文件的所有者，其磁盘在那里"},
	{"the node has no user namespaces: pods with hostUsers: false cannot start", "该节点没有用户命名空间：hostUsers: false 的 Pod 无法启动"},
	{"node {} has no {}", "节点 {} 没有 {}"}, {"hostPath means the node's files, and not this machine's", "hostPath 指节点的文件，而不是本机的"}, {"node {} has no program to mount {} ({})", "节点 {} 没有用于挂载 {} 的程序（{}）"},

	// Configuration and images.
	{"{} cannot be configured", "{} 无法配置"}, {"{} must not run as root, but its image does", "{} 不得以 root 运行，但其镜像以 root 运行"}, {"{} does not exist", "{} 不存在"}, {"the pod needs it for {}", "该 Pod 需要它用于{}"}, {"{} has no key {}", "{} 没有键 {}"},
	{"image {} cannot be pulled", "无法拉取镜像 {}"}, {"image {} is not on node {}", "镜像 {} 不在节点 {} 上"}, {"imagePullPolicy is Never, so it is not pulled{}", "imagePullPolicy 为 Never，因此不会拉取{}"},
	{"imagePullPolicy is Never, so it is not pulled", "imagePullPolicy 为 Never，因此不会拉取"}, {"image {} is not the name of an image", "{} 不是镜像名称"}, {"imagePullSecrets names {}, which cannot be read", "imagePullSecrets 指定的 {} 无法读取"},

	{"the names of Services end in {}", "Service 的名称以 {} 结尾"}, {"Service {} is in namespace {}, not in {}", "Service {} 在命名空间 {} 中，而不在 {} 中"}, {"there is no Service {} in namespace {}, but {}", "命名空间 {2} 中没有 Service {1}，但{3}"},
	{"the nodes cannot reach their proxy, which HTTPS_PROXY or HTTP_PROXY named at the last start", "节点无法访问其代理，即上次启动时 HTTPS_PROXY 或 HTTP_PROXY 所指定的代理"}, {"the nodes cannot reach {}", "节点无法访问 {}"},

	{"the registry did not provide it", "镜像仓库没有提供它"}, {"the disk is full", "磁盘已满"}, {"the proxy of the nodes requires a login", "节点的代理要求登录"},
	{"{} refuses further pulls for now: too many pulls from this address", "{} 暂时拒绝继续拉取：来自此地址的拉取过多"}, {"the certificate of {} is not trusted by the nodes", "节点不信任 {} 的证书"}, {"{} speaks http, but nodes use https", "{} 使用 http，而节点使用 https"},
	{"the image is not made for this machine's architecture", "该镜像不适用于本机的架构"}, {"{} has no such image, or requires a login for it", "{} 没有此镜像，或要求登录"}, {"{} requires a login for it", "{} 要求登录"},
	{"{} has no such image: the name or tag is wrong, or it was never pushed", "{} 没有此镜像：名称或标签有误，或从未推送"},
	{"the kernel, or the file system of the engine's disk, cannot map the owners of files (Linux 6.3 with ext4, xfs or btrfs can)", "内核或引擎磁盘的文件系统无法映射文件所有者（Linux 6.3 与 ext4、xfs 或 btrfs 可以）"},
	{"the kernel refuses the pod its own /proc or /sys, because parts of the node's are covered: the engine runs in a container itself", "内核拒绝为该 Pod 提供自己的 /proc 或 /sys，因为节点的部分被遮盖：引擎本身运行在容器中"},
	{"the engine has too few user ids of its own to give some to pods, as a rootless engine{}", "引擎自己的用户 ID 太少，无法分给 Pod，如 rootless 引擎{}"}, {"the engine has too few user ids of its own to give some to pods, as a rootless engine", "引擎自己的用户 ID 太少，无法分给 Pod，如 rootless 引擎"},
	{"the kernel of the engine's machine permits no more user namespaces", "引擎所在机器的内核不允许更多用户命名空间"}, {"RuntimeClass {} needs the runtime {}", "RuntimeClass {} 需要运行时 {}"}, {"the nodes of this cluster have only runc", "此集群的节点只有 runc"},
	{"node {} has no seccomp profile {}", "节点 {} 没有 seccomp 配置 {}"}, {"a profile of type Localhost has to be put on every node", "Localhost 类型的配置必须放到每个节点上"}, {"its Service {} has no port {}", "其 Service {} 没有端口 {}"},
	{"its command {} does not exist in the image {}", "其命令 {} 在镜像 {} 中不存在"}, {"its command {} is not executable", "其命令 {} 不可执行"}, {"its command {} is not for this machine's architecture", "其命令 {} 不适用于本机的架构"},

	// Containers and probes.
	{"{} is killed because of its memory use", "{} 因内存用量被杀死"}, {"it needs more than its limit of {}", "它需要的超过其限制 {}"}, {"it has no limit of its own", "它自己没有限制"}, {"node {} or its pod had no more", "节点 {} 或其 Pod 已没有更多内存"},
	{"the pod has failed on node {}: {}", "该 Pod 在节点 {} 上失败：{}"}, {"the pod's sandbox cannot be created on node {}", "无法在节点 {} 上创建该 Pod 的沙箱"},
	{"{} is running but not ready", "{} 正在运行但未就绪"}, {"its readiness probe ({}) fails", "其就绪探针（{}）失败"}, {"its readiness probe ({}): {}", "其就绪探针（{}）：{}"}, {"{} is restarted because its {} probe fails", "{} 因{}探针失败而被重启"},
	{"{} is killed (exit code {}), probably because its {} probe fails", "{} 被杀死（退出码 {}），很可能因为{}探针失败"}, {"{}: its last life ended when the probe could have ended it", "{}：上一次运行结束的时刻与探针可能结束它的时刻一致"},
	{"its pods are ended by their node again and again: {}", "其 Pod 反复被所在节点结束：{}"},

	{"it finishes its work and exits, but its pod should run forever", "它完成工作后退出，但其 Pod 应一直运行"}, {"its command is not executable", "其命令不可执行"}, {"its command does not exist in the image{}", "其命令在镜像中不存在{}"},
	{"its command does not exist in the image", "其命令在镜像中不存在"}, {"it ran an instruction that this machine's processor does not have (SIGILL)", "它执行了本机处理器不支持的指令（SIGILL）"}, {"it aborted itself (SIGABRT)", "它自行中止（SIGABRT）"},
	{"it was killed (SIGKILL)", "它被杀死（SIGKILL）"}, {"it accessed memory that is not its own (SIGSEGV)", "它访问了不属于自己的内存（SIGSEGV）"}, {"it was asked to stop (SIGTERM)", "它被要求停止（SIGTERM）"},
	{"it answers {}", "它返回 {}"}, {"nothing listens on port {}", "端口 {} 上没有监听"}, {"timed out after {}", "{} 后超时"}, {"the connection to port {} is cut off", "到端口 {} 的连接被切断"},
	{"port {} speaks http, but the probe uses https", "端口 {} 使用 http，而探针使用 https"}, {"port {} does not speak http", "端口 {} 不使用 http"}, {"the command does not exist in the image", "该命令在镜像中不存在"},
	{"the command fails and prints nothing", "该命令失败且没有输出"}, {"the command fails: {}", "该命令失败：{}"}, {"it is loaded on {} only", "它只加载到了 {}"}, {"nodes have it as {}, but not by this digest", "节点以 {} 之名拥有它，但摘要不同"},
	{"its pods are rejected by quota {}", "其 Pod 被配额 {} 拒绝"}, {"its pods are rejected by PodSecurity: they are not {}", "其 Pod 被 PodSecurity 拒绝：不符合 {}"}, {"against the rules: {}", "违反规则：{}"}, {"its pods are rejected by webhook {}", "其 Pod 被 webhook {} 拒绝"},
	{"its pods are rejected, because webhook {} does not answer", "其 Pod 被拒绝，因为 webhook {} 无响应"}, {"its pods are rejected by policy {}", "其 Pod 被策略 {} 拒绝"}, {"its pods are rejected by a LimitRange", "其 Pod 被 LimitRange 拒绝"},
	{"its pods are rejected: service account {} does not exist", "其 Pod 被拒绝：服务账号 {} 不存在"}, {"its pods are rejected: runtime class {} does not exist", "其 Pod 被拒绝：运行时类 {} 不存在"},
	{"its pods are rejected: priority class {} does not exist", "其 Pod 被拒绝：优先级类 {} 不存在"}, {"its pods cannot be created", "无法创建其 Pod"},

	// Jobs and CronJobs.
	{"its job {} is still running, and its concurrencyPolicy is Forbid", "其 Job {} 仍在运行，而其 concurrencyPolicy 为 Forbid"}, {"its startingDeadlineSeconds is {}: a start that comes later than that is left out", "其 startingDeadlineSeconds 为 {}：晚于此的启动会被略过"},
	{"its controller has not started it", "其控制器没有启动它"}, {"never starts", "永不启动"}, {"time zone {} is not known", "未知的时区 {}"}, {"names of time zones look like Europe/Berlin or Etc/UTC", "时区名称形如 Europe/Berlin 或 Etc/UTC"},
	{"its schedule cannot be read", "无法读取其计划"}, {"schedule {}: {}", "计划 {}：{}"}, {"does not start any more", "不再启动"}, {"its schedule names a day that does not exist", "其计划指定了不存在的日期"}, {"no day ever matches schedule {}", "没有任何一天符合计划 {}"},
	{"it has missed {} starts or more", "它已错过至少 {} 次启动"}, {"it has missed {} starts", "它已错过 {} 次启动"}, {"it is suspended", "它已挂起"}, {"has never started", "从未启动"},
	{"the job's pods fail, {} so far", "该 Job 的 Pod 失败，至今 {}"}, {"the job has failed", "该 Job 已失败"}, {"its pods failed {}, and no more retries are allowed", "其 Pod 已失败 {}，不允许再重试"},
	{"the job has failed: its pods failed {}, and no more retries are allowed", "该 Job 已失败：其 Pod 已失败 {}，不允许再重试"},

	// Rollouts.
	{"it has made no progress for longer than its progressDeadlineSeconds: {}", "它在超过 progressDeadlineSeconds 的时间内没有进展：{}"}, {"its rollout is stuck", "其滚动更新卡住了"}, {"{} of the revision before still {}", "上一版本的 {} 仍{}"},
	{"its new pods fail: {}", "其新 Pod 失败：{}"},

	// Deletion and drain.
	{"its finalizer {} holds it", "其 finalizer {} 阻止删除"}, {"finalizer {} holds it", "finalizer {} 阻止删除"}, {"pod {} uses it", "Pod {} 在使用它"}, {"pod {} and {} use it", "Pod {} 和另外 {} 在使用它"},
	{"the controller that set the finalizer has not removed it: it does not run here, or it fails", "设置 finalizer 的控制器没有移除它：它没有在此运行，或者失败了"},
	{"it is deleted with the last pod that uses it, and its data with it", "它会随最后一个使用它的 Pod 一起删除，其数据也一并删除"}, {"claim {} has it", "声明 {} 占有它"}, {"it is deleted with its claim", "它会随其声明一起删除"},
	{"the pod is being deleted, but node {} does not end it", "该 Pod 正在删除，但节点 {} 没有结束它"}, {"its grace period is over, and it still runs", "宽限期已过，它仍在运行"}, {"some of its objects cannot be deleted", "其中一些对象无法删除"},
	{"one of its APIs has a wrong name", "其一个 API 的名称有误"}, {"its content is not known without API {}", "没有 API {} 就无法得知其内容"}, {"its content is not known, because an API of the cluster does not answer", "无法得知其内容，因为集群的一个 API 无响应"},
	{"pod {} is on node {}, which does not report", "Pod {} 在节点 {} 上，而该节点不上报"}, {"node {} does not end pod {}", "节点 {} 没有结束 Pod {}"},
	{"the budget keeps {} on {}, which cannot be drained", "预算使 {} 留在 {} 上，因此无法腾空"}, {"it wants {} of {} to be available, so none may be evicted", "它要求 {2} 中有 {1} 个可用，因此一个也不能驱逐"},
	{"it wants {} of {} to be available, and {} {}", "它要求 {2} 中有 {1} 个可用，而现有 {3} 个"}, {"cannot be evicted from node {}, because several budgets select it", "无法从节点 {} 驱逐，因为有多个预算选中它"},
	{"PodDisruptionBudgets {} select the pod", "PodDisruptionBudget {} 选中该 Pod"}, {"the API server evicts only pods with one", "API server 只驱逐仅有一个预算的 Pod"},
	{"the budget never allows an eviction, so nodes with its pods cannot be drained", "该预算从不允许驱逐，因此有其 Pod 的节点无法腾空"},

	// Services, ingresses, names, ports.
	{"it names no class, and none is the default", "它没有指定类，也没有默认类"}, {"ingress class {} does not exist", "Ingress 类 {} 不存在"}, {"its load balancer stays pending", "其负载均衡器一直等待中"},
	{"nothing in this cluster gives Services of type LoadBalancer an address", "此集群中没有组件为 LoadBalancer 类型的 Service 分配地址"}, {"nothing in this cluster gives Services of load balancer class {} an address", "此集群中没有组件为负载均衡类 {} 的 Service 分配地址"},
	{"at a node's address it can be reached already: {}", "通过节点地址已可访问：{}"}, {"no controller serves it", "没有控制器为它服务"},
	{"asks DNS for {}: no such name", "向 DNS 查询 {}：没有这个名称"}, {"nothing has this name", "没有任何对象叫这个名称"}, {"meant {}?", "是否指 {}？"}, {"there is no Service {} in namespace {}", "命名空间 {2} 中没有 Service {1}"},
	{"there is no namespace {}", "没有命名空间 {}"}, {"because of that {}", "因此 {}"}, {"the pod network of this cluster does not enforce NetworkPolicies: they are stored, and all traffic passes", "此集群的 Pod 网络不执行 NetworkPolicy：它们只被保存，所有流量都会通过"},
	{"its NetworkPolicies are not enforced here: {}", "其 NetworkPolicy 在此不被执行：{}"}, {"the host port that the pod requests is not free on any node", "该 Pod 请求的主机端口在任何节点上都不空闲"},
	{"host port {} is taken on every node that could take the pod", "主机端口 {} 在每个可容纳该 Pod 的节点上都被占用"}, {"pods with a host port cannot share a node", "使用主机端口的 Pod 不能共用节点"}, {"{} is taken on node {}", "{} 在节点 {} 上被占用"},
	{"pod {} has it: {}", "Pod {} 占用它：{}"}, {"{} of the node has it: {}", "节点的 {} 占用它：{}"}, {"{} is taken inside the pod", "{} 在 Pod 内被占用"},
	{"selects no pod", "没有选中任何 Pod"}, {"none has {}", "没有一个带有 {}"}, {"{} is a label of {}", "{} 是 {} 的标签"}, {"leads nowhere: none of its {} is ready", "无处可通：其 {} 都未就绪"},
	{"{} leads to {}, where nothing listens", "{} 通往 {}，而那里没有监听"}, {"{} listens on it at 127.0.0.1 only, which no other pod can reach", "{} 只在 127.0.0.1 上监听它，其他 Pod 无法访问"}, {"{} listens on no port at all", "{} 没有监听任何端口"},
	{"{_} listens on {}", "{} 监听 {}"}, {"pod {} listens on {}", "Pod {} 监听 {}"}, {"container {} listens on {}", "容器 {} 监听 {}"}, {"{} in it listens on {}", "其中的 {} 监听 {}"}, {"{} leads to {}, which no pod has", "{} 通往 {}，而没有 Pod 拥有它"}, {"no container of {} declares a port of that name", "{} 的容器都没有声明此名称的端口"}, {"declared: {}", "已声明：{}"},
	{"no container of {} declares a port", "{} 的容器都没有声明端口"}, {"without a name, a target port needs no declaration", "没有名称的目标端口无需声明"}, {"it listens on {}", "它监听 {}"},

	// Scheduling.
	{"it requests {}, and no node has any", "它请求 {}，而没有节点拥有"}, {"it requests {}", "它请求 {}"}, {"and no node has any", "而没有节点拥有"}, {"the node with the most, {_}, has {} left, and none is larger than {}", "剩余最多的节点 {} 还有 {}，且没有节点大于 {}"},
	{"the node with the most, {_}, has {} left", "剩余最多的节点 {} 还有 {}"}, {"the node with the most, {_}, has {}", "剩余最多的节点 {} 有 {}"}, {"left, and none is larger than {}", "，且没有节点大于 {}"}, {"it was killed because of its memory use", "它因内存用量被杀死"},
	{"no node may run more pods", "没有节点可运行更多 Pod"}, {"no node has enough {} left", "没有节点剩余足够的 {}"}, {"no node is suitable", "没有合适的节点"}, {"{} has the taint {}, which it does not tolerate", "{} 有它不容忍的污点 {}"},
	{"{} accepts no new pods (cordoned)", "{} 不接受新的 Pod（已禁止调度）"}, {"no node matches its requirements", "没有节点符合其要求"}, {"its node selector and affinity match no node that has room", "其节点选择器和亲和性不匹配任何有空间的节点"},
	{"the cluster has no nodes", "集群没有节点"}, {"its topology spread constraints allow none of the nodes", "其拓扑分布约束不允许任何节点"}, {"it must not share a node with pods that are already there (pod anti-affinity)", "它不得与已在那里的 Pod 共用节点（Pod 反亲和性）"},
	{"it has to be near pods that do not exist (pod affinity)", "它必须靠近不存在的 Pod（Pod 亲和性）"}, {"its volume is on a node that cannot run the pod", "其卷所在的节点无法运行该 Pod"},
}
