# The verbs of this repository; CI runs the same ones.

# Format, lints, generated files, the chart where helm is installed, and licences where cargo-deny is.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --quiet --package ottla-crds --package ottla-codegen
    if command -v helm >/dev/null; then charts/check; fi
    if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; fi

# Every test that needs nothing but cargo.
test:
    cargo test --workspace

# Writes the custom resource definitions from their Rust types, and the Rust code of the protobuf schemas.
generate:
    cargo run --quiet --package ottla-crds --bin generate-crds
    cargo run --quiet --package ottla-codegen

# The seeded simulations: of whole clusters over SEEDS seeds (OTTLA_SIM_SEED=n replays one), and of single parts (OTTLA_SEED=n).
sim SEEDS="2000":
    OTTLA_SIM_SEEDS={{SEEDS}} cargo test --profile sim --package ottla-simulation -- --nocapture
    cargo test --package ottla-core --tests
    cargo test --package ottla-storage --test recovery

# Switches on one bug after another and looks whether the simulation finds it.
mutants:
    cargo test --profile sim --package ottla-simulation --features mutants --test mutants -- --nocapture

# Throughput, latency, processor time and starts beside the limit of this machine and Kafka; `just bench start`: starts alone; `just bench scale`: partitions, connections, waiting consumers; `just bench cluster`: of three brokers.
bench WHAT="run" *ARGS:
    cargo build --release --package ottla-broker --package ottla-bench
    case {{WHAT}} in run|cluster) tests/clients/install ;; esac
    cargo run --quiet --release --package ottla-bench -- {{WHAT}} {{ARGS}}

# Processor time of the data path as a ratio to the null server's: what no change may lose, on busy machines too.
gate:
    cargo build --profile local --package ottla-broker --package ottla-bench
    target/local/ottla-bench gate

# Ordinary clients and Kafka's own tools against a local cluster; installs them.
clients *SUITES:
    cargo build --profile local --package ottla
    tests/clients/run target/local/ottla {{SUITES}}

# The client suites, and what they and a broker show as the tables of docs/compatibility.md.
compatibility:
    cargo build --profile local --package ottla
    OTTLA_CLIENTS_RESULTS=$PWD/target/clients tests/clients/run target/local/ottla
    tests/clients/compatibility target/clients/results.tsv docs/compatibility.md
    OTTLA_PAGES=write cargo test --workspace --test versions the_table_of_apis

# The operator's life on the embedded Kubernetes API, on `kit` (OTTLA_K8S_KIT names it), or on the cluster of a kubeconfig.
e2e ON="embedded" *SCENARIOS:
    cargo build --profile local --package ottla
    tests/e2e/run {{ON}} {{SCENARIOS}}

# A kubectl session against the embedded API and, where OTTLA_K8S_KIT names its kit, a real one; their answers are compared.
e2e-api:
    cargo build --package ottla-local --example api-server
    tests/e2e/api/compare target/debug/examples/api-server

# Faults done to three real brokers under load, and the check of what clients saw: just nemesis [MINUTES] [SEED] [OPTION…]
nemesis *ARGS:
    cargo build --profile local --package ottla-broker --package ottla-nemesis
    target/local/ottla-nemesis run {{ARGS}}

# How long acks fail to come after single faults, 20 trials of each, held to their limits: on a machine that does nothing else.
gaps *ARGS:
    cargo build --profile local --package ottla-broker --package ottla-nemesis
    target/local/ottla-nemesis gaps {{ARGS}}

# A broker killed -9 while it cleans a compacted topic, and the check of what is left: just compaction [RECORDS] [KEYS] [KILLS] [--dump]
compaction *ARGS:
    cargo build --profile local --package ottla-broker --package ottla-nemesis
    target/local/ottla-nemesis compaction {{ARGS}}

# A consumer group whose members are restarted one after the other, and the check of who owned what: just group [MEMBERS] [PARTITIONS] [OPTION…]
group *ARGS:
    cargo build --profile local --package ottla-broker --package ottla-nemesis
    target/local/ottla-nemesis group {{ARGS}}

# Brokers at work for MINUTES without a restart: what clients saw is checked every five minutes, and what leaks shows. A day: just soak 1440
soak MINUTES="60" *ARGS:
    cargo build --release --package ottla-broker --package ottla-nemesis
    target/release/ottla-nemesis soak {{MINUTES}} --broker target/release/ottla-broker {{ARGS}}

# The operator killed at each of its writes, and under random faults; docs/campaign.md is the result. OTTLA_CAMPAIGN_SEED=n plays
# one seed again.
campaign:
    rm -rf target/campaign
    OTTLA_CAMPAIGN=all OTTLA_CAMPAIGN_PAGES=$PWD/target/campaign cargo test --profile sim --package ottla-operator --lib campaign
    sed -i '/^<!-- What follows/q' docs/campaign.md
    (echo; date -u '+## %Y-%m-%d'; echo; cat target/campaign/*.md) >>docs/campaign.md

# Two hours of faults in each durability mode; the pages are the results.
nightly MINUTES="120":
    cargo build --profile local --package ottla-broker --package ottla-nemesis
    target/local/ottla-nemesis run {{MINUTES}} --longest 60 --durability fsync --page target/nemesis-fsync.md
    target/local/ottla-nemesis run {{MINUTES}} --longest 60 --durability replicated --page target/nemesis-replicated.md
