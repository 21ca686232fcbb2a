package diagnose

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
)

const (
	someDigest  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	otherDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

func TestFindImage(t *testing.T) {
	nodes := map[string][]cluster.NodeImage{
		"dev-1": {{Name: "docker.io/library/app:1"}, {Name: "reg.test/cart:1"}, {Name: "reg.test/cart@" + someDigest}, {Name: "reg.test/cartridge:1"}},
		"dev-2": {{Name: "docker.io/library/app:1"}, {Name: "reg.test/cart:2"}},
	}
	for name, want := range map[string]Answer{
		"app:1":                          {Nodes: []string{"dev-1", "dev-2"}},
		"app":                            {}, // :latest
		"docker.io/app:1":                {Nodes: []string{"dev-1", "dev-2"}},
		"reg.test/cart:1":                {Nodes: []string{"dev-1"}},
		"reg.test/cart@" + someDigest:    {Nodes: []string{"dev-1"}},
		"reg.test/cart:9@" + someDigest:  {Nodes: []string{"dev-1"}},
		"reg.test/cart:1@" + otherDigest: {Lines: []string{"reg.test/cart:1", "reg.test/cart:2"}},
		"reg.test/none@" + otherDigest:   {},
		"Not a name":                     {},
	} {
		if got := FindImage(name, nodes); !slices.Equal(got.Nodes, want.Nodes) || !slices.Equal(got.Lines, want.Lines) {
			t.Errorf("FindImage(%q) = %+v, want %+v", name, got, want)
		}
	}
}

// An image that other nodes have, or that has other names, is not just missing.
func TestAMissingImageThatIsElsewhere(t *testing.T) {
	const image = "reg.test/cart:1"
	for name, test := range map[string]struct {
		reason, message string
		known           Answer
		summary, cause  string
	}{
		"never, on another node": {
			"ErrImageNeverPull", "", Answer{Nodes: []string{"dev-2"}},
			"image reg.test/cart:1 is not on node dev-1", "imagePullPolicy is Never, so it is not pulled; it is loaded on dev-2 only",
		},
		"pulled in vain": {
			"ErrImagePull", "reg.test: not found", Answer{Nodes: []string{"dev-2"}}, "image reg.test/cart:1 cannot be pulled",
			"reg.test has no such image: the name or tag is wrong, or it was never pushed; it is loaded on dev-2 only",
		},
		"by digest": {
			"ErrImagePull", "dial tcp: no such host", Answer{Lines: []string{"reg.test/cart:1"}}, "image reg.test/cart:1 cannot be pulled",
			"the nodes cannot reach reg.test; nodes have it as reg.test/cart:1, but not by this digest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Pods = []*corev1.Pod{pod("a", func(p *corev1.Pod) { p.Spec.Containers[0].Image = image }, waiting(test.reason, test.message))}
			q := Question{Topic: ImageOn, Name: image}
			if r := Workloads(s); !slices.Contains(r.Questions, q) {
				t.Errorf("the diagnosis does not ask who has the image: %+v", r.Questions)
			}
			s.Answers = map[Question]Answer{q: test.known}
			check(t, s, want{cluster.ProblemImage, "deployment/shop/cart", test.summary, test.cause, "load it"})
		})
	}
}

// A container that waits for something else asks nothing.
func TestNobodyIsAskedForImagesThatAreThere(t *testing.T) {
	s := world()
	s.Pods = []*corev1.Pod{pod("a", waiting("ContainerCreating", "")), pod("b", looping(1, "Error"))}
	for _, q := range Workloads(s).Questions {
		if q.Topic == ImageOn {
			t.Errorf("asks %+v", q)
		}
	}
}
