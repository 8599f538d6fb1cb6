//! Valid specs of a cluster and of a topic in it, drawn from a seed.

use proptest::{
    option,
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

/// The specs of one moment.
#[derive(Clone, Debug)]
pub struct Stage {
    /// That of the KafkaCluster.
    pub cluster: Value,
    /// That of the KafkaTopic.
    pub topic: Value,
}

/// There and back.
#[derive(Clone, Debug)]
pub struct Journey {
    /// Where it begins.
    pub first: Stage,
    /// Where it goes.
    pub second: Stage,
    /// The first again, but for what can only grow.
    pub back: Stage,
}

/// The journey of `seed`, always the same.
pub fn draw(seed: u64) -> Journey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut first, mut second) = (stages(), stages()).new_tree(&mut runner).unwrap().current();
    // Moves that are paused are not to be waited for.
    let moves = |stage: &Stage| (stage.cluster["brokers"].clone(), stage.topic["replicas"].clone());
    if moves(&first) != moves(&second) {
        for stage in [&mut first, &mut second] {
            stage.cluster["rebalance"]["mode"] = json!("Automatic");
        }
    }
    second.cluster["storage"]["volumes"] =
        grown(&first.cluster["storage"]["volumes"], &second.cluster["storage"]["volumes"]);
    second.topic["partitions"] =
        first.topic["partitions"].as_i64().max(second.topic["partitions"].as_i64()).map_or(Value::Null, Value::from);
    let mut back = first.clone();
    back.cluster["storage"]["volumes"] = second.cluster["storage"]["volumes"].clone();
    back.topic["partitions"] = second.topic["partitions"].clone();
    Journey { first, second, back }
}

/// The volumes of `before`, none smaller than there or than in `wanted`, and then those that only `wanted` has.
fn grown(before: &Value, wanted: &Value) -> Value {
    let mut volumes = before.as_array().unwrap().clone();
    for volume in wanted.as_array().unwrap() {
        let gibibytes =
            |volume: &Value| volume["size"].as_str().unwrap().trim_end_matches("Gi").parse::<u32>().unwrap();
        match volumes.iter_mut().find(|one| one["name"] == volume["name"]) {
            Some(one) if gibibytes(one) < gibibytes(volume) => one["size"] = volume["size"].clone(),
            Some(_) => {}
            None => volumes.push(volume.clone()),
        }
    }
    volumes.into()
}

fn stages() -> impl Strategy<Value = Stage> {
    (1..=4_usize)
        .prop_flat_map(|brokers| {
            let fields = (
                option::of(select(vec![1, 3]).prop_filter("no more than brokers", move |votes| *votes <= brokers)),
                option::of(select(vec!["registry.example/broker:1", "registry.example/broker:2"])),
                broker_settings(),
                volumes(),
                option::of(listeners()),
                option::of(select(vec!["topology.kubernetes.io/zone", "topology.kubernetes.io/region"])),
            );
            let others = (rebalance(), repair(), option::of(resources()), option::of(pod_template()));
            (Just(brokers), fields, others, topic(brokers))
        })
        .prop_map(|(brokers, (controllers, image, config, storage, listeners, rack), others, topic)| {
            let (rebalance, repair, resources, pod_template) = others;
            let mut cluster = json!({
                "brokers": brokers, "config": config, "storage": storage, "rebalance": rebalance, "repair": repair,
            });
            let mut give = |key: &str, value: Option<Value>| value.map(|value| cluster[key] = value);
            give("controllers", controllers.map(Value::from));
            give("image", image.map(Value::from));
            give("listeners", listeners);
            give("rack", rack.map(|key| json!({ "topologyKey": key })));
            give("resources", resources);
            give("podTemplate", pod_template);
            Stage { cluster, topic }
        })
}

/// Some of `pool`, each with one of its values.
fn settings(pool: Vec<(&'static str, Vec<Value>)>) -> impl Strategy<Value = Value> {
    let all = pool.len();
    subsequence(pool, 0..=all)
        .prop_flat_map(|some| some.into_iter().map(|(key, values)| (Just(key), select(values))).collect::<Vec<_>>())
        .prop_map(|chosen| chosen.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into())
}

/// Settings of the file, and such as change while brokers run.
fn broker_settings() -> impl Strategy<Value = Value> {
    settings(vec![
        ("log.retention.hours", vec![json!(24), json!("48")]),
        ("auto.create.topics.enable", vec![json!(true), json!(false)]),
        ("default.replication.factor", vec![json!(1)]),
        ("offsets.topic.num.partitions", vec![json!(10), json!(20)]),
        ("message.max.bytes", vec![json!(2_000_000), json!("3000000")]),
        ("min.insync.replicas", vec![json!(1), json!(2)]),
        ("compression.type", vec![json!("zstd"), json!("producer")]),
        ("log.segment.bytes", vec![json!(1_048_576), json!(2_097_152)]),
    ])
}

fn volumes() -> impl Strategy<Value = Value> {
    let size = || (1..=3_u32).prop_map(|gibibytes| format!("{gibibytes}Gi"));
    let retain = select(vec!["WhenDeleted", "WhenScaled", "Always", "Never"]);
    (size(), option::of(size()), retain).prop_map(|(data, more, retain)| {
        let more = more.map(|size| json!({"name": "more", "size": size}));
        let volumes: Vec<Value> = [json!({"name": "data", "size": data})].into_iter().chain(more).collect();
        json!({"volumes": volumes, "retain": retain})
    })
}

fn listeners() -> impl Strategy<Value = Value> {
    let ports = Just(vec![9092, 9192, 19092]).prop_shuffle();
    let advertise = || select(vec!["Hostname", "PodIP"]);
    let ways = (advertise(), advertise(), advertise());
    (subsequence(vec!["plain", "inner", "tools"], 1..=3).prop_shuffle(), ports, ways).prop_map(
        |(names, ports, ways)| {
            let ways = [ways.0, ways.1, ways.2];
            let each = names.into_iter().zip(ports).zip(ways);
            each.map(|((name, port), advertise)| json!({"name": name, "port": port, "advertise": advertise})).collect()
        },
    )
}

fn rebalance() -> impl Strategy<Value = Value> {
    let mode = select(vec!["Automatic", "Automatic", "Paused"]);
    (mode, 1..=20_i32, option::of(select(vec![1_000_000, 50_000_000]))).prop_map(|(mode, moves, throttle)| {
        let mut rebalance = json!({"mode": mode, "maxConcurrentMoves": moves});
        if let Some(bytes) = throttle {
            rebalance["throttleBytesPerSecond"] = json!(bytes);
        }
        rebalance
    })
}

fn repair() -> impl Strategy<Value = Value> {
    (select(vec!["Automatic", "Paused"]), select(vec!["5m", "1h30m"]))
        .prop_map(|(mode, after)| json!({"mode": mode, "after": after}))
}

fn resources() -> impl Strategy<Value = Value> {
    let amounts = || option::of((select(vec!["100m", "1", "1500m"]), select(vec!["256Mi", "1Gi", "1024Mi"])));
    let told = |amounts: Option<(&str, &str)>| amounts.map(|(cpu, memory)| json!({"cpu": cpu, "memory": memory}));
    (amounts(), amounts()).prop_map(move |(requests, limits)| {
        let both = [("requests", told(requests)), ("limits", told(limits))];
        both.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>().into()
    })
}

fn pod_template() -> impl Strategy<Value = Value> {
    settings(vec![
        ("labels", vec![json!({"team": "data"}), json!({"team": "web", "tier": "log"})]),
        ("annotations", vec![json!({"note": "one"}), json!({"other": "two"})]),
        ("nodeSelector", vec![json!({"disk": "fast"}), json!({"disk": "slow", "zone": "a"})]),
        ("tolerations", vec![json!([{"key": "kafka", "operator": "Exists"}]), json!([])]),
        ("priorityClassName", vec![json!("system-cluster-critical"), json!("system-node-critical")]),
        ("securityContext", vec![json!({"fsGroup": 7}), json!({"supplementalGroups": [7, 8]})]),
        ("imagePullSecrets", vec![json!([{"name": "one"}]), json!([{"name": "two"}, {"name": "one"}])]),
        ("terminationGracePeriodSeconds", vec![json!(30), json!(300)]),
        (
            "affinity",
            vec![
                json!({}),
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}}}),
            ],
        ),
        (
            "topologySpreadConstraints",
            vec![json!([{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}])],
        ),
    ])
}

/// A topic of no more replicas than there are brokers.
fn topic(brokers: usize) -> impl Strategy<Value = Value> {
    let pool = settings(vec![
        ("retention.ms", vec![json!(1000), json!("604800000")]),
        ("cleanup.policy", vec![json!("compact"), json!("compact,delete")]),
        ("max.message.bytes", vec![json!(500_000)]),
        ("min.insync.replicas", vec![json!(1)]),
        ("segment.bytes", vec![json!(1_048_576)]),
    ]);
    (1..=6_i32, 1..=brokers.min(3), pool).prop_map(|(partitions, replicas, config)| {
        json!({"clusterRef": {"name": "demo"}, "partitions": partitions, "replicas": replicas, "config": config})
    })
}
