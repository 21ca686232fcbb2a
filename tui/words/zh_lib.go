package words

// zhLib is what clusters of tests have, which may lack components.
var zhLib = map[string]string{
	"off":                   "未启用",
	"have no nodes":         "不要节点",
	"or run all components": "或运行全部组件",
	"write  nodes: 0, or leave out only the scheduler, in the file": "在文件中写  nodes: 0，或只省略 scheduler",
}
