#!/usr/bin/env bash
# More load than targets can take, for hours: the test of overload, optimised, over and over in one run.
#
#   scripts/soak.sh [HOURS]
#
# HOURS may be a fraction (default 4). It prints what became of the copies for each target.
#
# Exit code: 0 if production noticed nothing, memory stayed under its ceiling and every copy was accounted
# for.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"

hours=${1:-4}
[[ $hours =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "HOURS must be a number, not '$hours'"
seconds=$(awk -v hours="$hours" 'BEGIN { printf "%d", hours * 3600 }')
[[ $seconds -ge 1 ]] || die "HOURS is too short: '$hours'"
cd "$checkout"

need_rust
install_needs
scripts/haproxy.sh all
say "overload for $seconds s"
SPOA_MIRROR_SOAK_SECONDS=$seconds exec cargo test --release --package spoa-mirror --test overload -- --nocapture
