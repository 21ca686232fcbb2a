package problems

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/observe/problems/diagnose"
)

const (
	// logLines and logBytes bound what is fetched of a log.
	logLines = int64(40)
	logBytes = int64(64 << 10)
	// answerLimit bounds an answer, maxAsked how many are waited for at once.
	answerLimit = 3 * time.Second
	maxAsked    = 4
	// maxAnswers bounds what is remembered; a cluster with more crashes than that has enough problems.
	maxAnswers = 200
	// fresh is how long an answer is good that may become another one. The log of a container that has ended does not.
	fresh = 10 * time.Second
	// maxNames is how many names of a namespace are looked at.
	maxNames = int64(500)
)

// asker finds out what diagnoses ask for, and remembers it as long as they do.
type asker struct {
	client kubernetes.Interface
	dns    func() DNS
	scale  wait.Scale
	// told is called when there is another answer.
	told func()
	slot chan struct{}
	work sync.WaitGroup

	mu      sync.Mutex // guards the rest
	answers map[diagnose.Question]known
}

// known is an answer, or that one is waited for.
type known struct {
	diagnose.Answer
	there   bool
	waiting bool
	at      time.Time
}

func newAsker(o Options, told func()) *asker {
	return &asker{
		client: o.Client, dns: o.DNS, scale: o.Scale, told: told, slot: make(chan struct{}, maxAsked),
		answers: map[diagnose.Question]known{},
	}
}

// wait waits for all answers; the context of the questions has ended.
func (a *asker) wait() { a.work.Wait() }

// known returns the answers so far.
func (a *asker) known() map[diagnose.Question]diagnose.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := make(map[diagnose.Question]diagnose.Answer, len(a.answers))
	for q, k := range a.answers {
		if k.there {
			m[q] = k.Answer
		}
	}
	return m
}

// ask begins to find out what is not known, and forgets what is not asked any more. It returns how many questions
// have no answer yet, and when the first answer is too old.
func (a *asker) ask(ctx context.Context, questions []diagnose.Question) (open int, expiry time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(questions) > maxAnswers {
		questions = questions[:maxAnswers]
	}
	wanted := make(map[diagnose.Question]bool, len(questions))
	now := time.Now()
	for _, q := range questions {
		wanted[q] = true
		k := a.answers[q]
		if !k.there {
			open++
		}
		old := k.there && (k.Failed || q.Topic != diagnose.LogOf)
		if old {
			if end := k.at.Add(fresh); now.Before(end) {
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
		a.answers[q] = k
		a.work.Go(func() { a.find(ctx, q) })
	}
	maps.DeleteFunc(a.answers, func(q diagnose.Question, k known) bool { return !wanted[q] && !k.waiting })
	return open, expiry
}

// find answers one question.
func (a *asker) find(ctx context.Context, q diagnose.Question) {
	select {
	case a.slot <- struct{}{}:
		defer func() { <-a.slot }()
	case <-ctx.Done():
		return
	}
	limited, cancel := a.scale.Limit(ctx, answerLimit, "an answer from the API server")
	defer cancel()
	answer, err := a.answer(limited, q)
	if err != nil {
		answer = diagnose.Answer{Failed: true}
	}
	a.mu.Lock()
	a.answers[q] = known{Answer: answer, there: true, at: time.Now()}
	a.mu.Unlock()
	a.told()
}

func (a *asker) answer(ctx context.Context, q diagnose.Question) (answer diagnose.Answer, err error) {
	core := a.client.CoreV1()
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
		for k := range o.Data { // their values are not looked at
			answer.Lines = append(answer.Lines, k)
		}
	case diagnose.Lookup:
		return a.lookUp(ctx, q)
	}
	return answer, nil
}

// lookUp asks cluster DNS as the pod would.
func (a *asker) lookUp(ctx context.Context, q diagnose.Question) (answer diagnose.Answer, err error) {
	dns := a.dns()
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
