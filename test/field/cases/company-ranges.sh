# the company network uses 10.244 or 10.96
# https://github.com/kubernetes/minikube/issues/18139, https://github.com/docker/roadmap/issues/237
need_root
need ip
ip link add fcorp type bridge
defer 'ip link del fcorp'
ip addr add 10.244.200.10/24 dev fcorp
ip addr add 10.96.77.10/24 dev fcorp
ip link set fcorp up
mkdir w && echo corp >w/index.html
busybox httpd -f -p 0.0.0.0:18099 -h w &
defer "kill $!"
cluster 1
pod a sleep 9999
ready a
for address in 10.244.200.10 10.96.77.10; do
	[ "$(k exec a -- timeout 5 wget -qO- "http://$address:18099/")" = corp ] || fail "$address cannot be reached"
done
b delete
ip link del fcorp
exits 2 b start --nodes 0 --pod-subnet 10.0.0.0/33
b start --nodes 1 --pod-subnet 10.99.0.0/16 --service-subnet 10.98.0.0/20
[ "$(k get service kubernetes -o jsonpath='{.spec.clusterIP}')" = 10.98.0.1 ]
