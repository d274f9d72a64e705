#!/usr/bin/env bash
# Fetches axe-core, which looks for barriers to people with disabilities in a web page, from npm's registry.
#
#   scripts/axe.sh
#
# Prints the path of its script; progress goes to stderr. What is already in the cache costs nothing, not even
# a look at the network. Of npm only `npm pack` is used, which asks the registry that npm is configured for and
# runs nothing of the package.
#
# Environment: SPOA_MIRROR_CACHE, where to keep it (default: spoa-mirror in the user's cache).
#
# Exit code: 0 if it is there, 1 if it could not be fetched.
set -euo pipefail
export LC_ALL=C

VERSION=4.14.1
SHA256=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

main() {
  local cache
  cache=${SPOA_MIRROR_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither SPOA_MIRROR_CACHE nor HOME is set}/.cache}/spoa-mirror}/axe-$VERSION
  mkdir -p "$cache" || die "cannot create the cache directory $cache; set SPOA_MIRROR_CACHE to one that is writable"
  exec 9>"$cache/.lock"
  flock 9
  [[ -s $cache/axe.min.js ]] || fetch "$cache"
  printf '%s\n' "$cache/axe.min.js"
}

fetch() {
  local cache=$1 work
  command -v npm >/dev/null || die "npm is not here: install it (Debian: npm), or put axe.min.js of axe-core $VERSION into $cache"
  rm -rf "$cache"/.work.*
  work=$(mktemp -d "$cache/.work.XXXXXX")
  say "fetching axe-core $VERSION"
  (cd "$work" && npm pack --silent --ignore-scripts "axe-core@$VERSION" >/dev/null) \
    || die "npm could not fetch axe-core $VERSION (see above)"
  tar -xzf "$work/axe-core-$VERSION.tgz" -C "$work" package/axe.min.js
  printf '%s  %s\n' "$SHA256" "$work/package/axe.min.js" | sha256sum --check --quiet >&2 \
    || die "axe-core $VERSION is not what it was when its checksum was noted here"
  mv "$work/package/axe.min.js" "$cache/axe.min.js"
  rm -rf "$work"
  say "axe-core $VERSION is ready in $cache"
}

main
