#!/usr/bin/env bash
# Shows spoa-mirror at work: installs what is missing, builds it, and starts HAProxy, a production and a
# shadow backend and the agent on free local ports. Runs until Ctrl-C.
#
#   scripts/demo.sh [--once] [other arguments of `spoa-mirror demo`]
#
#   --once   send the traffic once; exit code 0 only if each request was copied
#
# HAProxy: the one given by --haproxy, or found on PATH or in sbin; otherwise a copy is fetched from
# Debian's packages into the user's cache, nothing being installed or started on this machine.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"

main() {
  need_rust
  install_needs

  say "building spoa-mirror (a few minutes the first time)"
  (cd "$checkout" && cargo build --package spoa-mirror) >&2

  local haproxy=()
  case " $* " in
    *" --haproxy"* | *" --no-haproxy "* | *" --help "* | *" -h "*) ;;
    *) find_haproxy ;;
  esac
  exec "$(target_folder)/debug/spoa-mirror" demo "${haproxy[@]}" "$@"
}

find_haproxy() {
  local found
  if found=$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v haproxy); then
    say "using HAProxy at $found"
  elif found=$("$checkout/scripts/haproxy.sh" 2.6); then
    say "using HAProxy at $found, unpacked from Debian's package"
  else
    say "no HAProxy here, and none could be fetched (the reason is above)"
    return
  fi
  haproxy=(--haproxy "$found")
}

target_folder() {
  cd "$checkout" && cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

main "$@"
