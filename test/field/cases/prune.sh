# docker system prune while the cluster sleeps
# https://github.com/kubernetes/minikube/issues/10913
cluster 2
cat >claim.yaml <<-END
	apiVersion: v1
	kind: PersistentVolumeClaim
	metadata: {name: d}
	spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
	---
	apiVersion: v1
	kind: Pod
	metadata: {name: w}
	spec:
	  containers: [{name: w, image: "$BOX", imagePullPolicy: Never, command: [sh, -c, "cat /d/f; date >>/d/f; sleep 9999"], volumeMounts: [{name: d, mountPath: /d}]}]
	  volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]
END
k apply -f claim.yaml
ready w
b stop
filter="label=io.bonsai.cluster=$P"
docker container prune -f --filter "$filter"
docker network prune -f --filter "$filter"
docker volume ls -q --filter "$filter" | xargs -r docker volume rm
says 'node|container' b status
b start
k get nodes
problem 60 'claim|data'
