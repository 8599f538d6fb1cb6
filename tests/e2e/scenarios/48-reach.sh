# Clients outside reach every broker on the ports of nodes, wherever its pod comes back, and who empties a node takes one
# broker at a time: an eviction is refused while another one would cost records their copies, and is not noticed otherwise.

outside() { field okc/demo '{.status.listeners[?(@.name=="out")].bootstrapServers}'; }
# where BROKER: the address of its node and the port of its Service
where() {
  printf '%s:%s\n' "$(field "pod/demo-broker-$1" '{.status.hostIP}')" \
    "$(field "service/demo-broker-$1-out" '{.spec.ports[0].nodePort}')"
}
# told BROKER: where clients of the listener `out` are told that it is
told() { timeout 20 "$KCAT" -q -L -b "$(outside)" | sed -n "s/^ *broker $1 at \([^ ]*\).*/\1/p"; }
is_told() { is "$(where "$1")" told "$1"; }
evict() {
  k create --raw "/api/v1/namespaces/$SPACE/pods/$1/eviction" -f - <<JSON
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "$SPACE"}}
JSON
}
allowed() { field pdb/demo-broker '{.status.disruptionsAllowed}'; }

apply <<YAML
apiVersion: ottla.io/v1alpha1
kind: KafkaCluster
metadata: {name: demo}
spec:
  brokers: 3
  image: $E2E_BROKER_IMAGE
  storage: {volumes: [{name: data, size: 1Gi}]}
  listeners: [{name: plain, port: 9092, advertise: PodIP}, {name: out, port: 9094, type: NodePort}]
YAML
ready 120 okc/demo
a_topic orders demo 6 3
ready 60 okt/orders

say 'every broker is where clients outside are told, and takes their records'
for id in 0 1 2; do await 10 "broker $id is told of" is_told $id; done
seq 1000 | timeout 60 "$KCAT" -q -b "$(outside)" -t orders -P -X acks=all
timeout 60 "$KCAT" -q -b "$(outside)" -t orders -C -o beginning -e | sort -n | cmp - <(seq 1000)

say 'one broker may be taken away, and then no other'
await 30 'the budget allows one' is 1 allowed
load_start writer demo orders
KILLED[demo-broker-0]=$(field pod/demo-broker-0 '{.metadata.uid}')
began=$(now)
evict demo-broker-0
! refusal=$(evict demo-broker-1 2>&1) || fail "evicted as well: $refusal"
matches 'the refusal' 'disruption budget' "$refusal"
await 120 'the broker is back' pod_is_new_and_ready demo-broker-0
ready 120 okc/demo
# Kubernetes may take the new pod for the evicted one, which has its name, for two minutes.
await 150 'the budget allows one' is 1 allowed
figure 'an evicted broker is back, and the next one may go' "$(seconds_since "$began")" s

say 'so all of them go, one after another, and nobody notices'
for id in 1 2; do
  KILLED[demo-broker-$id]=$(field "pod/demo-broker-$id" '{.metadata.uid}')
  await 150 "broker $id may go" evict "demo-broker-$id"
  await 120 "broker $id is back" pod_is_new_and_ready "demo-broker-$id"
done
ready 120 okc/demo
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
figure 'evictions, longest time without writes' "$(load_report writer max_ms)" ms 5000
for id in 0 1 2; do await 10 "broker $id is told of" is_told $id; done
timeout 60 "$KCAT" -q -b "$(outside)" -t orders -C -o beginning -e | grep -cE '^[0-9]+$' | grep -qx 1000

say 'without the listener nothing of it is left'
k patch okc demo --type=merge -p '{"spec":{"listeners":[{"name":"plain","port":9092,"advertise":"PodIP"}]}}'
await 60 'its Services are gone' is '' k get services -l ottla.io/listener -o name
ready 120 okc/demo
equal 'what clients outside start from' '' "$(outside)"
