//! The rules of the house that a compiler does not check: which crate may lean on which, how long a file may be, and
//! what no file may name.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

/// Crates of this repository and those of it that each may depend on (outside tests).
const ARROWS: [(&str, &[&str]); 9] = [
    ("broker/codegen", &[]),
    ("broker/control", &[]),
    ("broker/core", &[]),
    ("broker/records", &[]),
    ("broker/storage", &["ottla-core", "ottla-records"]),
    ("broker/protocol", &["ottla-records"]),
    ("crds", &[]),
    ("operator/local", &[]),
    ("operator", &["ottla-control", "ottla-core", "ottla-crds", "ottla-protocol"]),
];

/// What the pure rules may not even link.
const NOT_IN_CORE: [&str; 5] = ["tokio", "rand", "rustix", "socket2", "tempfile"];

/// Lines of a file, its tests apart.
const LONGEST: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section.lines().filter_map(|line| Some(line.split(['.', ' ', '=']).next()?.to_owned())).collect()
}

/// Every file below the root that git would take, without those that are made or fetched.
fn files(extension: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !["target", ".git", "corpus", "artifacts", "generated", "node_modules"].contains(&name.as_str()) {
                    walk(&path, extension, found);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), extension, &mut found);
    found
}

#[test]
fn crates_lean_only_on_those_they_may() {
    for (folder, allowed) in ARROWS {
        for dependency in dependencies(folder).iter().filter(|name| name.starts_with("ottla")) {
            assert!(allowed.contains(&dependency.as_str()), "{folder} depends on {dependency}");
        }
    }
}

#[test]
fn the_rules_link_neither_a_runtime_nor_chance_nor_the_system() {
    for dependency in dependencies("broker/core") {
        assert!(!NOT_IN_CORE.contains(&dependency.as_str()), "ottla-core depends on {dependency}");
    }
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let too_long: Vec<_> = files("rs")
        .into_iter()
        .filter(|path| {
            !path.components().any(|part| ["tests", "tests.rs", "fuzz"].contains(&&*part.as_os_str().to_string_lossy()))
        })
        .filter_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
            (lines > LONGEST).then(|| format!("{}: {lines} lines", path.strip_prefix(root()).unwrap().display()))
        })
        .collect();
    assert!(too_long.is_empty(), "files over {LONGEST} lines:\n{}", too_long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = files("rs")
        .into_iter()
        .filter(|path| !fs::read_to_string(path).unwrap().contains("//! "))
        .filter(|path| {
            !path
                .components()
                .any(|part| ["tests", "tests.rs", "testing.rs"].contains(&&*part.as_os_str().to_string_lossy()))
        })
        .collect();
    assert!(silent.is_empty(), "no module documentation in {silent:?}");
}

#[test]
fn the_product_stands_alone() {
    // Put together here, so that this file does not hold what it looks for.
    let beside = ["..", "shared"].join("/");
    for extension in ["rs", "toml", "md", "yaml", "py", "js"] {
        for path in files(extension) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&beside), "{} names what lies beside the repository", path.display());
        }
    }
}
