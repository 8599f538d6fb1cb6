//! Settings out of a spec: values as text, and what of them has to change on a cluster.

use std::collections::{BTreeMap, BTreeSet};

use ottla_crds::ConfigMapSpec;

use crate::{
    error::Refusal,
    kafka::{ConfigChange, OwnConfig},
};

/// The settings of a spec as Kafka reads them.
///
/// # Errors
/// Refuses a value that is no scalar or has a line break, naming its key.
pub fn as_text(config: &ConfigMapSpec) -> Result<BTreeMap<String, String>, Refusal> {
    let mut settings = BTreeMap::new();
    for (key, value) in config {
        let Some(text) = value.text() else {
            let message = format!("spec.config[\"{key}\"] must be text, a number or a boolean: give it one value");
            return Err(Refusal::invalid_spec(message));
        };
        if text.contains(['\n', '\r']) {
            return Err(Refusal::invalid_spec(format!(
                "spec.config[\"{key}\"] must be one line: remove the line break"
            )));
        }
        settings.insert(key.clone(), text);
    }
    Ok(settings)
}

/// What to change so that `current` has all of `wanted`, and no longer what only `managed` (the keys set from an
/// earlier spec) asks for. Keys that are in neither are left alone.
pub fn changes(wanted: &BTreeMap<String, String>, managed: &[String], current: &OwnConfig) -> Vec<ConfigChange> {
    let set = wanted
        .iter()
        .filter(|(key, value)| !current.get(*key).is_some_and(|current| same_value(current, value)))
        .map(|(key, value)| ConfigChange::Set(key.clone(), value.clone()));
    let managed: BTreeSet<&String> = managed.iter().collect();
    let reset = managed
        .into_iter()
        .filter(|key| !wanted.contains_key(*key) && current.contains_key(*key))
        .map(|key| ConfigChange::Reset(key.clone()));
    set.chain(reset).collect()
}

/// Whether two texts are one value to Kafka: brokers answer in their own spelling (`TRUE` reads `true`, and a list
/// loses its blanks), which must not look like a difference on every pass.
fn same_value(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    let is_boolean = |text: &str| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    if is_boolean(left.trim()) || is_boolean(right.trim()) {
        return left.trim().eq_ignore_ascii_case(right.trim());
    }
    if let (Ok(left), Ok(right)) = (left.trim().parse::<i128>(), right.trim().parse::<i128>()) {
        return left == right;
    }
    if let (Ok(left), Ok(right)) = (left.trim().parse::<f64>(), right.trim().parse::<f64>()) {
        return left == right;
    }
    let items = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
    items(left) == items(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_differs_is_set_and_only_what_was_ours_is_reset() {
        let wanted = map(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
        let current = map(&[("retention.ms", "1000"), ("segment.bytes", "5"), ("max.message.bytes", "9")]);
        let managed = vec!["segment.bytes".to_owned(), "retention.ms".to_owned(), "gone.already".to_owned()];
        assert_eq!(
            changes(&wanted, &managed, &current),
            vec![
                ConfigChange::Set("cleanup.policy".to_owned(), "compact".to_owned()),
                ConfigChange::Reset("segment.bytes".to_owned()),
            ]
        );
    }

    #[test]
    fn a_brokers_own_spelling_of_a_value_is_no_difference() {
        for (spec, broker) in [("TRUE", "true"), ("0.50", "0.5"), ("compact, delete", "compact,delete"), (" 7", "7")] {
            assert_eq!(changes(&map(&[("key", spec)]), &[], &map(&[("key", broker)])), vec![], "{spec}");
        }
        for (spec, broker) in [("true", "false"), ("1", "2"), ("a,b", "b,a"), ("gzip", "GZIP")] {
            assert_eq!(changes(&map(&[("key", spec)]), &[], &map(&[("key", broker)])).len(), 1, "{spec}");
        }
    }

    #[test]
    fn values_that_are_no_scalar_are_refused_by_key() {
        let config: ConfigMapSpec = serde_yaml::from_str("{a: 1, b: [1]}").unwrap();
        assert!(as_text(&config).unwrap_err().message.contains("spec.config[\"b\"]"));
        let config: ConfigMapSpec = serde_yaml::from_str("{a: \"x\\ny\"}").unwrap();
        assert!(as_text(&config).unwrap_err().message.contains("one line"));
    }
}
