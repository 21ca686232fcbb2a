package problems

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/problems/diagnose"
)

const (
	// logLines and logBytes limit what is fetched of a log.
	logLines = int64(40)
	logBytes = int64(64 << 10)
	// answerLimit bounds an answer, maxAsked how many are awaited at once.
	answerLimit = 3 * time.Second
	maxAsked    = 4
	// maxAnswers limits what is stored; a cluster with more crashes than that has enough problems.
	maxAnswers = 200
	// fresh is how long an answer that can change is used. The log of a container that has exited does not change.
	fresh = 10 * time.Second
	// freshDenied is the same for traffic that is stopped, which should be seen while it is being looked for.
	freshDenied = 3 * time.Second
	// maxNames is how many names of a namespace are read.
	maxNames = int64(500)
)

// fetcher finds the answers to the questions of diagnoses, and keeps them as long as they are asked.
type fetcher struct {
	client    kubernetes.Interface
	metadata  metadata.Interface
	dns       func() DNS
	listening func(ctx context.Context, node, uid string) ([]cluster.Listening, error)
	images    func(context.Context) map[string][]cluster.NodeImage
	denied    func(context.Context) []cluster.Denied
	scale     wait.Scale
	// changed is called when there is another answer.
	changed func()
	slot    chan struct{}
	work    sync.WaitGroup

	mu      sync.Mutex // guards the rest
	answers map[diagnose.Question]known
}

// known is an answer, or that one is awaited.
type known struct {
	diagnose.Answer
	there   bool
	waiting bool
	at      time.Time
}

func newFetcher(o Options, changed func()) *fetcher {
	return &fetcher{
		client: o.Client, metadata: o.Metadata, dns: o.DNS, listening: o.Listening, images: o.Images, denied: o.Denied, scale: o.Scale,
		changed: changed, slot: make(chan struct{}, maxAsked),
		answers: map[diagnose.Question]known{},
	}
}

// wait waits for all answers; the context of the questions has ended.
func (f *fetcher) wait() { f.work.Wait() }

// known returns the answers so far.
func (f *fetcher) known() map[diagnose.Question]diagnose.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := make(map[diagnose.Question]diagnose.Answer, len(f.answers))
	for q, k := range f.answers {
		if k.there {
			m[q] = k.Answer
		}
	}
	return m
}

// ask starts finding out what is not known, and drops what is no longer asked. It returns how many questions have no
// answer yet, and when the first answer is too old.
func (f *fetcher) ask(ctx context.Context, questions []diagnose.Question) (open int, expiry time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(questions) > maxAnswers {
		questions = questions[:maxAnswers]
	}
	wanted := make(map[diagnose.Question]bool, len(questions))
	now := time.Now()
	for _, q := range questions {
		wanted[q] = true
		k := f.answers[q]
		if !k.there {
			open++
		}
		final := q.Topic == diagnose.LogOf || q.Topic == diagnose.Listening && k.Found // a program that has begun to listen goes on
		old := k.there && (k.Failed || !final)
		if old {
			lasts := fresh
			if q.Topic == diagnose.DeniedTraffic {
				lasts = freshDenied
			}
			if end := k.at.Add(lasts); now.Before(end) {
				if expiry.IsZero() || end.Before(expiry) {
					expiry = end
				}
				continue
			}
		}
		if k.waiting || k.there && !old {
			continue
		}
		k.waiting = true
		f.answers[q] = k
		f.work.Go(func() { f.find(ctx, q) })
	}
	maps.DeleteFunc(f.answers, func(q diagnose.Question, k known) bool { return !wanted[q] && !k.waiting })
	return open, expiry
}

// find answers one question.
func (f *fetcher) find(ctx context.Context, q diagnose.Question) {
	select {
	case f.slot <- struct{}{}:
		defer func() { <-f.slot }()
	case <-ctx.Done():
		return
	}
	limited, cancel := f.scale.Limit(ctx, answerLimit, "an answer from the API server")
	defer cancel()
	answer, err := f.answer(limited, q)
	if err != nil {
		answer = diagnose.Answer{Failed: true}
	}
	f.mu.Lock()
	// A node that is busy for a moment does not take back what it has said: the problem would come and go.
	if old := f.answers[q]; err != nil && q.Topic == diagnose.Listening && old.there {
		answer = old.Answer
	}
	f.answers[q] = known{Answer: answer, there: true, at: time.Now()}
	f.mu.Unlock()
	f.changed()
}

func (f *fetcher) answer(ctx context.Context, q diagnose.Question) (answer diagnose.Answer, err error) {
	core := f.client.CoreV1()
	names := metav1.ListOptions{Limit: maxNames}
	switch q.Topic {
	case diagnose.LogOf:
		tail, limit := logLines, logBytes
		data, err := core.Pods(q.Namespace).GetLogs(q.Name, &corev1.PodLogOptions{
			Container: q.Container, Previous: q.Previous, TailLines: &tail, LimitBytes: &limit,
		}).DoRaw(ctx)
		answer.Lines = strings.Split(string(data), "\n")
		return answer, err
	case diagnose.NamesConfigMap:
		list, err := core.ConfigMaps(q.Namespace).List(ctx, names)
		if err != nil {
			return answer, err
		}
		for _, o := range list.Items {
			answer.Lines = append(answer.Lines, o.Name)
		}
	case diagnose.NamesSecret:
		list, err := core.Secrets(q.Namespace).List(ctx, names)
		if err != nil {
			return answer, err
		}
		for _, o := range list.Items {
			answer.Lines = append(answer.Lines, o.Name)
		}
	case diagnose.KeysOfConfigMap:
		o, err := core.ConfigMaps(q.Namespace).Get(ctx, q.Name, metav1.GetOptions{})
		if err != nil {
			return answer, err
		}
		for k := range o.Data {
			answer.Lines = append(answer.Lines, k)
		}
		for k := range o.BinaryData {
			answer.Lines = append(answer.Lines, k)
		}
	case diagnose.KeysOfSecret:
		o, err := core.Secrets(q.Namespace).Get(ctx, q.Name, metav1.GetOptions{})
		if err != nil {
			return answer, err
		}
		for k := range o.Data { // their values are not read
			answer.Lines = append(answer.Lines, k)
		}
	case diagnose.NamesClass:
		list, err := f.client.NetworkingV1().IngressClasses().List(ctx, names)
		if err != nil {
			return answer, err
		}
		for _, o := range list.Items {
			answer.Lines = append(answer.Lines, o.Name)
		}
	case diagnose.RevisionOf:
		o, err := f.client.AppsV1().ControllerRevisions(q.Namespace).Get(ctx, q.Name, metav1.GetOptions{})
		if err != nil {
			return answer, err
		}
		answer.Lines = []string{strconv.FormatInt(o.Revision, 10)}
	case diagnose.HeldObjects:
		answer.Held, err = f.held(ctx, q)
		return answer, err
	case diagnose.ImageOn:
		if f.images != nil {
			return diagnose.FindImage(q.Name, f.images(ctx)), nil
		}
	case diagnose.DeniedTraffic:
		some, err := f.some(ctx, q.Name)
		if err != nil {
			return answer, err
		}
		if some && f.denied != nil {
			answer.Denied = f.denied(ctx)
		}
	case diagnose.Routes:
		answer.Routes, err = routes(ctx, f.client.CoreV1().RESTClient())
		return answer, err
	case diagnose.Lookup:
		return f.lookUp(ctx, q)
	case diagnose.Listening:
		answer.Ports, err = f.listening(ctx, q.Node, q.ID)
		answer.Found = slices.ContainsFunc(answer.Ports, func(l cluster.Listening) bool {
			return int32(l.Port) == q.Port && l.Protocol == q.Protocol && !l.Inside
		})
		return answer, err
	}
	return answer, nil
}

// lookUp queries cluster DNS as the pod would.
func (f *fetcher) lookUp(ctx context.Context, q diagnose.Question) (answer diagnose.Answer, err error) {
	dns := f.dns()
	if dns == nil {
		return diagnose.Answer{Failed: true}, nil
	}
	got, err := dns.DNSLookup(ctx, cluster.DNSQuestion{Name: q.Host, Pod: q.Namespace + "/" + q.Name})
	if err != nil {
		return answer, err
	}
	for _, s := range got.Steps {
		switch s.Rcode {
		case "NOERROR":
			return diagnose.Answer{Found: true}, nil
		case "NXDOMAIN":
		default:
			answer.Failed = true // an upstream that does not answer
		}
	}
	answer.Failed = answer.Failed || len(got.Steps) == 0
	return answer, nil
}
