# A node that is cut off for a while costs nothing. One that crashes, or is cut off for longer, costs its broker's disk, which
# is replaced on another node; neither the old claim nor the old identity is served when the node comes back. Needs a kit
# with four nodes.

can nodes || skip 'no nodes here that could be crashed'
[ "$("$KUBECTL" get nodes -o name | wc -l)" -ge 4 ] || skip 'three brokers need a node to spare: NODES=4'

# The kit's DNS is on node-1, and so is what writes: both outlive the nodes that are taken away.
ON_NODE=node-1
node_of() { field "pod/demo-broker-$1" '{.spec.nodeName}'; }
claim_uid() { field "pvc/data-demo-broker-$1" '{.metadata.uid}'; }
pod_uid() { field "pod/demo-broker-$1" '{.metadata.uid}'; }
claim_is_new() { local uid; uid=$(claim_uid "$1") && [ -n "$uid" ] && [ "$uid" != "$2" ]; }
told() { k get events -o 'jsonpath={.items[*].reason}' | tr ' ' '\n' | grep -qx "$1"; }
node_is() { [ "$("$KUBECTL" get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = "$2" ]; }
node() { "$OTTLA_K8S_KIT/node" "$1" "${2#node-}"; }
# victim: a broker that is not on node-1
victim() { local id; for id in 2 1 0; do [ "$(node_of $id)" = node-1 ] || { echo $id; return; }; done; }
# load_is_whole NAME WHAT: no record of it is lost, and writes went on soon
load_is_whole() {
  load_stop "$1"
  equal "refusals for lack of replicas, $2" 0 "$(load_report "$1" not_enough_replicas)"
  figure "$2, longest time without writes" "$(load_report "$1" max_ms)" ms 5000
}
# replaced BROKER NODE CLAIM BEGAN WHAT: it has all its replicas again, on another node and another disk
replaced() {
  await 300 'the claim is another one' claim_is_new "$1" "$3"
  ready 120 okc/demo
  figure "$5, after a minute of patience all copies again" "$(seconds_since "$4")" s 240
  [ "$(node_of "$1")" != "$2" ] || fail 'the broker is on the node that is gone'
}
# unchanged BROKER CLAIM POD: what serves is what served before
unchanged() {
  ready 120 okc/demo
  equal 'the claim' "$2" "$(claim_uid "$1")"
  equal 'the pod' "$3" "$(pod_uid "$1")"
}

a_cluster demo 3 '  repair: {after: 1m}'
ready 120 okc/demo
a_topic orders demo 6 3
ready 60 okt/orders

broker=$(victim) node=$(node_of "$(victim)")
claim=$(claim_uid "$broker") pod=$(pod_uid "$broker")
say "$node of broker $broker is cut off and heals within its time"
load_start cut demo orders
node cut "$node"
await 60 'the node is not ready' node_is "$node" Unknown
await 30 'the broker is told as lost' told BrokerLost
node heal "$node"
await 60 'the node is ready' node_is "$node" True
unchanged "$broker" "$claim" "$pod"
load_is_whole cut 'node cut off'
! told BrokerReplacing || fail 'a broker was replaced'

say "$node is cut off and crashes under load"
load_start crash demo orders
began=$(now)
node cut "$node"
node crash "$node"
replaced "$broker" "$node" "$claim" "$began" 'node crashed'
load_is_whole crash 'node crashed'
claim=$(claim_uid "$broker") pod=$(pod_uid "$broker")
node start "$node"
await 120 'the node is ready' node_is "$node" True
unchanged "$broker" "$claim" "$pod"

broker=$(victim) node=$(node_of "$(victim)") claim=$(claim_uid "$(victim)")
say "$node is cut off for so long that its broker is replaced while the old one still runs"
load_start gone demo orders
began=$(now)
node cut "$node"
replaced "$broker" "$node" "$claim" "$began" 'node cut off for good'
claim=$(claim_uid "$broker") pod=$(pod_uid "$broker")
node heal "$node"
await 120 'the node is ready' node_is "$node" True
unchanged "$broker" "$claim" "$pod"
load_is_whole gone 'node cut off for good'
