# Two operators: one works, the other takes over when it is killed, and never do both; an eviction is refused while the
# cluster cannot spare a broker.

holder() { o get lease ottla -o jsonpath='{.spec.holderIdentity}'; }
holder_is_not() { local now; now=$(holder); [ -n "$now" ] && [ "$now" != "$1" ]; }
# evict POD: prints what the API server says
evict() {
  printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"%s","namespace":"%s"}}' "$1" "$SPACE" |
    "$KUBECTL" create --raw "/api/v1/namespaces/$SPACE/pods/$1/eviction" -f - 2>&1
}

o scale deployment ottla --replicas=2
o rollout status deployment ottla --timeout=60s
a_cluster demo 3
ready 120 okc/demo

say 'the one at work is killed'
killed=$(holder)
began=$(now)
o delete pod "$killed" --grace-period=0 --force --wait=false
a_topic orders demo 3 3
await 60 'another holds the lease' holder_is_not "$killed"
figure 'the other operator takes over a killed one after' "$(seconds_since "$began")" s 20
ready 30 okt/orders

say 'the one at work stops in an orderly way'
stopped=$(holder)
began=$(now)
o delete pod "$stopped" --wait=false
await 60 'another holds the lease' holder_is_not "$stopped"
figure 'the other operator takes over a stopped one after' "$(seconds_since "$began")" s 8
o scale deployment ottla --replicas=1
o rollout status deployment ottla --timeout=60s

say 'evictions: one at a time'
await 60 'one may go' is 1 field pdb/demo-broker '{.status.disruptionsAllowed}'
load_start writer demo orders
matches 'the first eviction' Success "$(evict demo-broker-0)"
matches 'a second one at once' 'violate the pod.s disruption budget' "$(evict demo-broker-1)"
await 120 'one may go again' is 1 field pdb/demo-broker '{.status.disruptionsAllowed}'
ready 120 okc/demo
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
