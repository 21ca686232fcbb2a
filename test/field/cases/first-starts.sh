# six first starts at once, as CI jobs do
for i in 1 2 3 4 5 6; do
	home=$WORK/home$((i % 2))
	BONSAI_HOME=$home KUBECONFIG=$WORK/kc$i bonsai start -p "$P-$i" --nodes 1 >"start$i" 2>&1 &
	pids[i]=$!
done
for i in 1 2 3 4 5 6; do wait "${pids[i]}" || { cat "start$i"; fail "start $i failed"; }; done
