# kubectl delete node, of a node that lives
# https://github.com/kubernetes/kubernetes/pull/138183, https://github.com/kubernetes/kubernetes/issues/115761
cluster 2
k create deployment w --image=$BOX --replicas=4 -- httpd -f -p 80
k patch deployment w --type=json -p '[{"op":"add","path":"/spec/template/spec/containers/0/imagePullPolicy","value":"Never"}]'
k rollout status deployment w --timeout=60s
range=$(k get node "$P-2" -o jsonpath='{.spec.podCIDR}')
k delete node "$P-2"
back() { [ "$(k get node "$P-2" -o jsonpath='{.spec.podCIDR}')" = "$range" ]; }
within 30 back
k wait node "$P-2" --for=condition=Ready --timeout=60s
k rollout status deployment w --timeout=60s
k scale deployment w --replicas=6
k rollout status deployment w --timeout=60s
from=$(k get pods -l app=w --field-selector "spec.nodeName=$P-1" -o name | sed -n 1p)
for ip in $(k get pods -l app=w -o jsonpath='{.items[*].status.podIP}'); do
	within 10 says '404|server' k exec "$from" -- timeout 2 wget -O- "http://$ip/nothing"
done
