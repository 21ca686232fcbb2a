package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

const (
	webImage = "bonsai.test/web:1"
	webHost  = "web.test"
	// wrkFor is how long each load takes, and webLimit how long what it needs may take to come.
	wrkFor   = 5 * time.Second
	webLimit = time.Minute
	// addedLatency, rateShare and gatewayMemory are the goals: what the gateway adds to a request, its share of the requests per second of
	// a direct Service, and its memory.
	addedLatency  = 300 * time.Microsecond
	rateShare     = 60
	gatewayMemory = 80
)

// way is how requests reach the pods.
type way struct{ name, url, host string }

// gateway measures requests through the gateway, the names of Services and the load balancer beside a plain NodePort, with the same
// pods: latency of one connection, and requests per second of 32. All of it is on this machine, the load too.
func (b *bench) gateway(ctx context.Context) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		const missing = "the load comes from wrk, which is not there: tools/need.sh wrk"
		if b.only != "" {
			return errors.New(missing)
		}
		fmt.Println("gateway: not measured;", missing)
		return nil
	}
	client, err := b.client()
	if err != nil {
		return err
	}
	if err := b.webPods(ctx, client); err != nil {
		return err
	}
	agent, _, err := b.nodeProcesses(ctx)
	if err != nil {
		return err
	}
	off := memory([]int{agent}, "Pss:")
	began := time.Now()
	if err := b.bonsai(ctx, "addons", "enable", "-p", b.name, "gateway"); err != nil {
		return err
	}
	report("addons enable gateway", 2*time.Second, result{took: time.Since(began)})
	ways, err := b.ways(ctx, client)
	if err != nil {
		return err
	}
	latencies, rates := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range b.runs { // in turn, so that a busy moment meets all of them
		for _, w := range ways {
			one, err := wrk(ctx, w, 1)
			if err != nil {
				return err
			}
			many, err := wrk(ctx, w, 32)
			if err != nil {
				return err
			}
			latencies[w.name] = append(latencies[w.name], one.p50)
			rates[w.name] = append(rates[w.name], time.Duration(many.rate))
		}
	}
	direct := ways[0].name
	p50, rate := middle(latencies[direct]), int(middle(rates[direct]))
	for _, w := range ways {
		l, r := middle(latencies[w.name]), int(middle(rates[w.name]))
		fmt.Printf("%-44s %8s p50  (+%s)  %7d requests/s  (%d %%)\n", w.name, l.Round(time.Microsecond), (l - p50).Round(time.Microsecond), r, 100*r/max(1, rate))
	}
	fmt.Printf("%-44s %8s          %d %% of the requests/s of %s\n", "    goal of the gateway", "+"+addedLatency.String(), rateShare, direct)
	agent, proxy, err := b.nodeProcesses(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %6d MB PSS, goal %d MB; the agent %d MB, before it was enabled %d MB\n", "gateway of a node, after the load", memory([]int{proxy}, "Pss:"), gatewayMemory, memory([]int{agent}, "Pss:"), off)
	return errors.Join(
		b.bonsai(ctx, "addons", "disable", "-p", b.name, "gateway"),
		client.CoreV1().Pods("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=web"}),
	)
}

// webPods starts a pod that serves HTTP, on the second node: the first one, which is asked, has to pass requests on.
func (b *bench) webPods(ctx context.Context, client kubernetes.Interface) error {
	program := filepath.Join(b.home, "testpod")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, "./test/images/testpod")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build testpod: %w\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	archive := filepath.Join(b.home, "web.tar")
	if err := writeImage(archive, webImage, map[string][]byte{"testpod": content}); err != nil {
		return err
	}
	if err := b.bonsai(ctx, "image", "load", "-p", b.name, archive); err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{
		NodeSelector: map[string]string{corev1.LabelHostname: b.name + "-2"},
		Containers:   []corev1.Container{{Name: "main", Image: webImage, ImagePullPolicy: corev1.PullNever, Command: []string{"/testpod", "serve"}}},
	}}
	if _, err := client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	if _, err := client.CoreV1().Services("default").Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return err
	}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: networkingv1.IngressSpec{
		IngressClassName: new("bonsai"),
		Rules: []networkingv1.IngressRule{{Host: webHost, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: new(networkingv1.PathTypePrefix), Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"}},
			}}},
		}}}},
	}}
	// Without the addon, which would be enabled on demand, an Ingress is only an object.
	if err := b.bonsai(ctx, "addons", "disable", "-p", b.name, "gateway"); err != nil {
		return err
	}
	_, err = client.NetworkingV1().Ingresses("default").Create(ctx, ingress, metav1.CreateOptions{})
	return err
}

// ways are the ways to the pods, the direct Service first, once each of them answers.
func (b *bench) ways(ctx context.Context, client kubernetes.Interface) ([]way, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, webLimit, errors.New("not everything answers after a minute"))
	defer cancel()
	node, err := client.CoreV1().Nodes().Get(ctx, b.name+"-1", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	address := ""
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			address = a.Address
		}
	}
	port, err := b.namesPort(ctx)
	if err != nil {
		return nil, err
	}
	for {
		service, err := client.CoreV1().Services("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if lb := service.Status.LoadBalancer.Ingress; len(lb) > 0 {
			list := []way{
				{"direct Service (load balancer)", "http://" + lb[0].IP + "/", ""},
				{"NodePort", "http://" + net.JoinHostPort(address, strconv.Itoa(int(service.Spec.Ports[0].NodePort))) + "/", ""},
				{"gateway (Ingress)", "http://" + address + "/", webHost},
				{"name of the Service below localhost", fmt.Sprintf("http://127.0.0.1:%d/", port), fmt.Sprintf("web.localhost:%d", port)},
			}
			if err = answers(ctx, list); err == nil {
				return list, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answers reports whether a short load on each way gets nothing but answers.
func answers(ctx context.Context, list []way) error {
	for _, w := range list {
		if _, err := wrkOnce(ctx, w, 1, time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) namesPort(ctx context.Context) (int, error) {
	cmd := exec.CommandContext(ctx, b.bin, "status", "-p", b.name, "-o", "json")
	cmd.Env = append(os.Environ(), "BONSAI_HOME="+b.home)
	out, err := cmd.Output()
	if len(out) == 0 && err != nil { // its exit code is about the cluster
		return 0, fmt.Errorf("bonsai status: %w", err)
	}
	var s struct{ Names struct{ Port int } }
	if err := json.Unmarshal(out, &s); err != nil {
		return 0, err
	}
	return s.Names.Port, nil
}

// nodeProcesses are the agent of the first node and its gateway, 0 if there is none, as this machine numbers them.
func (b *bench) nodeProcesses(ctx context.Context) (agent, gateway int, err error) {
	node := b.name + "-1"
	container, err := exec.CommandContext(ctx, "docker", "ps", "-q", "--filter", "label=io.bonsai.node="+node).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("docker ps: %w", err)
	}
	out, err := exec.CommandContext(ctx, "docker", "top", strings.TrimSpace(string(container)), "-eo", "pid,args").Output()
	if err != nil {
		return 0, 0, fmt.Errorf("docker top %s: %w", node, err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) < 2 || filepath.Base(words[1]) != "bonsai-agent" {
			continue
		}
		pid, err := strconv.Atoi(words[0])
		switch {
		case err != nil:
		case len(words) > 2 && words[2] == "gateway":
			gateway = pid
		case agent == 0:
			agent = pid
		}
	}
	return agent, gateway, nil
}

// load is what wrk measured.
type load struct {
	p50  time.Duration
	rate float64
}

func wrk(ctx context.Context, w way, connections int) (load, error) {
	return wrkOnce(ctx, w, connections, wrkFor)
}

func wrkOnce(ctx context.Context, w way, connections int, how time.Duration) (load, error) {
	args := []string{"--latency", "-t", "1", "-c", strconv.Itoa(connections), "-d", strconv.Itoa(int(how.Seconds())) + "s"}
	if w.host != "" {
		args = append(args, "-H", "Host: "+w.host)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, w.url)...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk %s: %w\n%s", w.url, err, out)
	}
	l, err := readWrk(string(out))
	if err != nil {
		return load{}, fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	return l, nil
}

var (
	wrkMedian = regexp.MustCompile(`(?m)^\s+50%\s+(\S+)$`)
	wrkRate   = regexp.MustCompile(`(?m)^Requests/sec:\s+(\S+)$`)
	wrkFailed = regexp.MustCompile(`(?m)^\s+(Non-2xx or 3xx responses: \d+|Socket errors: .*)$`)
)

// readWrk reads what wrk prints. Answers that are not what was asked for are an error: refusing is fast.
func readWrk(out string) (l load, err error) {
	if m := wrkFailed.FindStringSubmatch(out); m != nil {
		return l, errors.New(m[1])
	}
	median, rate := wrkMedian.FindStringSubmatch(out), wrkRate.FindStringSubmatch(out)
	if median == nil || rate == nil {
		return l, errors.New("wrk reports no latency")
	}
	if l.p50, err = time.ParseDuration(median[1]); err != nil {
		return l, err
	}
	l.rate, err = strconv.ParseFloat(rate[1], 64)
	return l, err
}
