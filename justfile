# The verbs of this repository; CI runs the same ones.

# Everything a commit must pass besides the tests: formatting, lints, licences.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Every test that needs nothing but cargo.
test:
    cargo test --workspace
