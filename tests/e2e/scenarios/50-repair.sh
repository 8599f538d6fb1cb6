# A broker whose claim is deleted under it is replaced by an empty one, unattended, and the cluster has all its copies
# again; two at once are left to a person.

claim_uid() { field "pvc/data-demo-broker-$1" '{.metadata.uid}'; }
claim_is_new() { [ "$(claim_uid "$1")" != "$2" ]; }
told() { k get events -o 'jsonpath={.items[*].reason}' | tr ' ' '\n' | grep -qx "$1"; }
state() { field okc/demo "{.status.brokerStates[?(@.id==$1)].state}"; }

a_cluster demo 3 '  repair: {after: 10s}'
ready 120 okc/demo
a_topic orders demo 6 3
ready 60 okt/orders
load_start writer demo orders
seq 1000 | produce demo orders

say 'a claim is deleted'
before=$(claim_uid 2) pod=$(field pod/demo-broker-2 '{.metadata.uid}')
began=$(now)
k delete pvc data-demo-broker-2 --wait=false
await 30 'the broker is told as lost' told BrokerLost
await 60 'the claim is another one' claim_is_new 2 "$before"
await 60 'the broker is replaced' told BrokerReplaced
ready 120 okc/demo
figure 'claim deleted, after 10 s of patience all copies again' "$(seconds_since "$began")" s 60
[ "$(field pod/demo-broker-2 '{.metadata.uid}')" != "$pod" ] || fail 'the pod is the same'
equal 'partitions that lack a copy' 0 "$(field okc/demo '{.status.partitions.underReplicated}')"
equal 'the state of the broker' Ready "$(state 2)"
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
figure 'claim deleted, longest time without writes' "$(load_report writer max_ms)" ms 5000
consume demo orders | grep -cE '^[0-9]+$' | grep -qx 1000

say 'two claims are deleted at once: nothing is touched'
pods=$(k get pods -o 'jsonpath={.items[*].metadata.uid}')
k delete pvc data-demo-broker-0 data-demo-broker-1 --wait=false
await 30 'the event of the cluster' is True/ClusterEvent condition okc/demo Degraded
await 30 'a person is told' told NotRepaired
equal 'pods' "$pods" "$(k get pods -o 'jsonpath={.items[*].metadata.uid}')"
seq 100 | produce demo orders
