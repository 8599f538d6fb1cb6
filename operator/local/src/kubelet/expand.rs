//! `$(NAME)` references in commands, arguments and environment values, by Kubernetes' rules.
//!
//! `$(NAME)` is replaced when NAME is known and left as it stands when not; `$$` is a plain `$`, so `$$(NAME)` is never expanded.

/// `text` with its references replaced by what `lookup` knows.
pub fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match reference {
            Some((name, tail)) => {
                match lookup(name) {
                    Some(value) => out.push_str(value),
                    None => out.extend(["$(", name, ")"]),
                }
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_follow_kubernetes_rules() {
        let lookup = |name: &str| [("A", "1"), ("B", "$(A)")].into_iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        for (text, want) in [
            ("$(A)", "1"),
            ("x-$(A)-$(A)", "x-1-1"),
            ("$(B)", "$(A)"),
            ("$(MISSING) stays", "$(MISSING) stays"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("cost: 5$ $A $(A", "cost: 5$ $A $(A"),
        ] {
            assert_eq!(expand(text, lookup), want, "{text}");
        }
    }
}
