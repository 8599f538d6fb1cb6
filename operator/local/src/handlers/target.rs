//! What a path asks for.

/// A parsed request path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Resource(ResourceTarget),
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1`, `/apis/<group>/<version>`
    Resources {
        group: String,
        version: String,
    },
    Version,
    /// `/openapi/v3`
    OpenApiIndex,
    /// `/openapi/v3/<path>`
    OpenApiDocument(String),
    /// `/healthz`, `/livez`, `/readyz`
    Health,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourceTarget {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub namespace: String,
    pub name: String,
    pub subresource: Subresource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subresource {
    None,
    Status,
    Scale,
    Log,
    /// Of pods only.
    Eviction,
    /// Of namespaces only.
    Finalize,
    Unknown,
}

impl Target {
    pub fn parse(path: &str) -> Self {
        let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(percent_decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["version"] => Self::Version,
            ["openapi", "v3"] => Self::OpenApiIndex,
            ["openapi", "v3", rest @ ..] => Self::OpenApiDocument(rest.join("/")),
            ["healthz" | "livez" | "readyz"] => Self::Health,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", version] => Self::Resources { group: String::new(), version: (*version).to_owned() },
            ["apis", group, version] => Self::Resources { group: (*group).to_owned(), version: (*version).to_owned() },
            ["api", version, rest @ ..] => resource("", version, rest),
            ["apis", group, version, rest @ ..] => resource(group, version, rest),
            _ => Self::Unknown,
        }
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Target {
    let namespace_itself = matches!(rest, ["namespaces", _, "status" | "finalize"]) && group.is_empty();
    let (namespace, rest) = match rest {
        ["namespaces", namespace, below @ ..] if !below.is_empty() && !namespace_itself => (*namespace, below),
        _ => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", Subresource::None),
        [plural, name] => (*plural, *name, Subresource::None),
        [plural, name, subresource] => (*plural, *name, subresource_of(group, plural, subresource)),
        _ => return Target::Unknown,
    };
    Target::Resource(ResourceTarget {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource,
    })
}

fn subresource_of(group: &str, plural: &str, name: &str) -> Subresource {
    match (group, plural, name) {
        (_, _, "status") => Subresource::Status,
        (_, _, "scale") => Subresource::Scale,
        ("", "pods", "log") => Subresource::Log,
        ("", "pods", "eviction") => Subresource::Eviction,
        ("", "namespaces", "finalize") => Subresource::Finalize,
        _ => Subresource::Unknown,
    }
}

/// Decodes `%xx`; anything that does not decode to UTF-8 stays as it is and will not be found.
fn percent_decoded(segment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(segment.len()), segment.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{ResourceTarget, Subresource, Target};

    fn parsed(path: &str) -> ResourceTarget {
        match Target::parse(path) {
            Target::Resource(target) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn a_namespace_is_told_from_what_is_in_it() {
        let target = parsed("/api/v1/namespaces/a");
        assert_eq!((target.plural.as_str(), target.name.as_str(), target.namespace.as_str()), ("namespaces", "a", ""));
        let target = parsed("/api/v1/namespaces/a/status");
        assert_eq!((target.plural.as_str(), target.subresource), ("namespaces", Subresource::Status));
        let target = parsed("/api/v1/namespaces/a/pods/b/log");
        assert_eq!((target.namespace.as_str(), target.name.as_str(), target.subresource), ("a", "b", Subresource::Log));
        let target = parsed("/apis/x.io/v1/namespaces/a/foos");
        assert_eq!((target.group.as_str(), target.plural.as_str(), target.name.as_str()), ("x.io", "foos", ""));
    }

    #[test]
    fn encoded_names_are_decoded() {
        let target = parsed("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode");
        assert_eq!(target.name, "system:node");
        assert_eq!(parsed("/api/v1/nodes/%zz%2").name, "%zz%2");
    }
}
