//! The rules for names: RFC 1123 subdomains and labels.

/// Why a name is refused, in the words of Kubernetes' own validation.
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const PATH_SEGMENT: &str = "may not be '.' or '..' and may not contain '/' or '%'";

/// Which rule a kind's names follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Subdomain,
    Label,
    /// RBAC names: anything that fits a path segment.
    PathSegment,
}

impl Rule {
    pub fn of(storage: &str) -> Self {
        match storage {
            "namespaces" | "services" => Self::Label,
            other if other.ends_with(".rbac.authorization.k8s.io") => Self::PathSegment,
            _ => Self::Subdomain,
        }
    }

    /// The complaint about `name`, if there is one.
    pub fn check(self, name: &str) -> Option<String> {
        let longest = if self == Self::Label { 63 } else { 253 };
        if name.len() > longest {
            return Some(format!("must be no more than {longest} characters"));
        }
        match self {
            Self::PathSegment => {
                let bad = matches!(name, "." | "..") || name.contains(['/', '%']);
                bad.then(|| PATH_SEGMENT.to_owned())
            }
            Self::Label => (!is_label(name)).then(|| LABEL.to_owned()),
            Self::Subdomain => (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned()),
        }
    }
}

fn is_label(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let edges = |b: Option<&u8>| b.copied().is_some_and(alphanumeric);
    edges(bytes.first()) && edges(bytes.last()) && bytes.iter().all(|b| alphanumeric(*b) || *b == b'-')
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "a-b", "a.b-c.d", "0"] {
            assert_eq!(Rule::Subdomain.check(good), None, "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", "a/b", "a_b"] {
            assert!(Rule::Subdomain.check(bad).is_some(), "{bad}");
        }
        assert!(Rule::Label.check("a.b").is_some());
        assert!(Rule::Label.check(&"a".repeat(64)).is_some());
        assert_eq!(Rule::PathSegment.check("system:node"), None);
    }
}
