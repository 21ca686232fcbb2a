package words

var zhOverview = map[string]string{}
