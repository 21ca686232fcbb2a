package words

var zhDNS = map[string]string{}
