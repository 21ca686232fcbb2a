package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/test/e2e/harness"
)

// certificate creates a self-signed pair in PEM for host names or addresses.
func certificate(t *testing.T, hosts ...string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bonsai test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// secureServer runs one of testpod's TLS servers behind a Service "secure", and returns the CA to trust for it.
func secureServer(t *testing.T, n *harness.Namespace, verb string) (ca []byte) {
	t.Helper()
	cert, key := certificate(t, "secure."+n.Namespace+".svc")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "tls"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": cert, "tls.key": key},
	}
	if _, err := n.Client.CoreV1().Secrets(n.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := n.Pod("secure", harness.Testpod, verb)
	p.Spec.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: "tls"},
	}}}
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "tls", MountPath: "/tls"}}
	p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		PeriodSeconds: 1,
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/readyz", Port: intstr.FromInt32(8443), Scheme: corev1.URISchemeHTTPS,
		}},
	}
	n.Create(t, p)
	n.Service(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "secure"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "secure"},
			Ports:    []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(8443)}},
		},
	})
	return cert
}

func testWebhook(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	ca := secureServer(t, n, "webhook")
	hooks := n.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	hook := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: n.Namespace},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "mutate.bonsai.test", SideEffects: new(admissionv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{
				CABundle: ca,
				Service:  &admissionv1.ServiceReference{Namespace: n.Namespace, Name: "secure", Path: new("/mutate")},
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": n.Namespace}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
			FailurePolicy: new(admissionv1.Fail),
		}},
	}
	if _, err := hooks.Create(t.Context(), hook, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Kubectl(t, "delete", "mutatingwebhookconfiguration", hook.Name) })
	i := 0
	// The configuration takes a moment to reach admission; until then objects pass unchanged.
	harness.Until(t, 20*time.Second, "the webhook's mark", func() error {
		i++
		made, err := n.Client.CoreV1().ConfigMaps(n.Namespace).Create(t.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("made-", i)}}, metav1.CreateOptions{})
		if err == nil && made.Labels["webhook"] != "was-here" {
			err = fmt.Errorf("the object has the labels %v", made.Labels)
		}
		return err
	})
}

func testAggregatedAPI(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	ca := secureServer(t, n, "apiserver")
	// The CA travels in base64, as in any manifest.
	manifest := fmt.Sprintf(`{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": {"name": "v1.things.bonsai.test"},
		"spec": {"group": "things.bonsai.test", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10,
			"caBundle": %q, "service": {"namespace": %q, "name": "secure"}}}`, encode(ca), n.Namespace)
	r := n.RunWithInput(t, strings.NewReader(manifest), "kubectl", "-p", n.Name, "--", "apply", "-f", "-")
	if r.Code != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() { n.Kubectl(t, "delete", "apiservice", "v1.things.bonsai.test") })
	n.Kubectl(t, "wait", "apiservice/v1.things.bonsai.test", "--for=condition=Available", "--timeout=60s")
	harness.Until(t, 20*time.Second, "the aggregated API", func() error {
		r := n.Bonsai(t, "kubectl", "--", "get", "things", "-o", "name")
		if r.Code != 0 || !strings.Contains(r.Stdout, "secure") {
			return fmt.Errorf("get things: %s", r)
		}
		return nil
	})
}
