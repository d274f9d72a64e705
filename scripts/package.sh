#!/usr/bin/env bash
# Builds the Debian package.
#
#   scripts/package.sh [--dev] [DIRECTORY]
#
# Prints the path of the .deb, which it puts into DIRECTORY (default target/debian); progress goes to stderr.
# With --dev it packages what `cargo build` makes, which takes minutes less: for tests of the package, not for
# machines that matter.
#
# cargo-deb is installed once, into ~/.cache/spoa-mirror (or SPOA_MIRROR_CACHE).
#
# Exit code: 0 if the package is there.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

# The newest cargo-deb that Rust 1.85 can build.
CARGO_DEB=3.8.0

main() {
  local profile=release output
  if [[ ${1:-} == --dev ]]; then
    profile=dev
    shift
  fi
  need_rust
  need_dpkg_dev
  install_needs

  local target
  target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  output=${1:-$target/debian}
  mkdir -p "$output"

  # The day on the man pages and in the archive is that of the last commit: the same source gives the same package.
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
  export SOURCE_DATE_EPOCH

  say "building the program ($profile)"
  cargo build --quiet --locked --profile "$profile" -p spoa-mirror >&2
  local built=$target/release
  [[ $profile == release ]] || built=$target/debug

  # cargo-deb takes everything from one directory, and knows no `dev` profile: it gets a directory of its own.
  local stage=$target/package
  rm -rf "$stage"
  mkdir -p "$stage/release/completions"
  cp "$built/spoa-mirror" "$stage/release/"
  "$stage/release/spoa-mirror" generate man --output "$stage/release/man"
  gzip -9n "$stage"/release/man/*.1
  local shell
  for shell in bash zsh fish; do
    "$stage/release/spoa-mirror" generate completions "$shell" >"$stage/release/completions/$shell"
  done

  find_cargo_deb
  CARGO_TARGET_DIR=$stage "$cargo_deb" --quiet --no-build --strip -p spoa-mirror --output "$output" >&2
  local package
  package=$(find "$output" -maxdepth 1 -name 'spoa-mirror_*.deb' -newer "$stage/release/completions/fish" | head -n 1)
  [[ -n $package ]] || die "cargo-deb has left no package in $output"
  printf '%s\n' "$package"
}

find_cargo_deb() {
  local tools=${SPOA_MIRROR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spoa-mirror}/cargo-deb-$CARGO_DEB
  if [[ ! -x $tools/bin/cargo-deb ]]; then
    say "installing cargo-deb $CARGO_DEB into $tools"
    # Unoptimised it builds in a third of the time, and still packs within seconds.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet cargo-deb --debug --locked --version "$CARGO_DEB" --root "$tools" >&2
  fi
  cargo_deb=$tools/bin/cargo-deb
}

main "$@"
