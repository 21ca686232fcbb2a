# a pod names an image by digest, and the registry is off
# https://github.com/kubernetes-sigs/kind/issues/2394, https://github.com/kubernetes-sigs/kind/issues/4028
need docker-registry skopeo
cluster 1
cat >reg.yml <<-END
	version: 0.1
	storage: {filesystem: {rootdirectory: $WORK/reg}}
	http: {addr: "127.0.0.1:15055"}
END
docker-registry serve reg.yml >reg.log 2>&1 &
reg=$!
defer "kill $reg 2>/dev/null"
docker tag $BOX localhost:15055/hello:1
defer 'docker image rm localhost:15055/hello:1'
within 10 docker push localhost:15055/hello:1
digest=$(docker inspect -f '{{index .RepoDigests 0}}' localhost:15055/hello:1)
skopeo copy --src-tls-verify=false docker://localhost:15055/hello:1 oci-archive:h.tar:localhost:15055/oci:1
oci=$(skopeo inspect -f '{{.Digest}}' oci-archive:h.tar)
kill $reg
b image load "$digest"
b image load localhost:15055/hello:1
b image load h.tar
b image ls
k run d1 --image="$digest" --image-pull-policy=IfNotPresent --command -- sleep 9999
k run d2 --image="localhost:15055/hello:1@${digest#*@}" --image-pull-policy=IfNotPresent --command -- sleep 9999
k run d3 --image="localhost:15055/oci@$oci" --image-pull-policy=IfNotPresent --command -- sleep 9999
ready d1 d2 d3
