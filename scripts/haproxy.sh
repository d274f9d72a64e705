#!/usr/bin/env bash
# Fetches HAProxy of a given version out of Debian packages, without installing anything.
#
#   scripts/haproxy.sh 2.6|3.0|3.2|3.4|all
#
# Prints the path of an executable for each version asked for on stdout; progress goes to stderr.
# A version that is already in the cache costs nothing, not even a look at the network.
#
# How: apt is pointed at a private state (the host's package lists and database are neither read nor
# written) whose only source is one Debian suite at the mirror which this machine's own apt sources
# name. The packages are verified by apt against Debian's archive keys, unpacked side by side, and
# run by their own dynamic loader, so the host's libraries do not matter.
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

say() { printf 'haproxy.sh: %s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

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
      is_complete "$slot" || fetch "$slot"
    fi
    printf '%s\n' "$cache/$slot/haproxy"
  done
}

is_complete() {
  [[ -x $cache/$1/haproxy && -s $cache/$1/VERSION ]]
}

# Takes the lock and makes the working directory, once in a run and only if there is work.
prepare() {
  [[ -z ${work:-} ]] || return 0
  local tool
  for tool in apt-get apt-cache dpkg-deb flock awk; do
    command -v "$tool" >/dev/null || die "'$tool' is not here: fetching HAProxy takes a Debian system (12 or newer). Elsewhere, put a ready HAProxy at $cache/VERSION_WANTED/haproxy with a file VERSION beside it"
  done
  exec 9>"$cache/.lock"
  if ! flock -n 9; then
    say "another run is fetching into $cache; waiting for it"
    flock 9
  fi
  # Under the lock, whatever a killed run left behind is garbage.
  rm -rf "$cache"/.work.*
  work=$(mktemp -d "$cache/.work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  find_mirror
  find_keyrings
}

# ---- Where from: mirror and keys -------------------------------------------------------------------

# Every binary source of this machine, one to a line: URI, suite, components joined by commas, Signed-By
# or "-". Both formats of sources.list(5).
host_sources() {
  local etc=/etc/apt file
  for file in "$etc/sources.list" "$etc"/sources.list.d/*.list; do
    [[ -r $file ]] || continue
    # deb [option=value ...] uri suite component...
    sed -e 's/#.*//' "$file" | awk '$1 == "deb" {
      signed = "-"; i = 2
      if ($2 ~ /^\[/) {
        for (; i <= NF; i++) {
          option = $i; gsub(/[][]/, "", option)
          if (option ~ /^signed-by=/) signed = substr(option, 11)
          if ($i ~ /\]$/) { i++; break }
        }
      }
      components = ""
      for (c = i + 2; c <= NF; c++) components = components "," $c
      print $i, $(i + 1), components ",", signed
    }'
  done
  for file in "$etc"/sources.list.d/*.sources; do
    [[ -r $file ]] || continue
    # deb822 stanzas; comment lines may stand inside them, and a line that starts with a blank goes on.
    { cat "$file"; echo; } | sed -e '/^#/d' | awk '
      function flush(   u, s, nu, ns, us, ss, c) {
        if (field["types"] ~ /(^| )deb( |$)/ && tolower(field["enabled"]) !~ /^(no|false|off|0)$/) {
          nu = split(field["uris"], us, " "); ns = split(field["suites"], ss, " ")
          c = field["components"]; gsub(/ +/, ",", c)
          split(field["signed-by"], signed, " ")
          for (u = 1; u <= nu; u++) for (s = 1; s <= ns; s++)
            print us[u], ss[s], "," c ",", (signed[1] ~ /^\// ? signed[1] : "-")
        }
        split("", field)
      }
      /^[ \t]*$/ { flush(); next }
      /^[ \t]/ { sub(/^[ \t]+/, ""); field[key] = field[key] " " $0; next }
      { key = tolower($0); sub(/:.*/, "", key); value = $0; sub(/^[^:]*:[ \t]*/, "", value); sub(/[ \t]+$/, "", value); field[key] = value }
      END { flush() }'
  done
}

# Sets `mirror` and `mirror_signed_by` from the first of this machine's sources that is Debian's main
# archive: not security, updates or backports (those live elsewhere or name no suite we want).
find_mirror() {
  mirror_signed_by=
  if [[ -n ${SPOA_MIRROR_DEBIAN_MIRROR:-} ]]; then
    mirror=$SPOA_MIRROR_DEBIAN_MIRROR
    return
  fi
  local codename uri suite components signed
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")
  while read -r uri suite components signed; do
    case $uri in cdrom:*) continue ;; esac
    case $components in *,main,*) ;; *) continue ;; esac
    case $suite in
      "$codename" | stable | oldstable | testing | unstable | sid | bookworm | trixie | forky) ;;
      *) continue ;;
    esac
    # A third party's archive may use the same suite names; Debian's own is signed by Debian's keys.
    case $signed in -|*debian-archive*) ;; *) continue ;; esac
    mirror=$uri
    [[ $signed == - ]] || mirror_signed_by=$signed
    return
  done < <(host_sources)
  die "no Debian mirror found in /etc/apt/sources.list or /etc/apt/sources.list.d (looked for a 'deb' source with the component 'main' of a Debian suite); name one with SPOA_MIRROR_DEBIAN_MIRROR"
}

# Sets `keyrings`, the comma-separated list that apt verifies against.
find_keyrings() {
  local candidate
  if [[ -n ${SPOA_MIRROR_DEBIAN_KEYRING:-} ]]; then
    [[ -r $SPOA_MIRROR_DEBIAN_KEYRING ]] || die "SPOA_MIRROR_DEBIAN_KEYRING: cannot read $SPOA_MIRROR_DEBIAN_KEYRING"
    keyrings=$SPOA_MIRROR_DEBIAN_KEYRING
    return
  fi
  for candidate in "$mirror_signed_by" \
    /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
    if [[ -n $candidate && -r $candidate ]]; then
      keyrings=$candidate
      return
    fi
  done
  die "Debian's archive keys are not installed; run: apt-get install debian-archive-keyring"
}

# ---- A private apt ---------------------------------------------------------------------------------

# apt_in DIR TOOL ARGUMENT... runs an apt tool on the private state in DIR. The host's apt.conf is still
# read: it may hold the proxy without which the mirror cannot be reached.
apt_in() {
  local dir=$1 tool=$2
  shift 2
  "$tool" -c "$dir/apt.conf" "$@"
}

# make_apt DIR SUITE... prepares a private apt state in DIR with these suites as its only sources.
make_apt() {
  local dir=$1 suite
  shift
  mkdir -p "$dir/state" "$dir/cache/archives/partial" "$work/lists/partial"
  : >"$dir/status"
  : >"$dir/sources.list"
  for suite in "$@"; do
    # The release files of moving suites expire within days, and a mirror may lag: they are still
    # signed, so this gives up freshness, not authenticity.
    echo "deb [target=Packages check-valid-until=no signed-by=$keyrings] $mirror $suite main" >>"$dir/sources.list"
  done
  cat >"$dir/apt.conf" <<CONF
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::State::lists "$work/lists";
Dir::Cache "$dir/cache";
// Container images switch these two the other way, at ten times the cost of each call.
Dir::Cache::pkgcache "pkgcache.bin";
Acquire::GzipIndexes "false";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::Log "$dir";
// The lists directory is shared by the suites of one run.
APT::Get::List-Cleanup "false";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::PDiffs "false";
// Not ours to run: they act on the host.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
CONF
}

# update DIR SUITE...: `apt-get update`, in which any warning about a signature or a missing index is an
# error. Leaves apt's words in DIR/update.log.
update() {
  local dir=$1
  shift
  make_apt "$dir" "$@"
  apt_in "$dir" apt-get -q -o APT::Update::Error-Mode=any update >"$dir/update.log" 2>&1
}

# open_suites DIR SUITE...: like update, but if only a signing key is missing (suites are signed by keys
# newer than an old machine's keyring), takes the keyring package out of a suite that does verify.
open_suites() {
  local dir=$1 older
  shift
  say "reading the package list of $* at $mirror"
  update "$dir" "$@" && return
  if grep -q 'NO_PUBKEY\|Missing key\|not signed\|no longer valid' "$dir/update.log"; then
    for older in bookworm trixie; do
      say "the keys in $keyrings do not cover $*; looking for newer ones in $older"
      local keys=$work/keys-$older
      if update "$keys" "$older" && download "$keys" debian-archive-keyring; then
        rm -rf "$keys/root"
        dpkg-deb -x "$keys"/debian-archive-keyring_*.deb "$keys/root"
        local ring
        ring=$(find "$keys/root/usr/share/keyrings" -type f \( -name debian-archive-keyring.gpg -o -name debian-archive-keyring.pgp \) | head -n 1)
        [[ -n $ring ]] || continue
        # Verified by a key that we already trust, so its keys are as good.
        keyrings=$keyrings,$ring
        update "$dir" "$@" && return
      fi
    done
  fi
  sed 's/^/haproxy.sh:   apt: /' "$dir/update.log" >&2
  return 1
}

# download DIR PACKAGE[=VERSION]...: verified .deb files into DIR.
download() {
  local dir=$1
  shift
  (cd "$dir" && apt_in "$dir" apt-get -q download "$@" >"$dir/download.log" 2>&1) || {
    sed 's/^/haproxy.sh:   apt: /' "$dir/download.log" >&2
    return 1
  }
}

# ---- One version -----------------------------------------------------------------------------------

fetch() {
  local slot=$1 dir suites version best="" best_suites="" seen=""
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
  unpack "$slot" "$best" "$work/apt-${best_suites// /-}"
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
