# A cluster of three brokers from its founding to its end: Ready soon, topics, records by kcat and by a pod, a broker
# killed under load, a bad spec refused and mended, and nothing left after the deletion but the claims.

began=$(now)
a_cluster demo 3
ready 120 okc/demo
figure 'three brokers, from applied to Ready' "$(seconds_since "$began")" s 15
equal 'ready brokers' 3 "$(field okc/demo '{.status.readyBrokers}')"
equal 'the condition Available' True "$(condition okc/demo Available | cut -d/ -f1)"

a_topic orders demo 3 3
began=$(now)
a_topic second demo 1 3
ready 30 okt/orders okt/second
figure 'a topic, from applied to Ready' "$(seconds_since "$began")" s 10

say 'records by kcat from outside, and by pods'
seq 1000 | produce demo orders
consume demo orders | sort -n | cmp - <(seq 1000)
an_ottla_pod once check --bootstrap "$(bootstrap demo)" --topic second --records 50
k wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s pod/once
matches 'what the pod says' 'acked=50 lost=0' "$(k logs once)"
if can kcat; then
  a_pod "$E2E_KCAT_IMAGE" inside -q -b "$(bootstrap demo)" -t orders -C -o beginning -e
  k wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s pod/inside
  k logs inside | sort -n | cmp - <(seq 1000)
fi

say 'a broker dies under load'
load_start writer demo orders
pod_kill demo-broker-1
await 60 'the broker is another pod and ready' pod_is_new_and_ready demo-broker-1
ready 120 okc/demo
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
figure 'longest time without writes around a pod kill' "$(load_report writer max_ms)" ms 5000
consume demo orders | grep -cE '^[0-9]+$' | grep -qx 1000

if can nodes; then
  say "a broker's process is killed under load"
  load_start killed demo orders
  process_kill demo-broker-0
  await 60 'the broker was started again' pod_was_restarted demo-broker-0 1
  ready 120 okc/demo
  load_stop killed
  equal 'refusals for lack of replicas' 0 "$(load_report killed not_enough_replicas)"
  figure 'longest time without writes around a process kill' "$(load_report killed max_ms)" ms 5000
fi

say 'a spec that cannot be is refused, and what runs goes on'
k patch okc demo --type=merge -p '{"spec":{"config":{"log.retention.huors":"1"}}}'
stalls okc/demo InvalidSpec 'did you mean log.retention.hours'
equal 'running brokers' 3 "$(k get pods -l app.kubernetes.io/instance=demo --field-selector status.phase=Running -o name | wc -l)"
k patch okc demo --type=json -p '[{"op":"remove","path":"/spec/config/log.retention.huors"}]'
ready 60 okc/demo

say 'the end'
k delete okt --all --timeout=60s
k delete okc demo --timeout=60s
await 120 'nothing but claims is left' is 0 children_left
equal 'claims' 3 "$(k get pvc -o name | wc -l)"
