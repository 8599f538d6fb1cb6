//! What a scrape of the metrics is given.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::{Gauges, Metrics};

/// The counters of a broker, and what is counted anew for each scrape.
#[derive(Clone)]
pub struct Exposition {
    counters: Arc<Registry>,
    gauges: Gauges,
}

impl Exposition {
    /// Of `metrics`, and what `gauges` gives at each scrape.
    pub fn new(metrics: &Metrics, gauges: Gauges) -> Self {
        Self { counters: Arc::new(metrics.registry()), gauges }
    }

    /// The text of one scrape, in the format of OpenMetrics.
    pub async fn text(&self) -> Result<String, Error> {
        let mut gauges = Registry::default();
        gauges.register_collector(Box::new((self.gauges)().await));
        let mut text = String::new();
        encode_registry(&mut text, &self.counters)?;
        encode_registry(&mut text, &gauges)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}
