#!/usr/bin/env bash
# Counts the instructions of each step of the data path, and compares them with those on record.
#
#   scripts/instructions.sh [--record]
#
# Counts come from valgrind and do not depend on what else the machine does; they do depend on the compiler,
# so that crates/bench/instructions.txt holds a column of them for each version of rustc. A step that takes
# more than 3 % more than on record fails; with --record the new counts are written, to be committed with
# their reason. With a compiler that is not on record nothing is compared, and that is said.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

record=crates/bench/instructions.txt
# Enough that the start of the program does not matter beside it, few enough to be quick under valgrind.
few=1000
many=3000

main() {
  need_rust
  need_valgrind
  install_needs
  # As the release is built, but for the time that fat LTO takes.
  CARGO_PROFILE_RELEASE_LTO=thin cargo build --release -p bench --bin step --target-dir target/instructions
  compiler=$(rustc --version | cut -d ' ' -f 2)-$(uname -m)
  local step count worse=0 counts=()
  while read -r step; do
    count=$(per_step "$step")
    counts+=("$compiler $step $count")
    compare "$step" "$count" || worse=1
  done < <(program)
  if [[ ${1:-} == --record ]]; then
    write_record "${counts[@]}"
  elif [[ $worse -ne 0 ]]; then
    say "a step takes over 3 % more instructions than on record; if there is a reason: scripts/instructions.sh --record, and commit it with the reason"
    exit 1
  fi
}

program() { target/instructions/release/step "$@"; }

per_step() { echo $((($(instructions "$1" $many) - $(instructions "$1" $few)) / (many - few))); }

instructions() {
  valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
    target/instructions/release/step "$1" "$2" 2>&1 | sed -n 's/.*I *refs: *//p' | tr -d ,
}

compare() {
  local known
  known=$(awk -v compiler="$compiler" -v step="$1" '$1 == compiler && $2 == step { print $3 }' "$record" 2>/dev/null)
  if [[ -z $known ]]; then
    printf '%-20s %8s instructions; none on record for rustc %s\n' "$1" "$2" "$compiler"
    return 0
  fi
  printf '%-20s %8s instructions, %s on record\n' "$1" "$2" "$known"
  [[ $(($2 * 100)) -le $((known * 103)) ]]
}

write_record() {
  local others
  others=$(grep -v "^$compiler " "$record" 2>/dev/null || true)
  {
    [[ -z $others ]] || printf '%s\n' "$others"
    printf '%s\n' "$@"
  } >"$record"
}

main "$@"
