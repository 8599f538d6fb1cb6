# What bad input gets: a sentence from the API server where the definitions can tell, else `Stalled` with what to change, while
# what runs is left as it was. What only looks odd is put up with: a claim that somebody made larger, a topic whose name
# Kubernetes cannot hold, two KafkaTopics for one topic, a namespace that is deleted with all of it inside.

# cluster_is_refused PATTERN SPEC: as the API server says at once. Without the dashes an older kubectl takes it for JSON.
cluster_is_refused() {
  refused "$1" <<<$'---\n'"{apiVersion: ottla.io/v1alpha1, kind: KafkaCluster, metadata: {name: bad}, spec: {$2}}"
}
topic_is_refused() {
  refused "$1" <<<$'---\n'"{apiVersion: ottla.io/v1alpha1, kind: KafkaTopic, metadata: {name: bad}, spec: {clusterRef: {name: demo${3:-}}, $2}}"
}
# change OBJECT JSON: merges it into the spec
change() { k patch "$1" --type=merge -p "{\"spec\":$2}"; }
# is_later SECONDS: whether the clock is beyond that second
is_later() { [ "$(date +%s)" -gt "$1" ]; }

say 'what the definitions refuse'
disk='storage: {volumes: [{name: data, size: 1Gi}]}'
cluster_is_refused 'controllers must be odd' "brokers: 3, controllers: 2, $disk"
cluster_is_refused 'controllers cannot be more than brokers' "brokers: 1, controllers: 3, $disk"
cluster_is_refused 'every listener needs a port of its own' \
  "brokers: 1, $disk, listeners: [{name: a, port: 9092}, {name: b, port: 9092}]"
cluster_is_refused 'one listener must be of type Internal' "brokers: 1, $disk, listeners: [{name: a, port: 9092, type: NodePort}]"
cluster_is_refused 'such as 10Gi' 'brokers: 1, storage: {volumes: [{name: data, size: much}]}'
cluster_is_refused 'supported values: ' "brokers: 1, storage: {volumes: [{name: data, size: 1Gi}], retain: Sometimes}"
cluster_is_refused 'unknown field "spec.replicas"' "brokers: 1, replicas: 3, $disk"
topic_is_refused 'cannot be named' "topicName: '..'"
topic_is_refused 'spec.partitions' 'partitions: 0'
topic_is_refused 'unknown field "spec.clusterRef.namespace"' 'partitions: 1' ', namespace: other'

say 'every field is explained'
for kind in okc okt; do
  await 20 "$kind is explained" k explain "$kind.spec"
  for part in spec status; do ! k explain "$kind.$part" | grep -B1 '<no description>' || fail "of $kind.$part something is not explained"; done
done
matches 'what spec.brokers is' 'Raise it to scale out' "$(k explain okc.spec.brokers | tr '\n' ' ' | tr -s ' ')"

a_cluster demo 3
ready 120 okc/demo
a_topic orders demo 3 3
ready 60 okt/orders
pods=$(brokers)

say 'what the operator refuses, and takes back when it is asked for no more'
change okc/demo '{"config":{"num.io.threads":"many"}}'
stalls okc/demo InvalidSpec 'num.io.threads'
change okc/demo '{"config":{"num.io.threads":null,"default.replication.factor":5}}'
stalls okc/demo TooFewBrokers 'set it to 3 or less, or spec.brokers to 5 or more'
change okc/demo '{"config":{"default.replication.factor":null},"storage":{"volumes":[{"name":"data","size":"512Mi"}]}}'
stalls okc/demo InvalidSpec 'disks cannot shrink: set its size back to 1Gi'
change okc/demo '{"storage":{"volumes":[{"name":"data","size":"1Gi"}]}}'
if can admission; then
  change okc/demo '{"resources":{"requests":{"memory":"2Gi"},"limits":{"memory":"1Gi"}}}'
  stalls okc/demo ApplyRefused 'must be less than or equal to memory limit'
  change okc/demo '{"resources":null}'
fi
ready 60 okc/demo
equal 'pods' "$pods" "$(brokers)"
a_topic many demo 1 5
stalls okt/many RefusedByBroker '5 time'
a_topic torn demo 1 2 '  config: {min.insync.replicas: 3}'
stalls okt/torn InvalidSpec 'spec.replicas to 3 or more'
a_topic odd demo 1 3 '  config: {retention.ms: soon}'
stalls okt/odd RefusedByBroker 'retention.ms'
k delete okt many torn odd --timeout=30s
! moved=$(change okt/orders '{"clusterRef":{"name":"other"}}' 2>&1) || fail "accepted: $moved"
matches 'the refusal' 'clusterRef cannot change' "$moved"

say "an object of somebody else's under one of our names"
apply <<<$'---\n{apiVersion: v1, kind: Service, metadata: {name: other-bootstrap}, spec: {ports: [{port: 9092}]}}'
foreign=$(field service/other-bootstrap '{.metadata.uid}')
a_cluster other 1
stalls okc/other NameConflict 'Service other-bootstrap exists and belongs to somebody else'
equal 'the Service' "$foreign" "$(field service/other-bootstrap '{.metadata.uid}')"
k delete service other-bootstrap
ready 120 okc/other
k delete okc other --timeout=60s

if can admission; then
  say 'a pod that the namespace forbids, and who says why'
  a_cluster lax 1 '  podTemplate: {securityContext: {seccompProfile: {type: Unconfined}}}'
  await 60 'it is told' says okc/lax Progressing 'no pod lax-broker-0 yet; if none comes, kubectl describe statefulset lax-broker says why'
  matches 'what it says' 'violates PodSecurity "restricted' "$(k describe statefulset lax-broker)"
  change okc/lax '{"podTemplate":null}'
  ready 120 okc/lax
  k delete okc lax --timeout=60s
fi

say 'a claim that somebody made larger'
k patch pvc data-demo-broker-1 --type=merge -p '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}'
await 60 'it is larger' is 2Gi field pvc/data-demo-broker-1 '{.status.capacity.storage}'
ready 60 okc/demo
equal 'pods' "$pods" "$(brokers)"

say 'a name that Kubernetes cannot hold, and two KafkaTopics for one topic'
a_topic first demo 1 3 '  topicName: Orders_V2'
ready 30 okt/first
seq 100 | produce demo Orders_V2
await 10 'the next second, for the second one to be younger' is_later "$(date -d "$(field okt/first '{.metadata.creationTimestamp}')" +%s)"
a_topic second demo 1 3 '  topicName: Orders_V2'
stalls okt/second TopicConflict 'KafkaTopic first already owns topic Orders_V2'
k delete okt first --timeout=30s
ready 30 okt/second
consume demo Orders_V2 | sort -n | cmp - <(seq 100)
# The namespace goes with all of this inside.
