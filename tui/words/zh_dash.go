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
}
