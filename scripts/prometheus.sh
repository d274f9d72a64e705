#!/usr/bin/env bash
# Fetches Prometheus and promtool out of Debian 12's package, without installing anything: the package
# would start a service.
#
#   scripts/prometheus.sh
#
# Prints the directory that holds `promtool` and `prometheus`; progress goes to stderr. What is already in
# the cache costs nothing, not even a look at the network. A promtool on PATH is not used: tests are to run
# against the same version everywhere.
#
# Environment: as for haproxy.sh.
#
# Exit code: 0 if they are there, 1 if they could not be fetched.
set -euo pipefail
export LC_ALL=C
# shellcheck source=scripts/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

main() {
  cache=${SPOA_MIRROR_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither SPOA_MIRROR_CACHE nor HOME is set}/.cache}/spoa-mirror}/prometheus
  mkdir -p "$cache" || die "cannot create the cache directory $cache; set SPOA_MIRROR_CACHE to one that is writable"
  cache=$(cd "$cache" && pwd -P)
  if ! is_complete; then
    need_tools_and_lock "$cache" "Prometheus" "put promtool and prometheus into $cache/bin"
    # Somebody else may have fetched it while we waited for the lock.
    is_complete || fetch
  fi
  printf '%s\n' "$cache/bin"
}

is_complete() {
  [[ -x $cache/bin/promtool && -x $cache/bin/prometheus ]]
}

fetch() {
  local answer
  open_suites "$work/apt" bookworm || die "cannot read the package lists of bookworm at $mirror (see above)"
  say "fetching Prometheus"
  download "$work/apt" prometheus || die "cannot download the package prometheus (see above)"
  dpkg-deb -x "$work"/apt/prometheus_*.deb "$work/root"
  # Programs in Go: all they need of the host is the C library.
  answer=$("$work/root/usr/bin/promtool" --version 2>&1) || die "promtool was unpacked, but does not run: $answer"
  rm -rf "$cache/bin"
  mv "$work/root/usr/bin" "$cache/bin"
  say "$(printf '%s\n' "$answer" | head -n 1) is ready in $cache/bin"
}

main
