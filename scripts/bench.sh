#!/usr/bin/env bash
# Measures the agent with real HAProxy beside its floor and its rivals, and says which of the requirements on
# its speed it meets, installing what is missing first.
#
#   scripts/bench.sh [OPTION]...
#
# Options go to the benchmark; --help lists them. The usual ones: --case NAME,... (`--case list` shows them),
# --only-requirements, --haproxy 2.6,3.4, --repetitions N, --seconds S, --peer 'COMMAND {port} {url}', --strict
# (exit with 2 when a requirement is missed), --output DIRECTORY. A whole run takes about 35 minutes on two
# cores, --only-requirements about 20, `--case get --repetitions 3` three. Leave the machine alone meanwhile.
#
# perf counts system calls for root, and for others where the system lets them; without, they are left out.
# 10,000 SPOP connections need a limit of open files (`ulimit -Hn`) of 11,200; with a lower one there are fewer.
#
# Results: target/bench/results.json and results.md, after each round.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

need_rust
need_bench
install_needs
# Where Debian has nginx, which users other than root do not look into.
PATH=$PATH:/usr/sbin
scripts/haproxy.sh all >/dev/null
cargo build --release -p spoa-mirror -p bench
target=${CARGO_TARGET_DIR:-target}/release
exec "$target/bench" --agent "$target/spoa-mirror" "$@"
