#!/usr/bin/env bash
# Fuzzes the parsers for a while, with stable Rust and without cargo-fuzz.
#
#   scripts/fuzz.sh [TARGET|all] [SECONDS]
#
# TARGET is one of the programs of fuzz/ (default: all of them, one after the other), SECONDS how long each
# one runs (default 60). The corpus in fuzz/corpus/TARGET is copied to a scratch folder first, so that the
# checkout stays as it is. KEEP=FOLDER puts the scratch corpora there instead, and adds to what is in it.
#
# Exit code: 0 if nothing was found, 1 otherwise; an input that was found is in fuzz/artifacts/TARGET, and
# the last lines of the output tell how to run it again.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"

# What cargo-fuzz passes to a nightly compiler, less the address sanitizer, which stable Rust does not have
# and safe code hardly needs: coverage for libFuzzer to steer by, and checks of overflow and assertions.
# One codegen unit, because several of them break the tables of counters apart.
COVERAGE_FLAGS="-Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares
  --cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1"

MEMORY_LIMIT_MB=1024
# One input, in seconds: far above what a parser may take, so that a slow machine is not a finding.
INPUT_TIMEOUT=20

main() {
  local target=${1:-all} seconds=${2:-60}
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "SECONDS must be a whole number above 0, not '$seconds'"
  local targets=()
  mapfile -t targets < <(list_targets)
  if [[ $target != all ]]; then
    [[ " ${targets[*]} " == *" $target "* ]] || die "no fuzz target '$target'; there are: ${targets[*]}"
    targets=("$target")
  fi

  need_rust
  need_cplusplus
  install_needs
  build

  scratch=${KEEP:-}
  if [[ -z $scratch ]]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
  fi
  local failed=()
  for target in "${targets[@]}"; do
    fuzz "$target" "$seconds" || failed+=("$target")
  done
  [[ ${#failed[@]} -eq 0 ]] || die "found something in: ${failed[*]}"
}

list_targets() {
  awk '/^\[/ { bin = ($0 == "[[bin]]") } bin && $1 == "name" { gsub(/"/, "", $3); print $3 }' "$checkout/fuzz/Cargo.toml"
}

# Naming the target keeps the flags off build scripts, which would not link with them.
build() {
  host=$(rustc -vV | sed -n 's/^host: //p')
  output=$(cd "$checkout" && cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/fuzz
  (cd "$checkout/fuzz" && CARGO_TARGET_DIR=$output RUSTFLAGS="$(tr -s '\n ' ' ' <<<"$COVERAGE_FLAGS")" \
    cargo build --release --bins --target "$host")
}

fuzz() {
  local corpus=$scratch/$1 artifacts=$checkout/fuzz/artifacts/$1/ log
  mkdir -p "$corpus" "$artifacts"
  if [[ -d $checkout/fuzz/corpus/$1 ]]; then cp -R "$checkout/fuzz/corpus/$1/." "$corpus/"; fi
  log=$(mktemp)
  printf 'fuzzing %s for %d s, from %d inputs\n' "$1" "$2" "$(find "$corpus" -type f | wc -l)"
  if "$output/$host/release/$1" "$corpus" -max_total_time="$2" -timeout="$INPUT_TIMEOUT" \
    -rss_limit_mb="$MEMORY_LIMIT_MB" -artifact_prefix="$artifacts" -print_final_stats=1 >"$log" 2>&1; then
    grep -E '^(Done|stat::(number_of_executed_units|new_units_added|peak_rss_mb))' "$log" || true
    grep -E $'\t(INITED|DONE) ' "$log" || true
    rm -f "$log"
    rmdir "$artifacts" "${artifacts%/*/}" 2>/dev/null || true
    return 0
  fi
  grep -vE '^#[0-9]+' "$log" | tail -n 60
  rm -f "$log"
  printf 'to run it again: %s FILE, where FILE is the one named above\n' "$output/$host/release/$1"
  return 1
}

main "$@"
