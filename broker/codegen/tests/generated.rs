//! The committed code is what the schemas give.

use std::fs;

#[test]
fn committed_code_is_up_to_date() {
    for generated in ottla_codegen::all().unwrap() {
        let committed = fs::read_to_string(&generated.path).unwrap_or_default();
        assert!(committed == generated.code, "{} is stale: run `just generate`", generated.path.display());
    }
}
