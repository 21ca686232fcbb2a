package words

// zhLearn is the advice about lessons, registries and clusters of a process, which the command line gives.
var zhLearn = map[string]string{
	"give the cluster for the process another name":   "为该进程的集群另取一个名称",
	"or delete this one first, if you do not need it": "或者，如果不需要此集群，先将其删除",
	"see all":             "查看全部",
	"choose one":          "选择一个",
	"add what is missing": "补全缺少的内容",
	"see all mistakes":    "查看全部错误",
	"end it":              "结束它",
	"begin one":           "开始一个",
	"see it":              "查看它",
	"go on with it":       "继续",
	"see the images":      "查看镜像",
	"see the mirrors":     "查看镜像源",
	"delete it yourself if you do not need it": "如果不需要，请自行删除",
	"see the definition that there is":         "查看现有的定义",
}
