package nodeagent

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/nodeagent/agentapi"
)

func TestUseProxyRestartsOnlyWhatHasAnother(t *testing.T) {
	ctx, cancel := wait.FromEnv().Limit(t.Context(), 10*time.Second, "a process with another proxy")
	defer cancel()
	var running *exec.Cmd
	start := func(p cluster.Proxy) {
		running = exec.Command("sleep", "1000")
		running.Env = append([]string{"PATH=/bin:/usr/bin", "HOME=/root"}, p.Environment()...)
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
	}
	proxy := cluster.Proxy{HTTPS: "http://10.201.0.1:3128", Except: "localhost"}
	start(cluster.Proxy{})
	t.Cleanup(func() { _ = running.Process.Kill(); _ = running.Wait() })
	first, asked, ends := running, 0, false
	// The agent: when asked again, it has noticed the end and started another process.
	state := func(ctx context.Context) (agentapi.State, error) {
		if asked++; asked > 1 && ends && running == first {
			_ = first.Wait()
			start(proxy)
		}
		return agentapi.State{Components: []cluster.Component{
			{Name: "kubelet", Phase: cluster.PhaseRunning, PID: 1},
			{Name: "containerd", Phase: cluster.PhaseRunning, PID: running.Process.Pid},
		}}, ctx.Err()
	}

	if err := UseProxy(ctx, cluster.Proxy{}, state); err != nil || first.Process.Signal(syscall.Signal(0)) != nil {
		t.Fatalf("with the wanted proxy: %v after %d questions; want the process untouched", err, asked)
	}
	asked, ends = 0, true
	if err := UseProxy(ctx, proxy, state); err != nil {
		t.Fatal(err)
	}
	if running == first {
		t.Error("the process without the proxy still runs")
	}
}

func TestRestartWaitsForTheNextProcess(t *testing.T) {
	ctx, cancel := wait.FromEnv().Limit(t.Context(), 10*time.Second, "another process")
	defer cancel()
	first := exec.Command("sleep", "1000")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Process.Kill(); _ = first.Wait() })
	asked := 0
	state := func(ctx context.Context) (agentapi.State, error) {
		asked++
		c := cluster.Component{Name: "kubelet", Phase: cluster.PhaseRunning, PID: first.Process.Pid}
		switch asked {
		case 1, 2: // it has not noticed yet
		case 3:
			c.Phase, c.PID = cluster.PhaseFailed, 0
		case 4:
			c.Phase, c.PID = cluster.PhaseStarting, first.Process.Pid+1
		default:
			c.PID = first.Process.Pid + 1
		}
		return agentapi.State{Components: []cluster.Component{{Name: "containerd", PID: 1, Phase: cluster.PhaseRunning}, c}}, ctx.Err()
	}
	if err := Restart(ctx, "kubelet", state); err != nil || asked != 5 {
		t.Errorf("%v after %d questions, want 5", err, asked)
	}
	if err := first.Wait(); err == nil {
		t.Error("the first process has not been ended")
	}
}
