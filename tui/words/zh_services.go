package words

// zhServices is what problems with Services, Ingresses, policies, autoscalers and CronJobs advise.
var zhServices = map[string]string{
	"compare the Service's selector with the labels of the pods": "对照 Service 的选择器与 Pod 的标签",
	"correct the selector":                                                   "更正选择器",
	"if that is meant, correct the selector":                                 "如果指的是它，更正选择器",
	"see the labels that pods have":                                          "查看 Pod 的标签",
	"change it by hand":                                                      "手动修改",
	"see what its pods wait for":                                             "查看其 Pod 在等待什么",
	"if that is meant, lead to the port that they have":                      "如果指的是它，指向 Pod 已有的端口",
	"if that is meant, lead to the port that it listens on":                  "如果指的是它，指向程序监听的端口",
	"make the program listen at all addresses (0.0.0.0)":                     "让程序监听所有地址（0.0.0.0）",
	"see whether its program has started to serve":                           "查看其程序是否已开始提供服务",
	"reach it from this machine meanwhile":                                   "暂时从本机访问它",
	"or let it have a port of the nodes only":                                "或只使用节点端口",
	"install an ingress controller, or reach its Services from this machine": "安装 Ingress 控制器，或从本机访问其 Service",
	"correct scaleTargetRef":                                                 "更正 scaleTargetRef",
	"or delete it":                                                           "或将其删除",
	"set resources.requests in its containers":                               "在其容器中设置 resources.requests",
	"give its containers a request, for example":                             "为其容器设置资源请求，例如",
	"let it start when it is due":                                            "让它按时启动",
	"see what the job does":                                                  "查看该 Job 在做什么",
	"end it, and the next one starts when it is due":                         "结束它，下一个会按时启动",
	"if that is wanted, disable this addon and install the other one again":  "如果需要它，停用此插件并重新安装另一个",
	"otherwise remove the APIService, which comes back":                      "否则删除该 APIService，它会被重新创建",
	"see what its kubelet says":                                              "查看其 kubelet 的回答",
	"see the log of its controller":                                          "查看其控制器的日志",
}
