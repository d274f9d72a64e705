# Runs named steps one after the other, a failure not keeping the later ones from running, and sums up.
# Sourced by the scripts beside this file.
#
#   step NAME COMMAND...   runs the command, remembers how it ended and how long it took
#   sum_up                 lists all steps; its code is 0 only if each one succeeded
#
# shellcheck shell=bash

step_lines=()
steps_failed=0

step() {
  local name=$1 start=$SECONDS code=0
  shift
  printf '\n==== %s\n' "$name"
  "$@" || code=$?
  if [[ $code -eq 0 ]]; then
    step_lines+=("$(printf 'ok      %5d s  %s' $((SECONDS - start)) "$name")")
  else
    step_lines+=("$(printf 'FAILED  %5d s  %s (exit code %d)' $((SECONDS - start)) "$name" "$code")")
    steps_failed=$((steps_failed + 1))
  fi
}

sum_up() {
  printf '\n==== %s: ' "${0#"$checkout"/}"
  if [[ $steps_failed -eq 0 ]]; then
    printf 'all %d steps succeeded\n' "${#step_lines[@]}"
  else
    printf '%d of %d steps FAILED\n' "$steps_failed" "${#step_lines[@]}"
  fi
  printf '%s\n' "${step_lines[@]}"
  [[ $steps_failed -eq 0 ]]
}
