# nodes that come after the images
# https://github.com/kubernetes/minikube/issues/20593
cluster 1
b start --nodes 2
k create deployment w --image=$BOX --replicas=4 -- sleep 9999
k patch deployment w --type=json -p '[{"op":"add","path":"/spec/template/spec/containers/0/imagePullPolicy","value":"Never"}]'
k rollout status deployment w --timeout=60s
b image ls
docker rm -f "$(docker ps -q --filter "label=io.bonsai.cluster=$P" --filter "label=io.bonsai.node=$P-2")" >/dev/null
docker volume ls -q --filter "label=io.bonsai.cluster=$P" | grep -- '-2' | xargs -r docker volume rm || true
b start
k rollout restart deployment w
k rollout status deployment w --timeout=60s
