# A node that is cut off for a while costs nothing; one that crashes costs its broker's disk, which is replaced on another
# node, and neither the old claim nor the old identity is served when the node comes back. Needs a kit with four nodes.

can nodes || skip 'no nodes here that could be crashed'
[ "$("$KUBECTL" get nodes -o name | wc -l)" -ge 4 ] || skip 'three brokers need a node to spare: NODES=4'

node_of() { field "pod/demo-broker-$1" '{.spec.nodeName}'; }
claim_uid() { field "pvc/data-demo-broker-$1" '{.metadata.uid}'; }
claim_is_new() { [ "$(claim_uid "$1")" != "$2" ]; }
told() { k get events -o 'jsonpath={.items[*].reason}' | tr ' ' '\n' | grep -qx "$1"; }
node_is() { [ "$("$KUBECTL" get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = "$2" ]; }
serves() { seq 20 | produce demo orders; }

a_cluster demo 3 '  repair: {after: 1m}'
ready 120 okc/demo
a_topic orders demo 6 3
ready 60 okt/orders

# The kit's DNS is on node-1.
broker=
for id in 0 1 2; do [ "$(node_of $id)" = node-1 ] || broker=$id; done
node=$(node_of "$broker") before=$(claim_uid "$broker")

say "$node of broker $broker is cut off and heals within its time"
"$OTTLA_K8S_KIT/node" cut "${node#node-}"
await 60 'the node is not ready' node_is "$node" Unknown
serves
"$OTTLA_K8S_KIT/node" heal "${node#node-}"
ready 180 okc/demo
equal 'the claim' "$before" "$(claim_uid "$broker")"

say "$node crashes under load"
load_start writer demo orders
began=$(now)
"$OTTLA_K8S_KIT/node" crash "${node#node-}"
await 60 'the broker is told as lost' told BrokerLost
await 300 'the broker is replaced' told BrokerReplaced
ready 120 okc/demo
figure 'node crashed, after a minute of patience all copies again' "$(seconds_since "$began")" s 240
claim_is_new "$broker" "$before" || fail 'the claim is the old one'
[ "$(node_of "$broker")" != "$node" ] || fail 'the broker is on the node that crashed'
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
figure 'node crashed, longest time without writes' "$(load_report writer max_ms)" ms 5000

say "$node comes back, and what was there is not served"
after=$(claim_uid "$broker") pod=$(field "pod/demo-broker-$broker" '{.metadata.uid}')
"$OTTLA_K8S_KIT/node" start "${node#node-}"
await 120 'the node is ready' node_is "$node" True
ready 60 okc/demo
equal 'the claim' "$after" "$(claim_uid "$broker")"
equal 'the pod' "$pod" "$(field "pod/demo-broker-$broker" '{.metadata.uid}')"
serves
