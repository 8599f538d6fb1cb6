//! Subscriptions by pattern: the syntax of RE2, and a name matches only as a whole.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use super::request::Refusal;
use crate::group::Error;
use crate::metadata::Topics;

/// What a compiled pattern may take up; a larger one would cost the coordinator more than a subscription may.
const SIZE_LIMIT: usize = 1 << 20;

/// A pattern that names can be matched with.
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Compiles `pattern`.
    pub(crate) fn new(pattern: &str) -> Result<Self, Refusal> {
        let compile = |text: &str| RegexBuilder::new(text).size_limit(SIZE_LIMIT).build();
        // By itself first: parentheses must not pair with those around it.
        match compile(pattern).and_then(|_| compile(&format!("^(?:{pattern})$"))) {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                let message = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {reason}.");
                Err(Refusal::new(Error::InvalidRegularExpression, message))
            }
        }
    }

    /// Whether the whole name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
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
    fn a_name_matches_as_a_whole_only() {
        let pattern = Pattern::new("a|b.").unwrap();
        assert!(pattern.matches("a") && pattern.matches("bx"));
        assert!(!pattern.matches("ab") && !pattern.matches("xa") && !pattern.matches("bxx"));
    }

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
