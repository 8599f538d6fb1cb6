//! Patterns that people configure: the syntax of RE2, and a text matches only as a whole.

use regex::{Regex, RegexBuilder};

/// What a compiled pattern may take up; a larger one would cost the broker more than one setting may.
const SIZE_LIMIT: usize = 1 << 20;

/// A pattern that whole texts are matched with.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Compiles `pattern`; the error is the reason in one line.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let compile = |text: &str| RegexBuilder::new(text).size_limit(SIZE_LIMIT).build();
        // By itself first: parentheses must not pair with those around it.
        compile(pattern).and_then(|_| compile(&format!("^(?:{pattern})$"))).map(Self).map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
        })
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_matches_as_a_whole_only() {
        let pattern = Pattern::new("a|b.").unwrap();
        assert!(pattern.matches("a") && pattern.matches("bx"));
        assert!(!pattern.matches("ab") && !pattern.matches("xa") && !pattern.matches("bxx"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (bad, reason) in [("a(", "unclosed group"), ("a)|(b", "unopened group"), (r"(a)\1", "backreferences")] {
            let refused = Pattern::new(bad).unwrap_err();
            assert!(refused.contains(reason), "{bad}: {refused}");
        }
        assert!(Pattern::new("*").is_err() && Pattern::new("a{1000000}").is_err());
    }
}
