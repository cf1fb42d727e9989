# Short names for commands that need no `just`: the logic is in xtask/.

# List the recipes
default:
    @just --list --unsorted

# Run the examples: load balancers on this machine
local dir="examples":
    cargo local -f {{ dir }}

# Everything that must hold before a change is merged, as the CI server runs it
ci *stages:
    cargo xtask ci {{ stages }}

# The quick half of it, for the time between edits
check:
    cargo xtask ci format tidy lint

# All tests of all crates
test:
    cargo xtask ci test doctest

# A real API server with elbow and the built-in AWS, in namespaces of its own, as CI runs it; needs Go
e2e:
    cargo xtask ci cluster scenarios conformance audit

# The Gateway API's conformance suite against elbow: report.yaml and docs/conformance.md; `-run-test=NAME` runs one test
conformance *args:
    cargo build --locked --package elbow
    cd e2e && go run ./cluster build && go test ./conformance -count=1 -timeout=30m -v {{ if args == "" { "" } else { "-args " + args } }}

# What users do and what goes wrong, on a real API server; `-run NAME` runs one of them
scenarios *args:
    cargo build --locked --package elbow
    cd e2e && go run ./cluster build && go test ./scenarios -count=1 -timeout=60m -v {{ args }}

# What the role allows against what the suites above asked of the API server: `just conformance scenarios audit`
audit:
    cd e2e && go run ./audit

# Calls, times and memory of the controller, as it is shipped, beside those of the AWS Load Balancer Controller: a table, docs/benchmarks.md, and JSON; about 20 minutes after the build
bench-controller *args:
    cargo build --locked --profile dist --package elbow
    cd e2e && go run ./cluster build && ELBOW_BIN="${ELBOW_BIN:-${CARGO_TARGET_DIR:-{{ justfile_directory() }}/target}/dist/elbow}" go run ./bench -document ../docs/benchmarks.md {{ args }}

# The program as it is shipped; takes longer than a release build, and more memory: Cargo.toml says why
dist:
    cargo build --locked --profile dist --package elbow

# The image of the controller, by docker; CONTAINER_ENGINE=podman takes another
image tag="ghcr.io/elbow-project/elbow:0.1.0" *args:
    {{ env("CONTAINER_ENGINE", "docker") }} build --file Containerfile --tag {{ tag }} {{ args }} .

# A cluster with elbow and the built-in AWS in it, and a shell there, to look at by hand
playground *args:
    cargo build --locked --package elbow
    cd e2e && go run ./playground {{ args }}

# A Kubernetes cluster around a command, or until an interrupt
cluster *command:
    cd e2e && go run ./cluster up {{ if command == "" { "" } else { "-- " + command } }}

# Simulate 2000 seeds of edits, crashes and faults, `--bindings`, `--secrets` and `--everything` with ever more of what is simulated; `--seed N --trace` replays one
sim *args:
    cargo run --locked --quiet --release -p elbow-sim --example sim -- {{ args }}

# Accept what the golden cases print now; the commit says why
update-golden:
    ELBOW_UPDATE_GOLDEN=1 cargo test --workspace

# Rewrite the files that are generated from our own types: custom resources, the IAM policy
generate:
    cargo xtask crds
    cargo xtask iam-policy

# Translate and plan 100 Gateways with 100 routes each, cold and after one change
bench:
    cargo bench --locked --package elbow --no-default-features --bench translate_plan

# Time and memory of a cold build of the quick start
build-budget:
    cargo xtask build-budget
