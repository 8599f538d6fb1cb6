# The verbs of this repository; CI runs the same ones.

# Format, lints, licences and generated files.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --quiet --package ottla-crds
    cargo deny --offline check bans licenses sources

# Every test that needs nothing but cargo.
test:
    cargo test --workspace

# Writes the custom resource definitions from their Rust types.
generate:
    cargo run --quiet --package ottla-crds --example generate
