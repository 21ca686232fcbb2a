package etcd

import (
	"io"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns etcd's logger, which writes lines of JSON to w. etcd ends the process when it cannot go on, for
// example without room on the disk; say is called with the reason before it does.
func newLogger(w io.Writer, say func(reason string)) *zap.Logger {
	out := zapcore.AddSync(w)
	core := zapcore.NewSamplerWithOptions(zapcore.NewCore(zapcore.NewJSONEncoder(logutil.DefaultZapLoggerConfig.EncoderConfig), out, zapcore.WarnLevel),
		time.Second, 100, 100) // of one message, as etcd does
	return zap.New(speaking{core, say}, zap.AddCaller(), zap.ErrorOutput(out))
}

// speaking is a core that says the last line of a process before it is written: that may fail, and nothing comes after
// it.
type speaking struct {
	zapcore.Core
	say func(reason string)
}

func (c speaking) With(fields []zapcore.Field) zapcore.Core {
	return speaking{c.Core.With(fields), c.say}
}

func (c speaking) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level >= zapcore.PanicLevel {
		return to.AddCore(e, c)
	}
	return c.Core.Check(e, to)
}

func (c speaking) Write(e zapcore.Entry, fields []zapcore.Field) error {
	reason := "etcd: " + e.Message
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			reason += ": " + err.Error()
		}
	}
	c.say(reason)
	return c.Core.Write(e, fields)
}
