# Clients outside reach every broker on the ports of nodes, wherever its pod comes back, and by load balancers, once these have
# addresses; until then the cluster says what it waits for. Who empties a node takes one broker at a time: an eviction is
# refused while another one would cost records their copies, and is not noticed otherwise.

# outside [LISTENER]: what its clients start from
outside() { field okc/demo "{.status.listeners[?(@.name==\"${1:-out}\")].bootstrapServers}"; }
# where BROKER: the address of its node and the port of its Service
where() {
  printf '%s:%s\n' "$(field "pod/demo-broker-$1" '{.status.hostIP}')" \
    "$(field "service/demo-broker-$1-out" '{.spec.ports[0].nodePort}')"
}
# told BROKER SERVERS: where clients that start from these are told that it is
told() { timeout 20 "$KCAT" -q -L -b "$2" | sed -n "s/^ *broker $1 at \([^ ]*\).*/\1/p"; }
is_told() { is "$(where "$1")" told "$1" "$(outside)"; }
# all_records SERVERS: as a client reads them that starts from these
all_records() { timeout 60 "$KCAT" -q -b "$1" -t orders -C -o beginning -e | grep -E '^[0-9]+$' | sort -n | cmp - <(seq 1000); }
# give_address SERVICE: plays the cloud's part, with the address that the Service has inside
give_address() {
  k patch service "$1" --subresource=status --type=merge \
    -p "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"$(field "service/$1" '{.spec.clusterIP}')\"}]}}}"
}
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
port=$(field service/demo-bootstrap-out '{.spec.ports[0].nodePort}')
for node in $("$KUBECTL" get nodes -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}' | cut -d' ' -f1,2); do
  say "by $node"
  all_records "$node:$port"
done

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
all_records "$(outside)"

say 'load balancers: the cluster waits for their addresses and serves meanwhile; none that comes restarts a broker'
k patch okc demo --type=json -p '[{"op":"add","path":"/spec/listeners/-","value":{"name":"lb","port":9095,"type":"LoadBalancer"}}]'
if ! can balancers; then
  await 180 'it is told' says okc/demo Progressing 'listener lb: the address of broker 0 is not known: Service demo-broker-0-lb'
  equal 'the condition Ready' False/WaitingForAddress "$(condition okc/demo Ready)"
  all_records "$(outside)"
  pods=$(brokers)
  for id in 0 1 2; do give_address "demo-broker-$id-lb"; done
  await 60 'the last one is waited for' says okc/demo Progressing 'the address to start from is not known: Service demo-bootstrap-lb'
  give_address demo-bootstrap-lb
  ready 120 okc/demo
  equal 'pods' "$pods" "$(brokers)"
fi
ready 180 okc/demo
matches 'what clients start from' ':9095$' "$(outside lb)"
if can balancers || can nodes; then
  ingress() { field "service/demo-broker-$1-lb" '{.status.loadBalancer.ingress[0].ip}'; }
  for id in 0 1 2; do await 10 "broker $id is told of" is "$(ingress $id):9095" told $id "$(outside lb)"; done
  all_records "$(outside lb)"
fi

say 'without the listeners nothing of them is left'
k patch okc demo --type=merge -p '{"spec":{"listeners":[{"name":"plain","port":9092,"advertise":"PodIP"}]}}'
await 60 'their Services are gone' is '' k get services -l ottla.io/listener -o name
ready 120 okc/demo
equal 'what clients outside start from' '' "$(outside)"
