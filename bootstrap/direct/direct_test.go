package direct_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/direct"
)

// asProgram makes this test a program that prints which proxy a request would use.
const asProgram = "BONSAI_TEST_DIRECT"

// net/http reads the environment once per process, so each case is a process of its own.
func TestOnlyOverrulesTheEnvironment(t *testing.T) {
	if mode := os.Getenv(asProgram); mode != "" {
		if mode == "direct" {
			if err := direct.Only(); err != nil {
				t.Fatal(err)
			}
		}
		for _, to := range []string{"https://10.201.0.10:10250/", "http://web.default.svc:80/"} {
			req, err := http.NewRequest(http.MethodGet, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			proxy, err := http.ProxyFromEnvironment(req)
			if err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString("proxy of " + to + ": " + cmpString(proxy == nil, "none", "one") + "\n")
		}
		return
	}
	for _, upper := range []bool{true, false} {
		for mode, want := range map[string]string{"direct": "none", "as it is": "one"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestOnlyOverrulesTheEnvironment$")
			cmd.Env = []string{asProgram + "=" + mode}
			for _, name := range cluster.ProxyVariables() {
				if (strings.ToUpper(name) == name) == upper && !strings.EqualFold(name, "NO_PROXY") {
					cmd.Env = append(cmd.Env, name+"=http://127.0.0.1:9")
				}
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := strings.Count(string(out), ": "+want+"\n"); got != 2 {
				t.Errorf("%s, upper case %v: got\n%s\nwant two requests with proxy: %s", mode, upper, out, want)
			}
		}
	}
}

func cmpString(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
