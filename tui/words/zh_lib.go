package words

// zhLib is what clusters of tests have, which may lack components.
var zhLib = map[string]string{
	"off": "未启用",
}
