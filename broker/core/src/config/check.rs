//! Whether a value fits its key. Messages are worded as Kafka's clients and tools know them.

use super::Kind;

/// What values of a key are valid, beyond their type.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Every value of the type.
    Any,
    /// A number not less than this.
    AtLeast(i64),
    /// A number in this range, both ends included.
    Between(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// 1 to 9, or −1 for the codec's own default.
    GzipLevel,
    /// A list of `NAME://host:port` that clients can dial.
    ListenerAddresses,
    /// Where a share group begins.
    OffsetReset,
}

/// A value that its key does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {reason}")]
pub struct InvalidValue {
    /// The key.
    pub key: String,
    /// The value, or `null`.
    pub value: String,
    /// The rule it breaks.
    pub reason: String,
}

impl Check {
    /// Checks `value` for the key `name` of type `kind`.
    pub fn value(&self, name: &str, kind: Kind, value: &str) -> Result<(), InvalidValue> {
        let number = parse(kind, value.trim()).and_then(|number| self.rule(value, number));
        number.map_err(|reason| InvalidValue { key: name.to_owned(), value: value.to_owned(), reason })
    }

    fn rule(&self, value: &str, number: f64) -> Result<(), String> {
        match *self {
            Self::Any => Ok(()),
            Self::AtLeast(least) if number < least as f64 => Err(format!("Value must be at least {least}")),
            Self::Between(least, _) if number < least => Err(format!("Value must be at least {least}")),
            Self::Between(_, most) if number > most => Err(format!("Value must be no more than {most}")),
            Self::AtLeast(_) | Self::Between(..) => Ok(()),
            Self::OneOf(words) => one_of(value.trim(), words),
            Self::ListOf(words) => list(value).try_for_each(|word| one_of(word, words)),
            Self::ThrottledReplicas if value.trim() == "*" || list(value).all(is_partition_and_broker) => Ok(()),
            Self::ThrottledReplicas => {
                Err("it must be a list of partition:broker pairs separated by commas, or *".into())
            }
            Self::GzipLevel if number == -1.0 || (1.0..=9.0).contains(&number) => Ok(()),
            Self::GzipLevel => Err("Value must be between 1 and 9 or equal to -1".into()),
            Self::ListenerAddresses => super::address::check(value),
            Self::OffsetReset => super::offset_reset::check(value),
        }
    }
}

/// The words of a list value; an empty value is an empty list.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn one_of(word: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&word) { Ok(()) } else { Err(format!("String must be one of: {}", words.join(", "))) }
}

fn is_partition_and_broker(word: &str) -> bool {
    word.split_once(':')
        .is_some_and(|(partition, broker)| partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok())
}

/// The value as a number where its type is one; 0 for the others.
fn parse(kind: Kind, value: &str) -> Result<f64, String> {
    let not_a_number = |kind: &str| format!("Not a number of type {kind}");
    match kind {
        Kind::Int => value.parse::<i32>().map(f64::from).map_err(|_| not_a_number("INT")),
        Kind::Short => value.parse::<i16>().map(f64::from).map_err(|_| not_a_number("SHORT")),
        Kind::Long => value.parse::<i64>().map(|n| n as f64).map_err(|_| not_a_number("LONG")),
        Kind::Double => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(not_a_number("DOUBLE")),
        },
        Kind::Boolean if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => Ok(0.0),
        Kind::Boolean => Err("Expected value to be either true or false".into()),
        Kind::String | Kind::List | Kind::Class | Kind::Password => Ok(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic_key;

    fn reason(key: &str, value: &str) -> Option<String> {
        let key = topic_key(key).unwrap();
        key.check.value(key.name, key.kind, value).err().map(|e| e.to_string())
    }

    #[test]
    fn refusals_are_worded_as_kafka_words_them() {
        for (key, value, message) in [
            ("retention.ms", "abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG"),
            ("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
            ("segment.bytes", "1", "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"),
            (
                "cleanup.policy",
                "squash",
                "Invalid value squash for configuration cleanup.policy: String must be one of: compact, delete",
            ),
        ] {
            assert_eq!(reason(key, value).as_deref(), Some(message));
        }
    }

    #[test]
    fn good_values_pass() {
        for (key, value) in [
            ("cleanup.policy", ""),
            ("cleanup.policy", "compact,delete"),
            ("leader.replication.throttled.replicas", "*"),
            ("leader.replication.throttled.replicas", "0:1,3:2"),
            ("compression.gzip.level", "-1"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("preallocate", "TRUE"),
        ] {
            assert_eq!(reason(key, value), None, "{key}={value}");
        }
        assert!(reason("compression.gzip.level", "0").is_some());
        assert!(reason("min.cleanable.dirty.ratio", "NaN").is_some());
        assert!(reason("follower.replication.throttled.replicas", "x").is_some());
    }
}
