package textview

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"bonsai/tui/paint"
)

// readable is a line of JSON as people read it: level and message first, then the other fields as key=value.
type readable struct {
	text   string
	fields int // where the fields begin in text
	time   time.Time
}

// The keys under which logging libraries put what comes first. What of them a line has twice stays a field the second
// time.
var (
	levelKeys   = []string{"level", "lvl", "severity", "loglevel", "log.level", "levelname", "@level", "@l"}
	messageKeys = []string{"msg", "message", "@message", "event", "text", "@m", "@mt", "body"}
	timeKeys    = []string{"time", "ts", "timestamp", "@timestamp", "datetime", "t", "@t"}
)

// readJSON makes a line readable that is one JSON object. Anything else, an object without fields, and one that has
// neither message nor level, stays as it is. What it returns is clean.
func readJSON(line string) (readable, bool) {
	body := strings.TrimSpace(line)
	if len(body) < 2 || body[0] != '{' || body[len(body)-1] != '}' || !json.Valid([]byte(body)) {
		return readable{}, false
	}
	var (
		r              readable
		level, message string
		haveMessage    bool
		haveTime       bool
		rest           strings.Builder
	)
	members(body, func(key, value string) {
		switch {
		case level == "" && is(levelKeys, key) && levelName(value) != "":
			level = levelName(value)
			return
		case !haveMessage && is(messageKeys, key) && value[0] == '"':
			message, haveMessage = text(value), true
			return
		case !haveTime && is(timeKeys, key):
			if t, ok := timeOf(value); ok {
				r.time, haveTime = t, true
				return
			}
		}
		if rest.Len() > 0 {
			rest.WriteByte(' ')
		}
		rest.WriteString(keyText(key))
		rest.WriteByte('=')
		rest.WriteString(valueText(value))
	})
	if level == "" && !haveMessage {
		return readable{}, false
	}
	var b strings.Builder
	if level != "" {
		b.WriteString(level)
		b.WriteString(paint.Spaces(max(1, 6-len(level))))
	}
	b.WriteString(strings.TrimRight(message, " "))
	r.fields = b.Len()
	if rest.Len() > 0 {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
			b.WriteString("  ")
		}
		r.fields = b.Len()
		b.WriteString(rest.String())
	}
	r.text = b.String()
	return r, true
}

func is(keys []string, key string) bool {
	for _, k := range keys {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// members calls f with the fields of a valid JSON object, in their order: the key as text, the value as it is written.
func members(object string, f func(key, value string)) {
	i := skipSpace(object, 1)
	for i < len(object) && object[i] == '"' {
		end := skipValue(object, i)
		key := text(object[i:end])
		i = skipSpace(object, end)
		i = skipSpace(object, i+1) // the colon
		end = skipValue(object, i)
		f(key, object[i:end])
		i = skipSpace(object, end)
		if i < len(object) && object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the end of the valid value that begins at i.
func skipValue(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
		default:
			for i < len(s) && !strings.ContainsRune(",:]} \t\n\r", rune(s[i])) {
				i++
			}
		}
		if depth <= 0 {
			return min(i, len(s))
		}
	}
	return len(s)
}

// text is a JSON string without quotes and escapes, harmless.
func text(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return paint.CleanLog(s[1 : len(s)-1])
	}
	var t string
	if json.Unmarshal([]byte(s), &t) != nil {
		return paint.CleanLog(s)
	}
	return paint.CleanLog(t)
}

// keyText is a key that can be distinguished from its value.
func keyText(key string) string {
	if key == "" || strings.ContainsAny(key, ` ="`) {
		return strconv.Quote(key)
	}
	return key
}

// valueText is a value in the shortest form that shows where it ends. What is nested stays JSON.
func valueText(value string) string {
	if value[0] != '"' {
		return paint.CleanLog(value)
	}
	t := text(value)
	if t == "" || strings.ContainsAny(t, ` ="`) {
		return `"` + strings.ReplaceAll(t, `"`, `\"`) + `"`
	}
	return t
}

// levelName is the word for a level: libraries write words in any case, or numbers as bunyan and pino do.
func levelName(value string) string {
	if value[0] == '"' {
		name := strings.ToUpper(text(value))
		if _, ok := levelWords[name]; ok {
			return name
		}
		value = strings.Trim(value, `"`)
	}
	switch value {
	case "10":
		return "TRACE"
	case "20":
		return "DEBUG"
	case "30":
		return "INFO"
	case "40":
		return "WARN"
	case "50":
		return "ERROR"
	case "60":
		return "FATAL"
	}
	return ""
}

// timeOf reads a time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970.
func timeOf(value string) (time.Time, bool) {
	if value[0] == '"' {
		s := value[1 : len(value)-1]
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
			if t, err := time.Parse(layout, s); err == nil {
				return t, true
			}
		}
		return time.Time{}, false
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n < 1e8 || n > 1e19 {
		return time.Time{}, false
	}
	for n >= 1e11 { // more than seconds
		n /= 1000
	}
	seconds, part := math.Modf(n)
	return time.Unix(int64(seconds), int64(part*1e9)).UTC(), true
}

// fieldSpans adds the looks of key=value pairs.
func fieldSpans(list []Span, s string, from int) []Span {
	for i := from; i < len(s); {
		start := i
		if s[i] == '"' {
			i = skipQuoted(s, i)
		}
		for i < len(s) && s[i] != '=' {
			i++
		}
		if i >= len(s) {
			break
		}
		role := paint.Dim
		if key := s[start:i]; key == "err" || key == "error" || key == "exception" {
			role = paint.Warn
		}
		i++
		list = append(list, Span{start, i, role})
		switch {
		case i < len(s) && s[i] == '"':
			i = skipQuoted(s, i)
		case i < len(s) && (s[i] == '{' || s[i] == '['):
			i = skipValue(s, i)
		}
		for i < len(s) && s[i] != ' ' {
			i++
		}
		for i < len(s) && s[i] == ' ' {
			i++
		}
	}
	return list
}

func skipQuoted(s string, i int) int {
	for i++; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(s))
}
