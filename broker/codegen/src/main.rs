//! Writes the generated code: part of `just generate`.

use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    for generated in ottla_codegen::all()? {
        if let Some(folder) = generated.path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&generated.path, generated.code)?;
    }
    Ok(())
}
