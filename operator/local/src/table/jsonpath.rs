//! The JSONPath that printer columns use: fields, indexes, `[*]` and `[?(@.field=="value")]`.

use serde_json::Value;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Items whose field at the path equals (or, if not, differs from) the value.
    Filter {
        path: Vec<String>,
        equal: bool,
        value: Value,
    },
}

/// All values at a path; none if the path is not understood.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = parse(path) else { return Vec::new() };
    let found =
        steps.iter().fold(vec![object], |values, step| values.into_iter().flat_map(|v| take(v, step)).collect());
    found.into_iter().filter(|value| !value.is_null()).collect()
}

fn take<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::All => match value {
            Value::Object(fields) => fields.values().collect(),
            _ => items.iter().collect(),
        },
        Step::Index(index) => {
            let at = if *index < 0 { items.len() as i64 + index } else { *index };
            usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
        }
        Step::Filter { path, equal, value } => {
            let matches = |item: &&Value| {
                let found = path.iter().try_fold(*item, |value, field| value.get(field));
                (found == Some(value)) == *equal
            };
            items.iter().filter(matches).collect()
        }
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}');
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = bracket(after)?;
            steps.push(parse_bracket(inside)?);
            rest = after;
        } else {
            let (field, after) = field(rest.strip_prefix('.').unwrap_or(rest));
            if field.is_empty() {
                return None;
            }
            steps.push(if field == "*" { Step::All } else { Step::Field(field) });
            rest = after;
        }
    }
    Some(steps)
}

/// Up to the next unescaped dot or bracket; `\.` is a dot in the name.
fn field(text: &str) -> (String, &str) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, &text[at..]),
            c => {
                name.push(c);
                escaped = false;
            }
        }
    }
    (name, "")
}

/// Splits at the bracket that closes, minding quotes.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ']') => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn parse_bracket(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(text) = unquoted(inside) {
        return Some(Step::Field(text.to_owned()));
    }
    let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) else {
        return inside.parse().ok().map(Step::Index);
    };
    let (left, equal, right) = match (filter.split_once("=="), filter.split_once("!=")) {
        (Some((left, right)), _) => (left, true, right),
        (None, Some((left, right))) => (left, false, right),
        (None, None) => return None,
    };
    let path = left.trim().strip_prefix('@')?.trim_start_matches('.').split('.').map(str::to_owned).collect();
    let right = right.trim();
    let value = match unquoted(right) {
        Some(text) => Value::from(text),
        None => serde_json::from_str(right).ok()?,
    };
    Some(Step::Filter { path, equal, value })
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::find;

    #[test]
    fn the_paths_of_printer_columns_are_found() {
        let object = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "x"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}]},
        });
        let first = |path: &str| find(&object, path).first().map(|v| (*v).clone());
        assert_eq!(first(".status.conditions[?(@.type==\"Ready\")].status"), Some(json!("True")));
        assert_eq!(first(".status.conditions[?(@.type=='Stalled')].status"), Some(json!("False")));
        assert_eq!(first(".status.conditions[1].type"), Some(json!("Stalled")));
        assert_eq!(first(".status.conditions[-1].type"), Some(json!("Stalled")));
        assert_eq!(first(".metadata.labels.app\\.kubernetes\\.io/name"), Some(json!("x")));
        assert_eq!(first(".metadata.labels['app.kubernetes.io/name']"), Some(json!("x")));
        assert_eq!(find(&object, ".status.conditions[*].type").len(), 2);
        assert_eq!(first(".status.none.at.all"), None);
        assert_eq!(first(".status[?(broken"), None);
    }
}
