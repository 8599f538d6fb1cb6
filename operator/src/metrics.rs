//! What the operator counts about itself.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

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

/// Counters of passes.
#[derive(Clone, Debug)]
pub struct Metrics {
    passes: Family<Pass, Counter>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { passes: Family::default(), seconds: Family::new_with_constructor(durations) }
    }
}

fn durations() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

impl Metrics {
    /// Puts the counters into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("ottla_operator_passes", "Passes over custom resources by result", self.passes.clone());
        let help = "How long a pass took";
        registry.register_with_unit("ottla_operator_pass", help, Unit::Seconds, self.seconds.clone());
    }

    /// Counts a pass over an object of `kind` that ended with `result`: `settled`, `changed`, `stalled`, `paused` or
    /// `failed`.
    pub fn count_result(&self, kind: &'static str, result: &'static str) {
        self.passes.get_or_create(&Pass { kind, result }).inc();
    }

    /// Notes how long a pass over an object of `kind` took.
    pub fn observe_seconds(&self, kind: &'static str, seconds: f64) {
        self.seconds.get_or_create(&Kind { kind }).observe(seconds);
    }
}
