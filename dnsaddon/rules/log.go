package rules

import (
	"log/slog"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/corefile"
)

// Log writes the questions that the directive log selects to the server's log. It acts as a feed's subscriber: Active
// is called for every question, Publish for each that was answered while it is true. Its methods may be called from any
// goroutine.
type Log struct {
	log    *slog.Logger
	blocks []logBlock
}

// logBlock is a server block with its log directives, which may be none.
type logBlock struct {
	zones [][]byte
	logs  []logDirective
}

type logDirective struct {
	corefile.Log
	zones [][]byte
}

// NewLog returns the log of a configuration.
func NewLog(c corefile.Config, log *slog.Logger) *Log {
	l := &Log{log: log}
	found := false
	for _, b := range c.Blocks {
		found = found || len(b.Logs) > 0
		block := logBlock{zones: wireNames(b.Zones)}
		for _, d := range b.Logs {
			block.logs = append(block.logs, logDirective{d, wireNames(d.Zones)})
		}
		l.blocks = append(l.blocks, block)
	}
	if !found {
		l.blocks = nil
	}
	return l
}

// Active reports whether anything has to be logged.
func (l *Log) Active() bool { return l.blocks != nil }

// Publish logs a question if its server block selects it.
func (l *Log) Publish(q cluster.DNSQuery) {
	folded := packName(strings.ToLower(q.Name))
	if folded == nil {
		return
	}
	for _, d := range l.logsOf(folded) {
		if within(folded, d.zones) && wants(d.Log, q) {
			l.log.Info("query", "client", q.Client, "proto", q.Proto, "name", q.Name, "type", q.Type, "rcode", q.Rcode,
				"answers", q.Count, "source", q.Source, "took", q.Took)
			return
		}
	}
}

// logsOf are the log directives of the block that a name belongs to.
func (l *Log) logsOf(folded []byte) (logs []logDirective) {
	longest := 0
	for _, b := range l.blocks {
		for _, zone := range b.zones {
			if len(zone) > longest && isBelow(folded, zone) {
				longest, logs = len(zone), b.logs
			}
		}
	}
	return logs
}

// wants reports whether the answer is of a kind that is logged.
func wants(d corefile.Log, q cluster.DNSQuery) bool {
	switch {
	case q.Rcode == "NXDOMAIN", q.Rcode == "NOERROR" && q.Count == 0:
		return d.Denial
	case q.Rcode == "NOERROR":
		return d.Success
	}
	return d.Error
}
