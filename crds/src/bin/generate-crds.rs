//! Writes `crds/generated/`: what `just generate` runs.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    fs::create_dir_all(&folder)?;
    for manifest in ottla_crds::manifest::all() {
        fs::write(folder.join(manifest.file), manifest.yaml()?)?;
    }
    Ok(())
}
