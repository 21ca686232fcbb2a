package words

var zhStart = map[string]string{}
