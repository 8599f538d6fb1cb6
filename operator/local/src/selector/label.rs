//! `app=a,tier!=b,env in (x,y),!legacy`: the set-based label selector syntax.

use serde_json::Value;

use crate::object;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// A conjunction of requirements; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<(String, Test)>);

impl LabelSelector {
    /// Parses a selector; the error is a sentence for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        let requirements = split_outside_parentheses(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
        requirements.map(requirement).collect::<Result<_, _>>().map(Self)
    }

    pub fn matches(&self, object: &Value) -> bool {
        let labels = object::at(object, &["metadata", "labels"]);
        self.0.iter().all(|(key, test)| {
            let value = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            match test {
                Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
            }
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Result<(String, Test), String> {
    if let Some((left, rest)) = part.split_once('(') {
        let values = rest.trim().strip_suffix(')').ok_or_else(|| unparsable(part))?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = left.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok((checked(key, part)?, Test::In(values))),
            (Some(key), Some("notin"), None) => Ok((checked(key, part)?, Test::NotIn(values))),
            _ => Err(unparsable(part)),
        };
    }
    for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let values = vec![value.trim().to_owned()];
            return Ok((checked(key, part)?, if negated { Test::NotIn(values) } else { Test::In(values) }));
        }
    }
    match part.strip_prefix('!') {
        Some(key) => Ok((checked(key, part)?, Test::Absent)),
        None => Ok((checked(part, part)?, Test::Exists)),
    }
}

fn checked(key: &str, part: &str) -> Result<String, String> {
    let key = key.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if key.is_empty() || !key.chars().all(allowed) { Err(unparsable(part)) } else { Ok(key.to_owned()) }
}

fn unparsable(part: &str) -> String {
    format!("unable to parse requirement: {part:?} is not a label requirement")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::LabelSelector;

    #[test]
    fn each_form_of_requirement_selects_what_it_says() {
        let pod = json!({"metadata": {"labels": {"app": "a", "tier": "db"}}});
        let cases = [
            ("", true),
            ("app=a", true),
            ("app==a,tier=db", true),
            ("app=b", false),
            ("app!=b,other!=x", true),
            ("app in (x, a),tier notin (web)", true),
            ("tier notin (db)", false),
            ("other notin (db)", true),
            ("app,!other", true),
            ("!app", false),
        ];
        for (text, selected) in cases {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(&pod), selected, "{text}");
        }
        for bad in ["a b", "=x", "app in x", "app in (x", "app is (x)"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }
}
