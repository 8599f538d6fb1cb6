# The verbs of this repository; CI runs the same ones.

# Everything a commit must pass besides the tests: formatting, lints, licences.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Every test that needs nothing but cargo.
test:
    cargo test --workspace

# Rewrite what is generated from the code and committed: the custom resource definitions.
generate:
    cargo run --quiet --package ottla-crds --bin generate-crds
