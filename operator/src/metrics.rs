//! What the operator counts about itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{Resource, ResourceExt};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Results after which nothing is left to do.
const SETTLED: [&str; 2] = ["settled", "paused"];

/// Which passes, and how they ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pass {
    kind: &'static str,
    result: &'static str,
}

/// Which kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    kind: &'static str,
    namespace: String,
    name: String,
}

/// A pass that takes longer may be stuck, and is told of by its object's name.
const LONG_PASS: Duration = Duration::from_secs(60);

/// Counters of passes, and the objects that are not as they should be. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    passes: Family<Pass, Counter>,
    running: Family<Kind, Gauge>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
    elected: Gauge,
    unsettled: Arc<Times>,
    under_way: Arc<Times>,
}

/// Since when something has been so of each object.
#[derive(Debug)]
struct Times {
    metric: &'static str,
    help: &'static str,
    /// What has been so for less is not told.
    least: Duration,
    since: Mutex<HashMap<Object, Instant>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            running: Family::default(),
            seconds: Family::new_with_constructor(durations),
            elected: Gauge::default(),
            unsettled: Times::new(
                "ottla_operator_unsettled",
                "For how long an object is not as its spec asks; objects that are have no value",
                Duration::ZERO,
            ),
            under_way: Times::new(
                "ottla_operator_pass_under_way",
                "For how long a pass over an object has been under way; passes of less than a minute have no value",
                LONG_PASS,
            ),
        }
    }
}

fn durations() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

impl Metrics {
    /// Puts the counters into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("ottla_operator_passes", "Passes over custom resources by result", self.passes.clone());
        registry.register("ottla_operator_passes_running", "Passes under way", self.running.clone());
        let help = "How long a pass took";
        registry.register_with_unit("ottla_operator_pass", help, Unit::Seconds, self.seconds.clone());
        let help = "Whether this operator works: 0 while it stands by for another";
        registry.register("ottla_operator_elected", help, self.elected.clone());
        registry.register_collector(Box::new(self.unsettled.clone()));
        registry.register_collector(Box::new(self.under_way.clone()));
    }

    /// Notes whether this operator works.
    pub fn set_elected(&self, elected: bool) {
        self.elected.set(i64::from(elected));
    }

    /// Counts a pass over `object` until what it returns is dropped, and how long that took. There is one at a time.
    pub fn begin<K: Resource<DynamicType = ()>>(&self, kind: &'static str, object: &K) -> Running {
        let running = self.running.get_or_create(&Kind { kind }).clone();
        running.inc();
        let (object, began) = (Object::of(kind, object), Instant::now());
        self.under_way.objects().insert(object.clone(), began);
        Running { running, metrics: self.clone(), object, began }
    }

    /// Counts a pass over `object` that ended with `result`: `settled`, `changed`, `stalled`, `paused` or `failed`.
    pub fn ended<K: Resource<DynamicType = ()>>(&self, kind: &'static str, object: &K, result: &'static str) {
        self.passes.get_or_create(&Pass { kind, result }).inc();
        let object = Object::of(kind, object);
        let mut unsettled = self.unsettled.objects();
        if SETTLED.contains(&result) {
            unsettled.remove(&object);
        } else {
            unsettled.entry(object).or_insert_with(Instant::now);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, kind: &'static str, namespace: &str, name: &str) {
        let object = Object { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.unsettled.objects().remove(&object);
    }
}

impl Object {
    fn of<K: Resource<DynamicType = ()>>(kind: &'static str, object: &K) -> Self {
        Self { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

impl Times {
    fn new(metric: &'static str, help: &'static str, least: Duration) -> Arc<Self> {
        Arc::new(Self { metric, help, least, since: Mutex::default() })
    }

    fn objects(&self) -> std::sync::MutexGuard<'_, HashMap<Object, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Times {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(self.metric, self.help, unit, MetricType::Gauge)?;
        for (object, since) in self.objects().iter() {
            let time = since.elapsed();
            if time >= self.least {
                ConstGauge::new(time.as_secs_f64()).encode(family.encode_family(object)?)?;
            }
        }
        Ok(())
    }
}

/// A pass under way.
pub struct Running {
    running: Gauge,
    metrics: Metrics,
    object: Object,
    began: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.dec();
        self.metrics.under_way.objects().remove(&self.object);
        self.metrics
            .seconds
            .get_or_create(&Kind { kind: self.object.kind })
            .observe(self.began.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn written(metrics: &Metrics) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        text
    }

    fn object(name: &str) -> ConfigMap {
        let (name, namespace) = (Some(name.to_owned()), Some("shop".to_owned()));
        ConfigMap { metadata: ObjectMeta { name, namespace, ..ObjectMeta::default() }, ..ConfigMap::default() }
    }

    #[test]
    fn only_objects_that_are_not_settled_have_a_time() {
        let metrics = Metrics::default();
        metrics.ended("KafkaTopic", &object("good"), "settled");
        metrics.ended("KafkaTopic", &object("mended"), "failed");
        metrics.ended("KafkaTopic", &object("mended"), "settled");
        metrics.ended("KafkaTopic", &object("gone"), "changed");
        metrics.ended("KafkaTopic", &object("bad"), "stalled");
        metrics.forget("KafkaTopic", "shop", "gone");
        let text = written(&metrics);
        let times: Vec<_> = text.lines().filter(|line| line.starts_with("ottla_operator_unsettled_seconds{")).collect();
        assert_eq!(times.len(), 1, "{text}");
        assert!(times[0].contains(r#"{kind="KafkaTopic",namespace="shop",name="bad"} "#), "{text}");
        assert!(text.contains(r#"ottla_operator_passes_total{kind="KafkaTopic",result="settled"} 2"#), "{text}");
    }

    #[test]
    fn passes_under_way_and_their_times_are_counted() {
        let metrics = Metrics::default();
        let pass = metrics.begin("KafkaCluster", &object("good"));
        assert!(written(&metrics).contains(r#"ottla_operator_passes_running{kind="KafkaCluster"} 1"#));
        drop(pass);
        let text = written(&metrics);
        assert!(text.contains(r#"ottla_operator_passes_running{kind="KafkaCluster"} 0"#), "{text}");
        assert!(text.contains(r#"ottla_operator_pass_seconds_count{kind="KafkaCluster"} 1"#), "{text}");
    }

    #[test]
    fn a_pass_that_takes_long_is_told_of_by_its_object_until_it_ends() {
        let told = |metrics: &Metrics| {
            let text = written(metrics);
            let lines = text.lines().filter(|line| line.starts_with("ottla_operator_pass_under_way_seconds{"));
            lines.map(|line| line.split_inclusive('}').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let metrics = Metrics::default();
        let _quick = metrics.begin("KafkaTopic", &object("quick"));
        assert_eq!(told(&metrics), Vec::<String>::new());
        let any_is_long = Times::new("ottla_operator_pass_under_way", "", Duration::ZERO);
        let metrics = Metrics { under_way: any_is_long, ..Metrics::default() };
        let stuck = metrics.begin("KafkaTopic", &object("stuck"));
        let line = r#"ottla_operator_pass_under_way_seconds{kind="KafkaTopic",namespace="shop",name="stuck"}"#;
        assert_eq!(told(&metrics), [line]);
        drop(stuck);
        assert_eq!(told(&metrics), Vec::<String>::new());
    }
}
