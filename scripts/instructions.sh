#!/usr/bin/env bash
# Counts the instructions of each step of the data path, and compares them with those on record.
#
#   scripts/instructions.sh [--record]
#
# Counts come from valgrind and do not depend on what else the machine does, nor on its processor if that has
# AVX2: valgrind tells the program of one of its own making, by which libc, memchr and httparse choose among
# their variants. They do depend on the compiler, so that crates/bench/instructions.txt holds counts for each
# version of rustc. A step that takes more than 3 % more than on record fails; with --record the new counts
# are written, to be committed with their reason. With a compiler that is not on record nothing is compared,
# and that is said.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

record=crates/bench/instructions.txt
program=${CARGO_TARGET_DIR:-target}/instructions/step
# Enough that the start of the program does not matter beside it, few enough to be quick under valgrind.
few=1000
many=3000

main() {
  need_rust
  need_valgrind
  install_needs
  cargo build --quiet --profile instructions --locked -p bench --bin step
  compiler=$(rustc --version | cut -d ' ' -f 2)-$(uname -m)
  local step count worse=0 counts=()
  while read -r step; do
    count=$(per_step "$step")
    counts+=("$compiler $step $count")
    compare "$step" "$count" || worse=1
  done < <("$program")
  if [[ ${1:-} == --record ]]; then
    write_record "${counts[@]}"
  elif ! grep -q "^$compiler " "$record"; then
    say "nothing compared: $record holds no counts for rustc $compiler"
  elif [[ $worse -ne 0 ]]; then
    say "a step takes over 3 % more instructions than on record; if there is a reason: scripts/instructions.sh --record, and commit it with the reason"
    exit 1
  fi
}

per_step() { echo $((($(instructions "$1" $many) - $(instructions "$1" $few)) / (many - few))); }

instructions() {
  valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
    "$program" "$1" "$2" 2>&1 | sed -n 's/.*I *refs: *//p' | tr -d ,
}

compare() {
  local known
  known=$(awk -v compiler="$compiler" -v step="$1" '$1 == compiler && $2 == step { print $3 }' "$record" 2>/dev/null)
  if [[ -z $known ]]; then
    printf '%-20s %8s instructions, none on record\n' "$1" "$2"
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
