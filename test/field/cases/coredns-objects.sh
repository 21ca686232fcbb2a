# scripts that expect CoreDNS's objects
# https://github.com/k3s-io/k3s/issues/5312, https://github.com/kubernetes/kubernetes/issues/41328
cluster 1
k -n kube-system wait pod -l k8s-app=kube-dns --for=condition=Ready --timeout=30s
k -n kube-system rollout status deployment/coredns --timeout=10s
k -n kube-system get configmap coredns -o yaml >cm.yaml
sed 's/^\( *\)ready$/\1ready\n\1hosts {\n\1  192.0.2.7 fake.test\n\1  fallthrough\n\1}/' cm.yaml | k apply -f -
k -n kube-system rollout restart deployment/coredns
k -n kube-system scale deployment/coredns --replicas=2
k -n kube-system get service kube-dns
within 20 says '192\.0\.2\.7' b dns query fake.test
