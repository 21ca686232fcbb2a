# a pod can be created as soon as start returns
for _ in 1 2 3; do
	b start --nodes 0
	k run a --image=x:1 --dry-run=server
	b delete
done
