#!/usr/bin/env bash
# Fetches HAProxy of a given version out of Debian packages, without installing anything.
#
#   scripts/haproxy.sh 2.6|3.0|3.2|3.4|all
#
# Prints the path of an executable for each version asked for on stdout; progress goes to stderr. Beside it, in
# the folder doc, are the package's manuals, its examples, and the configuration that it installs.
# A version that is already in the cache costs nothing, not even a look at the network.
#
# How: see debian.sh. The packages are unpacked side by side, and run by their own dynamic loader, so
# the host's libraries do not matter.
#
# Environment:
#   SPOA_MIRROR_CACHE           where to put the result (default: $XDG_CACHE_HOME/spoa-mirror,
#                               or ~/.cache/spoa-mirror)
#   SPOA_MIRROR_DEBIAN_MIRROR   URI of a Debian mirror, instead of the one in this machine's apt sources
#   SPOA_MIRROR_DEBIAN_KEYRING  keyring with Debian's archive keys, instead of the installed one
#
# Exit code: 0 if every version asked for is there, 1 if one could not be fetched, 64 for wrong usage.
set -euo pipefail
export LC_ALL=C

SLOTS=(2.6 3.0 3.2 3.4)

# shellcheck source=scripts/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

usage() {
  say "usage: haproxy.sh VERSION|all, where VERSION is one of: ${SLOTS[*]}"
  exit 64
}

# The suites that carry a slot's version, in the order to look; each line is one set of apt sources.
# Stable suites keep their version. The moving ones do not, so their neighbours are asked too.
suites_of() {
  case $1 in
    2.6) echo "bookworm" ;;
    3.0) echo "trixie" ;;
    3.2) printf '%s\n' "sid" "testing" "sid experimental" ;;
    3.4) printf '%s\n' "sid experimental" ;;
  esac
}

main() {
  [[ $# -eq 1 ]] || usage
  local slots=() slot
  for slot in "${SLOTS[@]}"; do
    if [[ $1 == "$slot" || $1 == all ]]; then slots+=("$slot"); fi
  done
  [[ ${#slots[@]} -gt 0 ]] || usage

  cache=${SPOA_MIRROR_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither SPOA_MIRROR_CACHE nor HOME is set}/.cache}/spoa-mirror}/haproxy
  mkdir -p "$cache" || die "cannot create the cache directory $cache; set SPOA_MIRROR_CACHE to one that is writable"
  cache=$(cd "$cache" && pwd -P)

  for slot in "${slots[@]}"; do
    if ! is_complete "$slot"; then
      prepare
      # Somebody else may have fetched it while we waited for the lock.
      if ! is_there "$slot"; then
        fetch "$slot" unpack
      elif ! is_complete "$slot"; then
        fetch "$slot" add_manuals
      fi
    fi
    printf '%s\n' "$cache/$slot/haproxy"
  done
}

is_there() {
  [[ -x $cache/$1/haproxy && -s $cache/$1/VERSION ]]
}

# One that was put there by hand, and so has no root, is as it was meant to be.
is_complete() {
  is_there "$1" && [[ (-s $cache/$1/doc/configuration.txt && -s $cache/$1/doc/haproxy.cfg) || ! -d $cache/$1/root ]]
}

# Gets ready to fetch, once in a run and only if there is work.
prepare() {
  [[ -z ${work:-} ]] || return 0
  need_tools_and_lock "$cache" "HAProxy" "put a ready HAProxy at $cache/VERSION_WANTED/haproxy with a file VERSION and its manuals in a folder doc beside it"
}

# ---- One version -----------------------------------------------------------------------------------

# fetch SLOT HOW: finds the package of a version, and hands it to the function HOW.
fetch() {
  local slot=$1 how=$2 dir suites version best="" best_suites="" seen=""
  while read -r suites; do
    dir=$work/apt-${suites// /-}
    if [[ ! -e $dir/opened ]]; then
      # shellcheck disable=SC2086  # a list of words
      open_suites "$dir" $suites || die "cannot read the package lists of '$suites' at $mirror (see above)"
      touch "$dir/opened"
    fi
    while read -r version; do
      seen="$seen $version ($suites)"
      version_fits "$slot" "$version" || continue
      if [[ -z $best ]] || closer "$slot" "$version" "$best"; then
        best=$version
        best_suites=$suites
      fi
    done < <(apt_in "$dir" apt-cache madison haproxy | awk -F'|' '{ gsub(/ /, "", $2); print $2 }')
    if [[ -n $best && $(series "$best") == "$slot" ]]; then break; fi
  done < <(suites_of "$slot")

  [[ -n $best ]] || die "no HAProxy $slot or newer at $mirror; found only:${seen:- none}"
  if [[ $(series "$best") != "$slot" ]]; then
    say "warning: Debian no longer carries HAProxy $slot in these suites; found:$seen; taking $best in its place"
  fi
  "$how" "$slot" "$best" "$work/apt-${best_suites// /-}"
}

# 3.2 out of 3.2.26-1 or 1:3.2.26-1.
series() {
  local upstream=${1#*:}
  echo "$upstream" | awk -F'[.~+-]' '{ print $1 "." $2 }'
}

version_fits() {
  [[ $(series "$2") == "$1" ]] || dpkg --compare-versions "${2#*:}" gt "$1"
}

# Is $2 a better answer to the slot $1 than $3? The same series first (its newest), else the oldest series.
closer() {
  local new old
  new=$(series "$2") old=$(series "$3")
  if [[ $new == "$old" ]]; then
    dpkg --compare-versions "$2" gt "$3"
  elif [[ $old == "$1" ]]; then
    return 1
  else
    [[ $new == "$1" ]] || dpkg --compare-versions "$new" lt "$old"
  fi
}

# unpack SLOT PACKAGE-VERSION APT-DIR: puts a working HAProxy into the cache.
unpack() {
  local slot=$1 version=$2 dir=$3 out=$work/$1 plan=$work/plan-$1
  say "fetching HAProxy $version and the libraries it needs"
  # Let apt's solver choose the version of every dependency, then fetch only the libraries among them
  # that the loader asks for: the rest (init scripts, adduser, ...) is of no use here.
  if ! apt_in "$dir" apt-get -q -s install "haproxy=$version" >"$plan" 2>"$plan.err" &&
    ! apt_in "$dir" apt-get -q -s -t experimental install "haproxy=$version" >"$plan" 2>>"$plan.err"; then
    sed 's/^/haproxy.sh:   apt: /' "$plan" "$plan.err" >&2
    die "apt finds no set of libraries for HAProxy $version (see above)"
  fi

  mkdir -p "$out/root" "$out/debs"
  cp "$dir/apt.conf" "$out/debs/"
  local next=("haproxy=$version") later=() known=" haproxy " deb name wanted
  while :; do
    if [[ ${#next[@]} -eq 0 ]]; then
      next=("${later[@]}")
      later=()
    fi
    [[ ${#next[@]} -gt 0 ]] || die "HAProxy $version cannot run from its packages; its loader misses: $(missing "$out")"
    download "$out/debs" "${next[@]}" || die "cannot download ${next[*]} (see above)"
    next=()
    for deb in "$out"/debs/*.deb; do
      dpkg-deb -x "$deb" "$out/root"
      for name in $(dpkg-deb -f "$deb" Pre-Depends Depends | sed -e 's/^[A-Za-z-]*: //' | tr ',|' '\n' | awk '{ sub(/:.*/, "", $1); print $1 }'); do
        case $known in *" $name "*) continue ;; esac
        wanted=$(awk -v name="$name" '$1 == "Inst" && $2 == name { sub(/^\(/, "", $3); print $3 }' "$plan")
        [[ -n $wanted ]] || continue
        known="$known$name "
        case $name in
          *lib*) next+=("$name=$wanted") ;;
          *) later+=("$name=$wanted") ;;
        esac
      done
      rm "$deb"
    done
    [[ -n $(missing "$out") ]] || break
  done
  take_manuals "$out/root" "$out/doc"
  rm -rf "$out/debs" "$out"/root/usr/share "$out"/root/etc "$out"/root/var

  write_wrapper "$out"
  local answer
  answer=$("$out/haproxy" -v 2>&1) || die "HAProxy $version was unpacked, but does not run: $answer"
  printf '%s\n' "$answer" | sed -n '1s/.*ersion \([0-9][^ -]*\).*/\1/p' >"$out/VERSION"
  [[ -s $out/VERSION ]] || die "cannot read a version from what 'haproxy -v' said: $answer"
  case $(cat "$out/VERSION") in
    "$slot".*) ;;
    *) [[ $(series "$version") != "$slot" ]] || die "asked for $slot, but 'haproxy -v' says $(cat "$out/VERSION")" ;;
  esac

  rm -rf "${cache:?}/$slot"
  mv "$out" "$cache/$slot"
  say "HAProxy $(cat "$cache/$slot/VERSION") is ready in $cache/$slot"
}

# add_manuals SLOT PACKAGE-VERSION APT-DIR: the manuals alone, for a cache from when they were not kept. What runs
# there may be in use, and stays.
add_manuals() {
  local slot=$1 version=$2 dir=$3 out=$work/$1
  say "fetching the manuals of HAProxy $version"
  mkdir -p "$out/root"
  cp "$dir/apt.conf" "$out/"
  download "$out" "haproxy=$version" || die "cannot download haproxy=$version (see above)"
  dpkg-deb -x "$out"/haproxy_*.deb "$out/root"
  take_manuals "$out/root" "$out/doc"
  rm -rf "${cache:?}/$slot/doc"
  mv "$out/doc" "$cache/$slot/doc"
  rm -rf "$out"
}

# take_manuals ROOT DIRECTORY: the manuals and examples of a package that was unpacked, as plain texts, and the
# configuration that it installs.
take_manuals() {
  local manuals=$1/usr/share/doc/haproxy
  mkdir -p "$2"
  cp "$manuals"/*.txt "$manuals"/*.txt.gz "$2"
  gzip -d "$2"/*.gz
  cp -R "$manuals/examples" "$2"
  cp "$1/etc/haproxy/haproxy.cfg" "$2"
  [[ -s $2/configuration.txt ]] || die "HAProxy's package has no configuration.txt"
}

loader_in() { find "$1/root" -type f -name 'ld-linux*.so.*' | sort | head -n 1; }

libraries_in() {
  find "$1/root" -name '*.so.*' -printf '%h\n' | sort -u | grep -v '/gconv$' | paste -sd:
}

# The libraries that HAProxy needs and that are not among those unpacked; "libc" while there is no loader.
missing() {
  local loader
  loader=$(loader_in "$1")
  if [[ -z $loader ]]; then
    echo libc
    return
  fi
  # A path outside our folder means that the host's library would be used: as good as missing.
  "$loader" --inhibit-cache --library-path "$(libraries_in "$1")" --list "$1/root/usr/sbin/haproxy" 2>&1 |
    awk -v root="$1/root/" '
      /error while loading/ { sub(/.*libraries: /, ""); printf "%s ", $0; next }
      /linux-vdso|linux-gate/ { next }
      $2 == "=>" && index($3, root) == 1 { next }
      index($1, root) == 1 { next }
      $2 == "=>" { printf "%s ", $1; next }
      # ld-linux itself is shown by the name that the executable asks for.
      $1 ~ /ld-linux/ { next }
      { printf "%s ", $0 }'
}

# The wrapper stands for HAProxy's executable. It hands its own path on as argv[0]: HAProxy's master
# process executes that again when it reloads.
write_wrapper() {
  local out=$1 loader libraries
  loader=$(loader_in "$out")
  libraries=$(libraries_in "$out" | sed "s|$out/|\$here/|g")
  cat >"$out/haproxy" <<WRAPPER
#!/bin/sh
here=\$(dirname -- "\$(readlink -f -- "\$0")")
exec "\$here/${loader#"$out"/}" --inhibit-cache --library-path "$libraries" \\
  --argv0 "\$here/haproxy" "\$here/root/usr/sbin/haproxy" "\$@"
WRAPPER
  chmod 755 "$out/haproxy"
}

main "$@"
