# a plain-http registry, added to a cluster that runs
# https://github.com/kubernetes/minikube/issues/4547
need docker-registry skopeo
cat >reg.yml <<-END
	version: 0.1
	storage: {filesystem: {rootdirectory: $WORK/reg}}
	http: {addr: "0.0.0.0:15056"}
END
docker-registry serve reg.yml >reg.log 2>&1 &
defer "kill $!"
within 10 skopeo copy --dest-tls-verify=false docker-daemon:$BOX docker://127.0.0.1:15056/hello:1
b start --nodes 1
gateway=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' "$(docker network ls -q --filter "label=io.bonsai.cluster=$P")")
b start --registry-mirror "old.test=http://$gateway:15056"
k run one --image=old.test/hello:1 --command -- sleep 9999
k run two --image="$gateway:15056/hello:1" --command -- sleep 9999
problem 30 "registry-mirror $gateway:15056=http://$gateway:15056"
b start --registry-mirror "$gateway:15056=http://$gateway:15056"
k delete pod two --now
k run two --image="$gateway:15056/hello:1" --command -- sleep 9999
k run three --image=old.test/hello:1 --image-pull-policy=Always --command -- sleep 9999
ready one two three
b stop
b start
k run four --image=old.test/hello:1 --image-pull-policy=Always --command -- sleep 9999
k run five --image="$gateway:15056/hello:1" --image-pull-policy=Always --command -- sleep 9999
ready four five
