#!/usr/bin/env bash
# Measures the agent with real HAProxy beside its floor and its rivals, installing what is missing first.
#
#   scripts/bench.sh [OPTION]...
#
# Options go to the benchmark: --case NAME,... (`--case list` shows them), --haproxy 2.6,3.4,
# --repetitions N, --seconds S, --peer 'COMMAND {port} {url}', --output DIRECTORY. A whole run takes about
# an hour on two cores; `--case get --repetitions 3` about two minutes. Leave the machine alone meanwhile.
#
# Results: target/bench/results.json and results.md.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

need_rust
need_bench
install_needs
scripts/haproxy.sh all >/dev/null
cargo build --release -p spoa-mirror -p bench
target=${CARGO_TARGET_DIR:-target}/release
exec "$target/bench" --agent "$target/spoa-mirror" "$@"
