//! What stands in for a mount namespace and a network namespace.
//!
//! A process pod sees the machine's own file system and all of its loopback addresses. So in everything that tells a container
//! where things are — command, arguments, environment values, working folder, exec probes, and the contents of mounted ConfigMaps —
//! 1. a declared `mountPath` that starts a path becomes the pod's own folder for that mount (the longest mountPath wins), and
//! 2. the address `0.0.0.0` becomes the pod's own address, so that two pods can listen on one port.
//!
//! Nothing else is changed; Secrets stay byte for byte. A replacement is never looked at again.

/// The two rules, for one pod.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// `(text, replacement)` of mount paths, the longest text first.
    mounts: Vec<(String, String)>,
    address: String,
}

const ANY_ADDRESS: &str = "0.0.0.0";

impl Rewrite {
    /// Rules for a pod at `address` with `mounts` of `(mountPath, local folder)`.
    pub fn new(address: impl Into<String>, mounts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut mounts: Vec<_> = mounts
            .into_iter()
            .map(|(path, folder)| (path.trim_end_matches('/').to_owned(), folder))
            .filter(|(path, _)| !path.is_empty())
            .collect();
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self { mounts, address: address.into() }
    }

    /// `text` with both rules applied, in one pass from the left.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['/', '0']) {
            let done = text.len() - rest.len() + at;
            out.push_str(&rest[..at]);
            let (matched, replacement) = self.match_at(text, done).unwrap_or((1, &text[done..=done]));
            out.push_str(replacement);
            rest = &text[done + matched..];
        }
        out.push_str(rest);
        out
    }

    fn match_at(&self, text: &str, at: usize) -> Option<(usize, &str)> {
        let (before, here) = text.split_at(at);
        if let Some(after) = here.strip_prefix(ANY_ADDRESS) {
            return stands_alone(before, after).then_some((ANY_ADDRESS.len(), self.address.as_str()));
        }
        if !starts_a_path(before) {
            return None;
        }
        self.mounts.iter().find_map(|(path, folder)| {
            let after = here.strip_prefix(path.as_str())?;
            (!after.starts_with(is_name)).then_some((path.len(), folder.as_str()))
        })
    }
}

/// Whether a `/` after `before` begins an absolute path: not inside a longer path or word, but after `file://` it does.
fn starts_a_path(before: &str) -> bool {
    before.ends_with("://") || !before.ends_with(|c: char| is_name(c) || c == '/' || c == '~')
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// `0.0.0.0` as a whole address: no part of a longer one, nor of a network such as `0.0.0.0/0`.
fn stands_alone(before: &str, after: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    !before.ends_with(part) && !after.starts_with(part) && !after.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rewrite {
        let mounts = [
            ("/etc/app", "/pods/1/config"),
            ("/var/lib/app", "/pods/1/data"),
            ("/var/lib/app/second/", "/pods/1/more"),
        ];
        Rewrite::new("127.4.5.6", mounts.map(|(from, to)| (from.to_owned(), to.to_owned())))
    }

    #[test]
    fn a_mount_path_is_replaced_only_where_it_starts_a_path() {
        let rules = rules();
        for (text, want) in [
            ("/etc/app", "/pods/1/config"),
            ("--file=/etc/app/a.properties", "--file=/pods/1/config/a.properties"),
            ("log.dirs=/var/lib/app,/var/lib/app/second/x", "log.dirs=/pods/1/data,/pods/1/more/x"),
            ("file:///etc/app/x", "file:///pods/1/config/x"),
            ("'/etc/app'", "'/pods/1/config'"),
            ("/etc/apple /etc/app-2 /etc/app.d", "/etc/apple /etc/app-2 /etc/app.d"),
            ("/opt/etc/app ./etc/app ~/etc/app", "/opt/etc/app ./etc/app ~/etc/app"),
        ] {
            assert_eq!(rules.apply(text), want, "{text}");
        }
    }

    #[test]
    fn the_any_address_becomes_the_pods_but_networks_and_versions_stay() {
        let rules = rules();
        for (text, want) in [
            ("PLAINTEXT://0.0.0.0:9092,X://0.0.0.0:9093", "PLAINTEXT://127.4.5.6:9092,X://127.4.5.6:9093"),
            ("0.0.0.0", "127.4.5.6"),
            ("0.0.0.0/0 10.0.0.0 0.0.0.0.1 0.0.0.01 v0.0.0.0", "0.0.0.0/0 10.0.0.0 0.0.0.0.1 0.0.0.01 v0.0.0.0"),
            ("größe=0, ä/ö", "größe=0, ä/ö"),
        ] {
            assert_eq!(rules.apply(text), want, "{text}");
        }
    }

    #[test]
    fn a_replacement_is_not_rewritten_again() {
        let rules = Rewrite::new("127.1.1.1", [("/a".to_owned(), "/b".to_owned()), ("/b".to_owned(), "/a".to_owned())]);
        assert_eq!(rules.apply("/a:/b"), "/b:/a");
    }
}
