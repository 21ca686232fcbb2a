# shell text in a DNS question, in a command that people copy
cluster 1
pod a sleep 9999
ready a
k exec a -- nslookup 'w`{touch,X}`' || true
k exec a -- nslookup '{x,y};reboot|sh&' || true
b status -o json >status.json || true
b dns status >dns.txt 2>&1 || true
! grep -E '(^|[^'"'"'])w`\{touch' dns.txt || fail "unquoted in dns status"
