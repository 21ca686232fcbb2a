// Command suite runs upstream's end-to-end tests against a cluster and says what came of them.
//
//	suite plan -bin DIR -report DIR -suite NAME -of ID [-focus RE] [-skip RE] [-list FILE] [-known FILE] [-fresh]
//	suite run  -bin DIR -report DIR -kubeconfig FILE [-procs N] [-- FLAG OF e2e.test...]
//
// "plan" selects the tests and writes them down; it needs no cluster. If the report folder holds an unfinished run of the
// same tests with the same ID, that run is continued. "run" runs what has no result yet and ends with one line like
// "conformance: 462 passed, 0 failed, 0 skipped of 462".
//
// Exit status: 0 if every test passed or was skipped, 1 if one failed, 2 if the run itself broke, 130 if it was interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"bonsai/test/conformance/internal/plan"
	"bonsai/test/conformance/internal/results"
)

// The files of a report folder. The first two are what the CNCF's conformance programme asks for.
const (
	logFile     = "e2e.log"
	junitFile   = "junit_01.xml"
	planFile    = "plan.json"
	journalFile = "journal.jsonl"
	resultFile  = "result.txt" // there once every test has a result
	passFolder  = "runs"       // what e2e.test wrote itself, a folder for each time that it ran
)

const (
	exitFailed      = 1
	exitBroken      = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	code, err := command(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		code = exitBroken
	}
	os.Exit(code)
}

// command returns the exit status if the command itself worked.
func command(ctx context.Context, args []string, out io.Writer) (int, error) {
	if len(args) == 0 {
		return 0, errors.New("say plan or run")
	}
	flags := flag.NewFlagSet("suite "+args[0], flag.ContinueOnError)
	bin := flags.String("bin", "", "folder of e2e.test, ginkgo and kubectl")
	report := flags.String("report", "", "folder of the report")
	switch args[0] {
	case "plan":
		p := planner{Plan: plan.Plan{}}
		flags.StringVar(&p.Suite, "suite", "conformance", "which tests")
		flags.StringVar(&p.Focus, "focus", "", "only tests whose names match this regular expression")
		flags.StringVar(&p.Skip, "skip", "", "no tests whose names match this regular expression")
		flags.StringVar(&p.Of, "of", "", "what identifies the build that is tested")
		list := flags.String("list", "", "file with the names of the tests of a listed suite")
		driver := flags.String("storage-driver", "", "file that describes the storage driver to test")
		known := flags.String("known", "", "conformance.yaml of another version of Kubernetes: no tests that it does not have")
		fresh := flags.Bool("fresh", false, "do not continue an unfinished run")
		if err := flags.Parse(args[1:]); err != nil {
			return 0, err
		}
		p.bin, p.report, p.list, p.known, p.driver, p.fresh = *bin, *report, *list, *known, *driver, *fresh
		return 0, p.run(ctx, out)
	case "run":
		kubeconfig := flags.String("kubeconfig", "", "the cluster to test")
		procs := flags.Int("procs", 1, "how many tests run at a time; serial ones run alone, after them")
		if err := flags.Parse(args[1:]); err != nil {
			return 0, err
		}
		return runTests(ctx, out, runner{
			bin: *bin, report: *report, kubeconfig: *kubeconfig, procs: *procs, extra: flags.Args(),
		})
	}
	return 0, fmt.Errorf("%q is neither plan nor run", args[0])
}

// open returns the plan and the journal of a report folder. The caller closes the journal.
func open(report string) (plan.Plan, *results.Journal, error) {
	p, ok, err := plan.Load(filepath.Join(report, planFile))
	if err != nil {
		return p, nil, err
	}
	if !ok {
		return p, nil, fmt.Errorf("%s holds no plan: run \"suite plan\" first", report)
	}
	journal, err := results.OpenJournal(filepath.Join(report, journalFile))
	return p, journal, err
}

func names(p plan.Plan) []string { return p.Left(func(string) bool { return false }) }
