#!/usr/bin/env bash
# Where the agent's processor time goes under load: by system call, and by function outside the kernel.
#
#   scripts/profile.sh [HAPROXY [CASE]]
#
# HAPROXY is 2.6, 3.0, 3.2 or 3.4 (3.4 without it). Measures the benchmark's case `get`, or CASE, with perf for
# some seconds; the agent is built as it is released. Needs the right to profile
# (kernel.perf_event_paranoid below 2, or root).
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

version=${1:-3.4}
case=${2:-get}
seconds=10
functions=25

need_rust
need_bench
install_needs
scripts/haproxy.sh "$version" >/dev/null
cargo build --release -p spoa-mirror -p bench
target=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$target/bench" --agent "$target/spoa-mirror" --case "$case" --haproxy "$version" --repetitions 1 \
  --seconds $((seconds + 4)) --no-nginx --output "$work" >"$work/bench.log" 2>&1 &
bench=$!
# The agent is the benchmark's own child; it is measured last.
agent=
while kill -0 "$bench" 2>/dev/null && [[ -z $agent ]]; do
  agent=$(pgrep --parent "$bench" --exact spoa-mirror || true)
  [[ -n $agent ]] || sleep 0.1
done
[[ -n $agent ]] || { cat "$work/bench.log" >&2; say "the benchmark ended before the agent was measured"; exit 1; }
# Past the warm-up.
perf record --quiet --call-graph fp --freq 1999 --delay 3000 --pid "$agent" --output "$work/perf.data" \
  -- sleep "$seconds" 2>"$work/perf.log" || { cat "$work/perf.log" >&2; exit 1; }
wait "$bench"

report() { perf report --input "$work/perf.data" --stdio --percentage absolute -g none "$@" 2>/dev/null | grep -v '^#' | sed '/^ *$/d'; }
echo "HAProxy $version, $case: $(sed -n 's/.*spoa-mirror: //p' "$work/bench.log" | tail -1)"
echo "share of the agent's time in the kernel and outside"
report --no-children --sort dso | head -5
echo "in which system calls (with all that they call)"
report --children --sort symbol | sed -n 's/^ *\([0-9.]*%\).* __[a-z0-9]*_sys_\([a-z_0-9]*\).*/    \1 \2/p' | head -6
echo "outside the kernel, by function"
report --no-children --sort dso,symbol | grep -v '\[kernel' | sed 's/ *- *- *$//' | head -$functions
