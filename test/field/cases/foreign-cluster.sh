# two state folders, one name: nothing takes the other's containers
# https://github.com/kubernetes-sigs/kind/issues/3223 is about one engine shared by several users
cluster 1
pod a sleep 9999
ready a
uid=$(k get pod a -o jsonpath='{.metadata.uid}')
id=$(docker ps -q --no-trunc --filter "label=io.bonsai.cluster=$P")
(
	export BONSAI_HOME=$WORK/home2 KUBECONFIG=$WORK/kubeconfig2
	says 'state folder' b delete
	b start --nodes 1 # a cluster of its own, of the same name
	b delete
)
[ "$(docker ps -q --no-trunc --filter "label=io.bonsai.cluster=$P" --filter "id=$id")" = "$id" ] || fail "the other state folder took the node"
[ "$(k get pod a -o jsonpath='{.metadata.uid}')" = "$uid" ] || fail "the pod is gone"
b status
