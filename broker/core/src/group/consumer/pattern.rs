//! Subscriptions by pattern.

use std::collections::BTreeSet;

use super::request::Refusal;
use crate::group::Error;
use crate::metadata::Topics;
use crate::pattern;

/// A pattern that names can be matched with.
pub(crate) struct Pattern(pattern::Pattern);

impl Pattern {
    /// Compiles `pattern`.
    pub(crate) fn new(pattern: &str) -> Result<Self, Refusal> {
        pattern::Pattern::new(pattern).map(Self).map_err(|reason| {
            let message = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {reason}.");
            Refusal::new(Error::InvalidRegularExpression, message)
        })
    }

    /// Whether the whole name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    /// The topics whose names match.
    pub(crate) fn resolve(&self, topics: &Topics) -> BTreeSet<String> {
        topics.iter().map(|topic| topic.name.as_str()).filter(|name| self.matches(name)).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for bad in ["a(", "a)|(b", "*", "a{1000000}", r"(a)\1"] {
            let refusal = Pattern::new(bad).err().unwrap();
            assert_eq!(refusal.error, Error::InvalidRegularExpression, "{bad}");
            assert!(
                refusal.message.starts_with(&format!("SubscribedTopicRegex `{bad}` is not a valid")),
                "{refusal:?}"
            );
        }
    }
}
