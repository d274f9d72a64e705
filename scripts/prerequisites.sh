# Finds, or installs, what the scripts beside this file need. Sourced by them, not run.
#
#   need_rust            a Rust toolchain that is new enough, and the C compiler that it links with
#   need_cplusplus       a C++ compiler (only libFuzzer wants one)
#   need_python          Python that can make virtual environments (the schema tester of the admin API)
#   need_rust_lints      rustfmt and clippy (only .ci/run wants them)
#   need_browser         Chromium and its driver (the tests of the dashboard)
#   need_npm             fetches axe-core, which those tests look for barriers with (scripts/axe.sh)
#   need_dpkg_dev        finds the libraries that a package depends on (only scripts/package.sh wants it)
#   need_debootstrap     makes a Debian to test packages on (only scripts/package-test.sh wants it)
#   need_patch           patch and git, which apply the doctor's patches in its tests
#   need_bench           clients, servers and counters (only scripts/bench.sh wants them)
#   need_valgrind        counts instructions
#   install_needs        asks for all of the above at once: says what is missing and why, then installs it
#
# On a system without apt, install_needs lists what to install by hand and ends the script with code 1.
# Nothing that already works is replaced: an own toolchain on PATH is used as it is if it is new enough.
#
# shellcheck shell=bash

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
needs=()

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

need_rust() { needs+=(rust); }
need_cplusplus() { needs+=(cplusplus); }
need_python() { needs+=(python); }
need_browser() { needs+=(browser); }
need_npm() { needs+=(npm); }
need_rust_lints() { needs+=(rust_lints); }
need_dpkg_dev() { needs+=(dpkg_dev); }
need_debootstrap() { needs+=(debootstrap); }
need_patch() { needs+=(patch); }
need_bench() { needs+=(bench); }
need_valgrind() { needs+=(valgrind); }

install_needs() {
  rust_floor=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$checkout/Cargo.toml" | head -n 1)
  find_rustup_folder
  local missing=()
  find_missing
  [[ ${#missing[@]} -gt 0 ]] || return 0

  if ! has apt-get || ! has dpkg; then
    say "This script installs packages by itself on Debian 12 and 13 (apt), which this system is not."
    tell_what_to_install_by_hand
    exit 1
  fi
  find_way_to_be_root
  say "refreshing apt's package lists"
  as_root apt-get -q "${apt_options[@]}" update >&2 \
    || say "apt could not refresh every package list; going on with those it has"

  local packages=() by_rustup=
  choose_packages
  if [[ ${#packages[@]} -gt 0 ]]; then
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -q -y "${apt_options[@]}" install --no-install-recommends --no-remove "${packages[@]}" >&2 \
      || die "apt could not install: ${packages[*]} (its own messages are above)"
  fi
  [[ -z $by_rustup ]] || install_rust_with_rustup
  hash -r

  find_missing
  [[ ${#missing[@]} -eq 0 ]] \
    || die "still missing after the installation: ${missing[*]}; see what stands first on PATH ($PATH)"
}

# ---- What is there --------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }

# Sets `missing` to the parts of `needs` that are not there.
find_missing() {
  local need
  missing=()
  for need in "${needs[@]}"; do
    case $need in
      rust)
        # Debian's Rust packages bring a compiler along, other toolchains do not.
        compiles_c || missing+=(c)
        has_certificates || missing+=(certificates)
        rust_is_good || missing+=(rust)
        ;;
      cplusplus) compiles_cplusplus || missing+=(cplusplus) ;;
      python) makes_environments || missing+=(python) ;;
      browser) { has chromium && has chromedriver; } || missing+=(browser) ;;
      npm) has npm || missing+=(npm) ;;
      rust_lints) lints_are_there || missing+=(rust_lints) ;;
      dpkg_dev) { has dpkg-shlibdeps && has objdump; } || missing+=(dpkg_dev) ;;
      debootstrap) { has debootstrap && has unshare && has nsenter; } || missing+=(debootstrap) ;;
      patch) { has patch && has git; } || missing+=(patch) ;;
      bench) bench_tools_are_there || missing+=(bench) ;;
      valgrind) has valgrind || missing+=(valgrind) ;;
    esac
  done
}

compiles_c() { has cc && echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; }
compiles_cplusplus() { has c++ && echo '#include <vector>' | c++ -x c++ -E - >/dev/null 2>&1; }

makes_environments() { has python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

has_certificates() {
  [[ -s ${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} || -s /etc/pki/tls/certs/ca-bundle.crt || -s /etc/ssl/cert.pem ]]
}

rust_is_good() {
  local rustc cargo
  # From within the checkout: rustup may pick a toolchain by folder.
  rustc=$(cd "$checkout" && rustc --version 2>/dev/null) || return 1
  cargo=$(cd "$checkout" && cargo --version 2>/dev/null) || return 1
  at_least "$rustc" && at_least "$cargo"
}

# Whether `rustc 1.85.0 (...)` or `cargo 1.85.0 (...)` names a version that is new enough.
at_least() {
  local version
  version=$(awk '{ print $2 }' <<<"$1")
  [[ $(printf '%s\n' "$rust_floor" "$version" | sort -V | head -n 1) == "$rust_floor" ]]
}

lints_are_there() {
  (cd "$checkout" && cargo fmt --version && cargo clippy --version) >/dev/null 2>&1
}

bench_tools_are_there() { has wrk && has perf && PATH=$PATH:/usr/sbin has nginx; }

# An earlier run may have installed Rust by rustup without touching the shell's start-up files.
find_rustup_folder() {
  local folder=${CARGO_HOME:-$HOME/.cargo}/bin
  if [[ -x $folder/cargo ]] && ! rust_is_good; then PATH=$folder:$PATH; fi
}

# ---- What to install ------------------------------------------------------------------------------

# A fresh virtual machine may still be at its first automatic upgrade: wait for apt's lock.
apt_options=(-o DPkg::Lock::Timeout=600)

find_way_to_be_root() {
  if [[ $(id -u) -eq 0 ]]; then
    as_root() { "$@"; }
  elif has sudo; then
    as_root() { sudo "$@"; }
  else
    say "Something is missing, and this user can install nothing: it is not root, and there is no sudo."
    tell_what_to_install_by_hand
    exit 1
  fi
}

# Fills `packages` for `missing`, saying each one's why; sets `by_rustup` if Debian has no Rust that will do.
choose_packages() {
  local need
  say "will install:"
  for need in "${missing[@]}"; do
    case $need in
      c)
        want gcc "links the Rust programs and compiles the cryptography library of the TLS client"
        want libc6-dev "the C library's headers, for the same"
        ;;
      certificates) want ca-certificates "the authorities that downloads of Rust libraries are checked against" ;;
      cplusplus) want g++ "compiles libFuzzer, for the short fuzz runs of the tests" ;;
      dpkg_dev)
        want dpkg-dev "finds the libraries that the package depends on"
        want binutils "strips the program in the package"
        ;;
      debootstrap)
        want debootstrap "makes the Debian that the package is tested on"
        want util-linux "has unshare and nsenter, which keep that Debian apart from this machine"
        ;;
      bench)
        want wrk "sends requests as fast as they are answered"
        want nginx-light "production, targets, and a rival with its mirror directive"
        want linux-perf "counts system calls"
        ;;
      python)
        want python3 "runs the schema tester of the admin API"
        want python3-venv "keeps that tester and its libraries apart from the system's"
        ;;
      browser)
        want chromium "the browser that the dashboard is tested in"
        want chromium-driver "steers it"
        ;;
      patch)
        want patch "applies the doctor's patches in its tests"
        want git "applies them, too"
        ;;
      npm) want npm "fetches axe-core, which finds barriers in web pages; nothing else is installed with it" ;;
      valgrind) want valgrind "counts instructions" ;;
      rust) choose_rust ;;
      rust_lints) choose_lints ;;
    esac
  done
}

want() {
  packages+=("$1")
  say "  $1: $2"
}

# Debian 12 has a current Rust under other names, which Debian itself uses to build its browsers.
choose_rust() {
  local suffix
  if ! has rustup; then
    for suffix in "" -web; do
      if debian_has_rust "$suffix"; then
        debian_rust_suffix=$suffix
        want "rustc$suffix" "the Rust compiler, $rust_floor or newer"
        want "cargo$suffix" "builds Rust programs, fetching the libraries they need"
        return
      fi
    done
    has curl || has wget || want curl "fetches rustup, below"
    say "  rustup, by its official installer, because Debian has no Rust $rust_floor for this machine that goes with what is installed:"
    say "    the latest stable toolchain, into ${RUSTUP_HOME:-$HOME/.rustup} and ${CARGO_HOME:-$HOME/.cargo}; PATH is left as it is"
  else
    say "  a stable Rust toolchain by the rustup that is here, beside the ones it has: they are older than $rust_floor"
  fi
  by_rustup=1
}

# Whether apt has rustc$1 and cargo$1 new enough, and can install them without removing a package.
debian_has_rust() {
  local package candidate
  for package in "rustc$1" "cargo$1"; do
    candidate=$(apt-cache policy "$package" 2>/dev/null | awk '$1 == "Candidate:" { print $2 }')
    [[ -n $candidate && $candidate != "(none)" ]] || return 1
    at_least "$package ${candidate#*:}" || return 1
  done
  apt-get -s install --no-install-recommends --no-remove "rustc$1" "cargo$1" >/dev/null 2>&1
}

choose_lints() {
  local rustc
  if [[ -n $by_rustup ]] || has rustup; then
    by_rustup=1
    say "  rustfmt and clippy by rustup: formatting and lints"
    return
  fi
  if [[ -z ${debian_rust_suffix+set} ]]; then
    rustc=$(readlink -f "$(command -v rustc)")
    case $(dpkg -S "$rustc" 2>/dev/null) in
      rustc-web:*) debian_rust_suffix=-web ;;
      rustc:*) debian_rust_suffix= ;;
      *) die "cargo fmt and cargo clippy do not work, and $rustc came neither from Debian nor from rustup: install them from where it came from" ;;
    esac
  fi
  want "rustfmt$debian_rust_suffix" "checks the formatting"
  want "rust${debian_rust_suffix}-clippy" "the lints"
}

install_rust_with_rustup() {
  local installer components=()
  [[ " ${needs[*]} " != *" rust_lints "* ]] || components=(--component rustfmt --component clippy)
  if has rustup; then
    if ! rust_is_good; then
      rustup toolchain install stable --profile minimal >&2 || die "rustup could not install the stable toolchain"
      rust_is_good || export RUSTUP_TOOLCHAIN=stable
    fi
    if [[ ${#components[@]} -gt 0 ]]; then
      (cd "$checkout" && rustup component add rustfmt clippy) >&2 || die "rustup could not add rustfmt and clippy"
    fi
    return
  fi
  installer=$(mktemp)
  if has curl; then
    curl --proto '=https' --tlsv1.2 -sSf -o "$installer" "$RUSTUP_INSTALLER"
  else
    wget --https-only -q -O "$installer" "$RUSTUP_INSTALLER"
  fi || die "could not fetch rustup's installer from $RUSTUP_INSTALLER"
  # An older Rust of the system is known by now, and no reason to stop.
  RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" -y --no-modify-path --profile minimal "${components[@]}" >&2 || die "rustup's installer failed"
  rm -f "$installer"
  PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
}

# What https://sh.rustup.rs leads to.
RUSTUP_INSTALLER=https://static.rust-lang.org/rustup/rustup-init.sh

tell_what_to_install_by_hand() {
  local need
  say "Install these by hand, then run it again:"
  for need in "${missing[@]}"; do
    case $need in
      c) say "  - a C compiler that answers to 'cc', and the C library's headers (Debian: gcc libc6-dev)" ;;
      certificates) say "  - the certificate authorities (Debian: ca-certificates), or set SSL_CERT_FILE" ;;
      cplusplus) say "  - a C++ compiler that answers to 'c++', with its standard library (Debian: g++)" ;;
      python) say "  - Python 3.10 or newer with its venv module (Debian: python3 python3-venv)" ;;
      browser) say "  - Chromium and its driver, as 'chromium' and 'chromedriver' (Debian: chromium chromium-driver)" ;;
      npm) say "  - npm (Debian: npm)" ;;
      rust) say "  - rustc and cargo $rust_floor or newer, from your system or from https://rustup.rs (Debian 13: rustc cargo; Debian 12: rustc-web cargo-web)" ;;
      dpkg_dev) say "  - dpkg-shlibdeps and objdump (Debian: dpkg-dev binutils)" ;;
      debootstrap) say "  - debootstrap, unshare and nsenter (Debian: debootstrap util-linux)" ;;
      patch) say "  - GNU patch and git (Debian: patch git)" ;;
      bench) say "  - wrk, nginx and perf (Debian: wrk nginx-light linux-perf)" ;;
      valgrind) say "  - valgrind (Debian: valgrind)" ;;
      rust_lints) say "  - rustfmt and clippy for that Rust (rustup component add rustfmt clippy)" ;;
    esac
  done
}
