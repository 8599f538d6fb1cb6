# Rolling changes under load: a setting that brokers read at their start, then an image that does not exist, which stops
# at the first broker, and back.

# new_uids BEFORE: how many of them are there no more
new_uids() { comm -13 <(tr ' ' '\n' <<<"$1" | sort) <(brokers | tr ' ' '\n' | sort) | wc -l; }

a_cluster demo 3
ready 120 okc/demo
a_topic orders demo 6 3
ready 60 okt/orders
load_start writer demo orders

say 'another setting: one broker after another, and nobody notices'
before=$(brokers)
began=$(now)
k patch okc demo --type=merge -p '{"spec":{"config":{"log.retention.hours":"100"}}}'
await 180 'every broker is another pod' is 3 new_uids "$before"
ready 180 okc/demo
figure 'rolling restart of three brokers' "$(seconds_since "$began")" s 120
load_stop writer
equal 'refusals for lack of replicas' 0 "$(load_report writer not_enough_replicas)"
figure 'rolling restart, produce p99' "$(load_report writer p99_ms)" ms 1000
figure 'rolling restart, longest time without writes' "$(load_report writer max_ms)" ms

say 'an image that does not exist stops at the first broker, and the condition says why'
before=$(brokers)
image=$(field okc/demo '{.spec.image}')
k patch okc demo --type=merge -p '{"spec":{"image":"nowhere.invalid/broken:1"}}'
await 60 'the roll is told' says okc/demo Progressing '1 of 3 brokers have been restarted for the new spec: demo-broker-[0-2] does not start'
equal 'brokers touched' 1 "$(new_uids "$before")"
equal 'the condition Available' True "$(condition okc/demo Available | cut -d/ -f1)"
seq 100 | produce demo orders

say 'and a good one mends it, restarting nobody else'
k patch okc demo --type=merge -p "{\"spec\":{\"image\":\"$image\"}}"
ready 120 okc/demo
equal 'brokers touched' 1 "$(new_uids "$before")"
