//! The committed definitions are the ones the types give.

use std::{fs, path::Path};

#[test]
fn committed_definitions_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    for manifest in ottla_crds::manifest::all() {
        let committed = fs::read_to_string(folder.join(manifest.file)).unwrap_or_default();
        assert!(committed == manifest.yaml().unwrap(), "{} is stale: run `just generate`", manifest.file);
    }
}
