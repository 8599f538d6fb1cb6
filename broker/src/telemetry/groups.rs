//! The metrics of the groups coordinated here, under the names that Kafka's JMX exporter gives them.
//!
//! As in Kafka the states of classic groups have metrics of their own, those of the other kinds a label; a kind of group that is
//! added gets its metrics by being a [`GroupKind`].

use std::fmt::Error;

use ottla_core::group::{GroupCounts, GroupKind};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Groups never are in this state here; Kafka has it among the others.
const DEAD: &str = "Dead";

/// Encodes the counts.
pub(super) fn encode(counts: &GroupCounts, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let protocols = GroupKind::ALL.map(|kind| (kind.name(), counts.of(kind)));
    let name = "kafka_server_group_coordinator_metrics_group_count";
    family(encoder, name, "Groups coordinated here", "protocol", protocols)?;
    for kind in GroupKind::ALL {
        let states = kind.states().iter().chain([&DEAD]).map(|state| (*state, counts.in_state(kind, state)));
        if kind == GroupKind::Classic {
            gauge(encoder, "numgroups", "Classic groups coordinated here", counts.of(kind))?;
            for (state, count) in states {
                let name = format!("numgroups{}", state.to_lowercase());
                gauge(encoder, &name, &format!("Classic groups in the state {state}"), count)?;
            }
        } else {
            let name = format!("kafka_server_group_coordinator_metrics_{}_group_count", kind.name());
            family(encoder, &name, "Groups of the kind, by their state", "state", states)?;
        }
    }
    gauge(encoder, "numoffsets", "Offsets committed by groups coordinated here", counts.offsets)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: u64) -> Result<(), Error> {
    let gauge = ConstGauge::new(count);
    let name = format!("kafka_coordinator_group_groupmetadatamanager_{name}");
    gauge.encode(encoder.encode_descriptor(&name, help, None, gauge.metric_type())?)
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    counts: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, count) in counts {
        ConstGauge::new(count).encode(family.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use crate::telemetry::Snapshot;

    #[test]
    fn groups_have_the_names_of_kafkas_exporter_also_where_there_are_none() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Snapshot::default()));
        let mut found = String::new();
        text::encode(&mut found, &registry).unwrap();
        let found: Vec<&str> = found.lines().filter(|line| line.contains("group") && !line.starts_with('#')).collect();
        assert_eq!(
            found,
            [
                "kafka_server_group_coordinator_metrics_group_count{protocol=\"classic\"} 0",
                "kafka_server_group_coordinator_metrics_group_count{protocol=\"consumer\"} 0",
                "kafka_server_group_coordinator_metrics_group_count{protocol=\"share\"} 0",
                "kafka_server_group_coordinator_metrics_group_count{protocol=\"streams\"} 0",
                "kafka_coordinator_group_groupmetadatamanager_numgroups 0",
                "kafka_coordinator_group_groupmetadatamanager_numgroupsempty 0",
                "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance 0",
                "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance 0",
                "kafka_coordinator_group_groupmetadatamanager_numgroupsstable 0",
                "kafka_coordinator_group_groupmetadatamanager_numgroupsdead 0",
                "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"Empty\"} 0",
                "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"Assigning\"} 0",
                "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"Reconciling\"} 0",
                "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"Stable\"} 0",
                "kafka_server_group_coordinator_metrics_consumer_group_count{state=\"Dead\"} 0",
                "kafka_server_group_coordinator_metrics_share_group_count{state=\"Empty\"} 0",
                "kafka_server_group_coordinator_metrics_share_group_count{state=\"Stable\"} 0",
                "kafka_server_group_coordinator_metrics_share_group_count{state=\"Dead\"} 0",
                "kafka_server_group_coordinator_metrics_streams_group_count{state=\"Empty\"} 0",
                "kafka_server_group_coordinator_metrics_streams_group_count{state=\"NotReady\"} 0",
                "kafka_server_group_coordinator_metrics_streams_group_count{state=\"Assigning\"} 0",
                "kafka_server_group_coordinator_metrics_streams_group_count{state=\"Reconciling\"} 0",
                "kafka_server_group_coordinator_metrics_streams_group_count{state=\"Stable\"} 0",
                "kafka_server_group_coordinator_metrics_streams_group_count{state=\"Dead\"} 0",
                "kafka_coordinator_group_groupmetadatamanager_numoffsets 0",
            ]
        );
    }
}
