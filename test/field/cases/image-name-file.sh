# an image named like a file in the folder
# https://github.com/kubernetes/minikube/pull/10807, https://github.com/kubernetes/minikube/pull/22696
b start --nodes 1
docker tag $BOX fieldapp:latest
defer 'docker image rm fieldapp:latest'
cp "$(command -v busybox)" fieldapp
says 'fieldapp' b image load fieldapp
says 'fieldapp:latest' b image ls
b image load fieldapp $BOX
b image load fieldapp:latest
mkdir web && docker tag $BOX web:latest && defer 'docker image rm web:latest'
b image load web
docker save -o both $BOX && docker tag $BOX both:latest && defer 'docker image rm both:latest'
exits 2 b image load both
says '\./both' b image load both
says 'both:latest' b image load both
b image load ./both
b image load both:latest
