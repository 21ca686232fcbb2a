package daemon

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// missingImages tells of pods that wait for an image which no node has and nobody serves, each image once. Without a
// network that is every image that was not loaded, and the error in the pod does not say that it could be.
func missingImages(ctx context.Context, client kubernetes.Interface, clusterName string) ([]cluster.Problem, error) {
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=" + string(corev1.PodPending)})
	if err != nil {
		return nil, err
	}
	var problems []cluster.Problem
	var told []string
	for _, pod := range pods.Items {
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			w := c.State.Waiting
			if w == nil || slices.Contains(told, c.Image) {
				continue
			}
			switch w.Reason { // kubelet's words: pkg/kubelet/images/types.go
			case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull":
			default:
				continue
			}
			told = append(told, c.Image)
			problems = append(problems, cluster.Problem{
				Kind: string(fault.Image), Severity: cluster.SeverityWarning, Object: "pod/" + pod.Namespace + "/" + pod.Name,
				Summary: "image " + c.Image + " cannot be pulled", Cause: w.Message,
				Hint: "if this machine has it, load it:  bonsai image load -p " + clusterName + " " + c.Image,
			})
		}
	}
	return problems, nil
}
