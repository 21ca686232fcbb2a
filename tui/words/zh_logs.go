package words

var zhLogs = map[string]string{}
