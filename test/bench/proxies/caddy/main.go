// Command caddy is Caddy's packages with one backend, to be compared with other proxies. It has the modules that a gateway needs and no
// others, so that its size and memory are not those of things that nobody would use.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "caddy:", err)
		os.Exit(1)
	}
}

// run serves at the first address what the second one answers, with an access log on the standard output.
func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: caddy ADDRESS BACKEND")
	}
	type object = map[string]any
	app := object{"servers": object{"web": object{
		"listen":          []string{os.Args[1]},
		"automatic_https": object{"disable": true},
		"logs":            object{"default_logger_name": "access"},
		"routes": []object{{
			"match":  []object{{"host": []string{"web.test"}}},
			"handle": []object{{"handler": "reverse_proxy", "upstreams": []object{{"dial": os.Args[2]}}}},
		}},
	}}}
	http, err := json.Marshal(app)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(http, new(caddyhttp.App)); err != nil {
		return err
	}
	config, err := json.Marshal(object{
		"admin": object{"disabled": true},
		"logging": object{"logs": object{
			"default": object{"level": "ERROR", "exclude": []string{"http.log.access"}},
			"access":  object{"writer": object{"output": "stdout"}, "include": []string{"http.log.access.access"}},
		}},
		"apps": object{"http": json.RawMessage(http)},
	})
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	<-signals
	return caddy.Stop()
}
