#!/usr/bin/env bash
# Measures what each setting of HAProxy costs a client (docs/HAPROXY.md), with HAProxy 2.6, 3.0, 3.2 and 3.4,
# installing what is missing first.
#
#   scripts/haproxy-settings.sh [--haproxy 2.6,3.4] [--output FILE]
#
# Takes some four minutes, in which HAProxy waits for the most part. Leave the machine alone meanwhile: the
# times of an agent that is well are fractions of a millisecond. Writes target/bench/settings.md.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

need_rust
install_needs
scripts/haproxy.sh all >/dev/null
cargo build --quiet -p spoa-mirror -p bench --bin spoa-mirror --bin settings
target=${CARGO_TARGET_DIR:-target}/debug
exec "$target/settings" --agent "$target/spoa-mirror" "$@"
