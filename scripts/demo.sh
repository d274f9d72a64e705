#!/usr/bin/env bash
# Shows spoa-mirror at work: installs what is missing, builds it, and starts all of it with HAProxy on free
# local ports. First requests beside their copies at two targets with rules of their own; then the second
# version of a little shop against its first, under steady traffic: its verdict, after half a minute, and a
# page that shows how it comes about, until Ctrl-C.
#
#   scripts/demo.sh [--once] [--candidate good] [other arguments of `spoa-mirror demo`]
#
#   --once            end with the verdict; exit code 0 only if each target got the copies that it should,
#                     and the verdict names what is wrong with the second version and nothing else
#   --candidate good  a second version with nothing wrong: it passes
#
# HAProxy: the one given by --haproxy, or found on PATH or in sbin; otherwise a copy is fetched from
# Debian's packages into the user's cache, nothing being installed or started on this machine.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"

# Nothing optimised and no debug information: a third of the time that the tests' build takes. Some hundred
# requests a second are few even so.
QUICK_BUILD=(--config 'profile.dev.debug=false' --config 'profile.dev.package."*".debug=false' --config 'profile.dev.package."*".opt-level=0')

main() {
  need_rust
  install_needs

  say "building spoa-mirror for the demo: one or two minutes the first time, on two idle cores"
  (cd "$checkout" && cargo build --package spoa-mirror --target-dir "$(build_folder)" "${QUICK_BUILD[@]}") >&2

  local haproxy=()
  case " $* " in
    *" --haproxy"* | *" --no-haproxy "* | *" --help "* | *" -h "*) ;;
    *) find_haproxy ;;
  esac
  exec "$(build_folder)/debug/spoa-mirror" demo "${haproxy[@]}" "$@"
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

# A folder of its own, lest the quick build and that of the tests undo each other.
build_folder() {
  cd "$checkout" && cargo metadata --no-deps --format-version 1 | sed -n 's|.*"target_directory":"\([^"]*\)".*|\1/demo|p'
}

main "$@"
