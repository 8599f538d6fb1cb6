//! The names of pods and Services, in a file of the format of `/etc/hosts`.
//!
//! Process pods share the machine's resolver, so nothing answers for cluster names. Every process gets the path of this file in
//! [`HOSTS_ENV`] and looks there before DNS. Names are written before the process that owns them starts; readers see either the old
//! or the new file, never half of one. This module knows no Kubernetes objects: callers hand it addresses and names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The environment variable that tells every process pod where the hosts file is.
pub const HOSTS_ENV: &str = "OTTLA_HOSTS_FILE";

/// The domain under which names are also written in full, as a cluster's DNS does.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// One line: an address and the names that mean it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The address.
    pub address: IpAddr,
    /// Its names, the longest first.
    pub names: Vec<String>,
}

/// A hosts file and what is in it, by owner (a pod's uid, a Service's namespace and name).
///
/// A name on several lines has several addresses.
#[derive(Debug)]
pub struct Hosts {
    path: PathBuf,
    owners: Mutex<BTreeMap<String, Vec<Line>>>,
}

impl Hosts {
    /// Starts an empty file at `path`, an absolute path whose folder is made if missing. What an earlier run left there is
    /// replaced, for its addresses are no longer true.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        write_whole(&path, &render(&BTreeMap::new()))?;
        Ok(Self { path, owners: Mutex::new(BTreeMap::new()) })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `lines` all that `owner` has in the file; none at all removes it. Nothing is written if that is so already.
    pub fn set(&self, owner: &str, lines: Vec<Line>) -> io::Result<()> {
        // Written under the lock, so that a slower writer cannot put back an older state.
        let mut owners = self.owners.lock();
        let before = if lines.is_empty() { owners.remove(owner) } else { owners.insert(owner.to_owned(), lines) };
        if before.as_ref() == owners.get(owner) {
            return Ok(());
        }
        write_whole(&self.path, &render(&owners))
    }

    /// Takes everything of `owner` out of the file.
    pub fn remove(&self, owner: &str) -> io::Result<()> {
        self.set(owner, Vec::new())
    }
}

/// The names by which a Service, or a pod of a headless Service (`host` = `pod.service`), is known.
pub fn service_names(host: &str, namespace: &str) -> Vec<String> {
    vec![
        format!("{host}.{namespace}.svc.{CLUSTER_DOMAIN}"),
        format!("{host}.{namespace}.svc"),
        format!("{host}.{namespace}"),
    ]
}

fn render(owners: &BTreeMap<String, Vec<Line>>) -> String {
    let mut text = String::from("# names of the local cluster, rewritten on every change\n127.0.0.1 localhost\n");
    for line in owners.values().flatten() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {}", line.address, line.names.join(" "));
    }
    text
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("tmp");
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(address: &str, host: &str) -> Line {
        Line { address: address.parse().unwrap(), names: service_names(host, "default") }
    }

    #[test]
    fn the_file_holds_every_owners_lines_and_forgets_removed_ones() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::create(folder.path().join("run/hosts")).unwrap();
        hosts.set("b", vec![line("127.1.2.3", "demo-0.demo")]).unwrap();
        hosts.set("a", vec![line("127.9.9.9", "demo")]).unwrap();
        let text = std::fs::read_to_string(hosts.path()).unwrap();
        assert_eq!(
            text.lines().skip(2).collect::<Vec<_>>(),
            [
                "127.9.9.9 demo.default.svc.cluster.local demo.default.svc demo.default",
                "127.1.2.3 demo-0.demo.default.svc.cluster.local demo-0.demo.default.svc demo-0.demo.default",
            ]
        );
        hosts.remove("a").unwrap();
        assert!(!std::fs::read_to_string(hosts.path()).unwrap().contains("127.9.9.9"));
    }
}
