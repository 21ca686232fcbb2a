package words

import "maps"

// chinese joins the parts, one per screen.
func chinese() map[string]string {
	all := map[string]string{}
	for _, part := range []map[string]string{zhCommon, zhLogs, zhOverview, zhDNS, zhStart, zhAdvice, zhServices, zhStuck, zhNodes, zhMachine, zhWhy, zhWeb, zhChanges, zhLib, zhDash, zhLearn} {
		maps.Copy(all, part)
	}
	return all
}
