//! The Rust code of the protobuf schemas, as it is committed in the `generated` folder beside each `proto` folder.
//!
//! It is committed so that building Ottla needs no compiler of schemas: that one and what it depends on took a tenth of a
//! newcomer's first build. Nothing of the product may depend on this crate.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The schemas of one crate.
struct Schemas {
    /// The crate's folder, in that of the broker.
    folder: &'static str,
    /// Its files in `proto`.
    files: &'static [&'static str],
    /// Whether they are services too.
    has_services: bool,
}

const ALL: [Schemas; 3] = [
    Schemas { folder: ".", files: &["controller.proto", "quorum.proto", "raft.proto"], has_services: true },
    Schemas { folder: "control", files: &["cluster.proto"], has_services: true },
    Schemas { folder: "core", files: &["metadata.proto"], has_services: false },
];

/// A file of generated code.
pub struct Generated {
    /// Where it is committed.
    pub path: PathBuf,
    /// What it holds.
    pub code: String,
}

/// Compiles every schema. Fails where one is malformed.
pub fn all() -> Result<Vec<Generated>, Box<dyn Error>> {
    let broker = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = Vec::new();
    for schemas in ALL {
        let folder = broker.join(schemas.folder);
        let descriptors = protox::compile(schemas.files, [folder.join("proto")])?;
        let out = tempfile::tempdir()?;
        tonic_prost_build::configure()
            .build_client(schemas.has_services)
            .build_server(schemas.has_services)
            .out_dir(out.path())
            .compile_fds(descriptors)?;
        for entry in fs::read_dir(out.path())? {
            let entry = entry?;
            all.push(Generated {
                path: folder.join("generated").join(entry.file_name()),
                code: fs::read_to_string(entry.path())?,
            });
        }
    }
    Ok(all)
}
