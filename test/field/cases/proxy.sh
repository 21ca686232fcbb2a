# HTTPS_PROXY in the shell: nothing inside the cluster goes through it, and pulls do
# https://github.com/k3s-io/k3s/issues/325, https://github.com/kubernetes/kubernetes/issues/107446
unset NO_PROXY no_proxy
export HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9
cluster 1
pod a sleep 9999
pod web sh -c 'echo page >/index.html; exec httpd -f -p 80 -h /'
ready a web
k expose pod web --port 80
[ "$(k exec a -- echo hi)" = hi ]
k logs web
k get --raw "/api/v1/nodes/$P-1/proxy/healthz"
within 15 k get --raw "/api/v1/namespaces/default/services/web:80/proxy/"
b top
b stop
env HTTPS_PROXY=http://user:s3cretpw@127.0.0.1:9 bonsai start -p "$P"
within 20 k logs a
! docker inspect "$(docker ps -q --filter "label=io.bonsai.cluster=$P")" | grep s3cretpw || fail "the password is in docker inspect"
! grep -r s3cretpw "$BONSAI_HOME"/clusters/*/logs || fail "the password is in a log"
silent s3cretpw b status

# The other way round: a proxy on this machine's loopback sees a node's pull.
# (It is not one, and says so.)
busybox httpd -f -vv -p 127.0.0.1:18963 -h "$WORK/bin" 2>asked &
defer "kill $!"
HTTPS_PROXY=http://127.0.0.1:18963 HTTP_PROXY=http://127.0.0.1:18963 b start
k run pulled --image=proxied.test/x:1
within 60 grep response:400 asked
within 60 says 'proxied.test.*Bad Request' k get events
