package words

// zhDash is what only the dashboard's pages about changes, the past, traffic and starts say.
var zhDash = map[string]string{
	// Creating objects, as the API server's answers say it.
	"correct the text; nothing was created":            "请更正文本；什么都没有创建",
	"choose another name, or edit the one that exists": "请换一个名称，或编辑已有的对象",
}
