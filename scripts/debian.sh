# Fetches packages out of any Debian suite, without installing anything. Sourced by the scripts beside this
# file, not run.
#
#   need_tools_and_lock DIRECTORY WHAT INSTEAD
#                                        checks the tools, waits for other runs, finds mirror and keys, and
#                                        sets `work` to a new directory in DIRECTORY that is removed at the end
#   open_suites DIR SUITE...             prepares a private apt in DIR with these suites
#   apt_in DIR TOOL ARGUMENT...          runs an apt tool there
#   download DIR PACKAGE[=VERSION]...    fetches verified .deb files into DIR
#
# How: apt is pointed at a private state (the host's package lists and database are neither read nor
# written) whose only source is one Debian suite at the mirror which this machine's own apt sources
# name. The packages are verified by apt against Debian's archive keys.
#
# shellcheck shell=bash

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

need_tools_and_lock() {
  local tool directory=$1
  for tool in apt-get apt-cache dpkg-deb flock awk; do
    command -v "$tool" >/dev/null || die "'$tool' is not here: fetching $2 takes a Debian system (12 or newer). Elsewhere, $3"
  done
  exec 9>"$directory/.lock"
  if ! flock -n 9; then
    say "another run is fetching into $directory; waiting for it"
    flock 9
  fi
  # Under the lock, whatever a killed run left behind is garbage.
  rm -rf "$directory"/.work.*
  work=$(mktemp -d "$directory/.work.XXXXXX")
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
  sed "s/^/${0##*/}:   apt: /" "$dir/update.log" >&2
  return 1
}

# download DIR PACKAGE[=VERSION]...: verified .deb files into DIR.
download() {
  local dir=$1
  shift
  (cd "$dir" && apt_in "$dir" apt-get -q download "$@" >"$dir/download.log" 2>&1) || {
    sed "s/^/${0##*/}:   apt: /" "$dir/download.log" >&2
    return 1
  }
}
