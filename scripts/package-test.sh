#!/usr/bin/env bash
# Tests the Debian package: builds it, has lintian and others check it, and installs, starts, reloads,
# upgrades, removes and purges it on a Debian of its own, with systemd as its first process.
#
#   scripts/package-test.sh [PACKAGE]
#
# Without PACKAGE it tests what `cargo build` makes. That Debian is a directory: debootstrap makes it once
# (~/.cache/spoa-mirror/debian-*, half a gigabyte), and each run works on a copy, in namespaces of its own. The
# machine's own packages, services, network and mounts are not touched. Takes root or sudo.
#
# Exit code: 0 if all is as it should be.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
# shellcheck source=scripts/debian.sh
source "$checkout/scripts/debian.sh"
cd "$checkout"

# What `systemd-analyze security` may say of the unit; docs/OPERATIONS.md states the figure.
EXPOSURE=1.1

main() {
  need_rust
  need_dpkg_dev
  need_debootstrap
  install_needs
  find_way_to_be_root

  scratch=$(mktemp -d)
  trap clean_up EXIT
  package=${1:-$(scripts/package.sh --dev "$scratch")}
  make_debian
  as_root cp -a "$debian" "$scratch/root"
  root=$scratch/root
  as_root mkdir "$root/packages"
  as_root cp "$package" "$root/packages/first.deb"
  make_second_package

  check_contents
  boot
  check_installation
  check_service
  check_copies
  check_reload
  check_log_file
  check_watchdog
  check_socket
  check_upgrade
  check_purge
  say "the package is as it should be"
}

fail() { die "$*"; }

# ---- A Debian to test on --------------------------------------------------------------------------

make_debian() {
  local codename cache
  # The program was built for this machine's C library.
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ -n $codename ]] || die "this is no Debian with a code name"
  cache=${SPOA_MIRROR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spoa-mirror}
  debian=$cache/debian-$codename-1
  [[ ! -e $debian/.complete ]] || return 0
  find_mirror
  find_keyrings
  say "making a Debian $codename in $debian, from $mirror"
  mkdir -p "$cache"
  as_root rm -rf "$debian"
  as_root debootstrap --variant=minbase --keyring="$keyrings" "$codename" "$debian" "$mirror" \
    >"$scratch/debootstrap.log" || { tail -n 20 "$scratch/debootstrap.log" >&2; die "debootstrap failed"; }
  as_root cp --dereference /etc/resolv.conf "$debian/etc/resolv.conf"
  # Nothing is started while packages are installed.
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$debian/usr/sbin/policy-rc.d" >/dev/null
  as_root chmod +x "$debian/usr/sbin/policy-rc.d"
  as_root unshare --mount --pid --fork sh -ec "
    mount -t proc proc '$debian/proc'
    chroot '$debian' env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
      systemd systemd-sysv lintian mandoc man-db logrotate haproxy bash-completion" >"$scratch/install.log" 2>&1 \
    || { tail -n 20 "$scratch/install.log" >&2; die "the tools could not be installed in $debian"; }
  as_root rm -f "$debian/usr/sbin/policy-rc.d"
  as_root ln -sf /dev/null "$debian/etc/systemd/system/haproxy.service"
  as_root touch "$debian/.complete"
}

# The same program under the next version, with another configuration as it ships.
make_second_package() {
  as_root sh -ec "
    dpkg-deb -R '$root/packages/first.deb' '$scratch/second'
    sed -i 's/^Version: .*/&.1/' '$scratch/second/DEBIAN/control'
    echo '# Another default.' >>'$scratch/second/etc/spoa-mirror/spoa-mirror.toml'
    dpkg-deb --root-owner-group -b '$scratch/second' '$root/packages/second.deb' >/dev/null"
}

# Starts systemd as the first process of new namespaces, on the copy.
boot() {
  local group
  # A group of its own: systemd makes groups for its services, and takes them for the whole machine's.
  group=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
  [[ -n $group ]] || die "no cgroup2 hierarchy is mounted"
  group=$group/spoa-mirror-package-test-$$
  as_root mkdir "$group"
  made_group=$group
  cat >"$scratch/boot.sh" <<'BOOT'
set -e
root=$1 group=$2 init=$3
echo $$ >"$group/cgroup.procs"
# The new namespace's root is the group that this process is in now.
exec unshare --cgroup sh -ec '
  root=$1
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for device in null zero full random urandom tty ptmx; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mkdir "$root/dev/pts" "$root/dev/shm" "$root/old"
  cd "$root"
  pivot_root . old
  umount -l /old
  rmdir /old
  exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
' sh "$root" <"/dev/null"
BOOT
  as_root unshare --mount --pid --fork --uts --ipc --net --kill-child=KILL \
    sh "$scratch/boot.sh" "$root" "$group" >"$scratch/boot.log" 2>&1 &
  local waited=0
  until init=$(init_process) && inside systemctl is-active --quiet multi-user.target 2>/dev/null; do
    ((waited += 1))
    [[ $waited -lt 300 ]] || { cat "$scratch/boot.log" >&2; die "systemd did not start"; }
    sleep 0.1
  done
}

# systemd's process, as the machine sees it: the first one in the group.
init_process() {
  local pid
  while read -r pid; do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == systemd ]] && echo "$pid" && return
  done < <(cat "$made_group/init.scope/cgroup.procs" 2>/dev/null)
  return 1
}

# Runs a command beside that systemd.
inside() {
  as_root nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup --root \
    env --chdir=/ -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@" </dev/null
}

clean_up() {
  local code=$?
  if [[ -n ${init:-} ]]; then
    if [[ $code -ne 0 ]]; then
      say "the journal:"
      inside journalctl --no-pager -n 60 >&2 || true
    fi
    as_root kill -KILL "$init" 2>/dev/null || true
  fi
  wait
  if [[ -n ${made_group:-} ]]; then
    as_root find "$made_group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  fi
  as_root rm -rf "$scratch"
}

# says PATTERN COMMAND...: whether the command's output has a line that matches.
says() {
  local pattern=$1
  shift
  # Not a pipe: grep goes at the first match, and the command would fail.
  "$@" >"$scratch/said" 2>/dev/null || true
  grep -qi -- "$pattern" "$scratch/said"
}

# until_true WHAT COMMAND...: asks again for half a minute.
until_true() {
  local what=$1 tries=0
  shift
  until "$@" >"$scratch/last" 2>&1; do
    ((tries += 1))
    [[ $tries -lt 300 ]] || { cat "$scratch/last" >&2; fail "$what"; }
    sleep 0.1
  done
}

# ---- What is in the package -------------------------------------------------------------------------

in_copy() { as_root chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }

check_contents() {
  say "lintian"
  in_copy lintian --fail-on error,warning,info /packages/first.deb || fail "lintian objects"

  as_root dpkg-deb -x "$package" "$root/unpacked"
  say "man pages, units, completions, rotation, examples"
  local page
  for page in "$root"/unpacked/usr/share/man/man1/*.gz; do
    page=${page#"$root"}
    in_copy mandoc -Tlint -W warning "$page" >"$scratch/last" 2>&1 || true
    in_copy env MANWIDTH=80 man -l --warnings "$page" 2>>"$scratch/last" >/dev/null || fail "man cannot show $page"
    [[ ! -s $scratch/last ]] || { cat "$scratch/last" >&2; fail "$page is not as man pages should be"; }
  done
  in_copy bash -n /unpacked/usr/share/bash-completion/completions/spoa-mirror
  in_copy logrotate --debug /unpacked/etc/logrotate.d/spoa-mirror >"$scratch/last" 2>&1 || { cat "$scratch/last" >&2; fail "logrotate"; }
  # Only the C library and the compiler's own: see the documentation.
  local needs
  needs=$(objdump -p "$root/unpacked/usr/bin/spoa-mirror" | awk '$1 == "NEEDED" { print $2 }' \
    | grep -v -x -e 'ld-linux.*' -e 'libc\.so\.6' -e 'libm\.so\.6' -e 'libgcc_s\.so\.1' || true)
  [[ -z $needs ]] || fail "the program needs more libraries than it did: $needs"
  in_copy sh -c 'cd /unpacked/usr/share/doc/spoa-mirror/examples && haproxy -q -c -f haproxy.cfg' || fail "HAProxy refuses its example"
  as_root rm -rf "$root/unpacked"
}

# ---- Installed, started, changed, purged ---------------------------------------------------------------

check_installation() {
  say "installation"
  # Where it can find everything it depends on, without any package from elsewhere.
  inside dpkg -i /packages/first.deb >"$scratch/last" 2>&1 || { cat "$scratch/last" >&2; fail "dpkg cannot install it"; }
  inside systemctl is-enabled --quiet spoa-mirror.service || fail "the service is not enabled"
  if inside systemctl is-enabled --quiet spoa-mirror-spop.socket; then fail "the socket is enabled"; fi
  inside systemd-analyze verify /usr/lib/systemd/system/spoa-mirror.service /usr/lib/systemd/system/spoa-mirror-spop.socket >"$scratch/last" 2>&1 || true
  if grep -i spoa-mirror "$scratch/last" >&2; then fail "systemd objects to the units"; fi
  local exposure
  exposure=$(inside systemd-analyze security --no-pager spoa-mirror.service | awk '/Overall exposure level/ { level = $(NF - 2) } END { print level }')
  say "systemd-analyze security: $exposure"
  awk "BEGIN { exit !($exposure <= $EXPOSURE) }" || fail "the unit is exposed more than it was: $exposure"
}

property() { inside systemctl show --value -p "$1" spoa-mirror.service; }
is_active() { [[ $(property ActiveState) == active ]]; }
listens() { inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null; }

check_service() {
  say "service"
  until_true "the service does not become active" is_active
  # Type=notify: active means that it said so.
  listens 12345 || fail "nobody listens for HAProxy"
  listens 9600 || fail "nobody listens for the administrator"
  [[ $(property NRestarts) == 0 ]] || fail "it was restarted"
  [[ $(property StatusText) == *"connections from HAProxy"* ]] || fail "no status: $(property StatusText)"
  [[ $(property WatchdogUSec) == 30s ]] || fail "no watchdog"
  [[ $(property WatchdogTimestampMonotonic) -gt 0 ]] || fail "no sign of life"
  # It is nobody that another program is.
  local pid
  pid=$(property MainPID)
  [[ $(inside stat -c %u "/proc/$pid") -ge 61184 ]] || fail "it runs as $(inside stat -c %U "/proc/$pid")"
  # shellcheck disable=SC2016 # awk's own
  [[ $(inside awk '/^CapEff/ { print $2 }' "/proc/$pid/status") == 0000000000000000 ]] || fail "it has capabilities"
  says '"targets"' inside spoa-mirror status --json || fail "no status by the command line"
}

append() { printf '%s\n' "$@" | as_root tee -a "$root/etc/spoa-mirror/spoa-mirror.toml" >/dev/null; }

# Production and target both, for want of another HTTP server there, are the agent's admin API.
get() {
  inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/80
    printf "GET /healthz HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n" >&3
    head -n 1 <&3 | grep -q " 200 "'
}
copied() {
  inside spoa-mirror status --json >"$scratch/status" && tr -d ' \n' <"$scratch/status" | grep '"answered":{[^}]*"2xx":[1-9]' >/dev/null
}
get_and_copied() { get && copied; }

check_copies() {
  say "copies, with the examples for HAProxy"
  # shellcheck disable=SC2016 # expanded inside
  inside sh -ec '
    cd /usr/share/doc/spoa-mirror/examples
    sed "s/127.0.0.1:8080/127.0.0.1:9600/" haproxy.cfg >/etc/haproxy/haproxy.cfg
    cp mirror.conf /etc/haproxy/
    systemd-run --quiet --unit=test-haproxy --working-directory=/etc/haproxy haproxy -f haproxy.cfg'
  append '[[target]]' 'name = "staging"' 'url = "http://127.0.0.1:9600"'
  inside systemctl restart spoa-mirror.service
  until_true "no request is copied" get_and_copied
}

check_reload() {
  say "reload"
  local pid
  pid=$(property MainPID)
  append '[[target]]' 'name = "second"' 'url = "http://127.0.0.1:9600/second"'
  inside systemctl reload spoa-mirror.service
  until_true "the second target does not come" has_target second
  cp "$root/etc/spoa-mirror/spoa-mirror.toml" "$scratch/good.toml"
  append 'nonsense = ['
  if inside systemctl reload spoa-mirror.service 2>/dev/null; then fail "a reload with a mistake succeeds"; fi
  is_active || fail "a mistake in the file ends the agent"
  has_target second || fail "a mistake in the file changes the agent"
  as_root cp "$scratch/good.toml" "$root/etc/spoa-mirror/spoa-mirror.toml"
  inside systemctl reload spoa-mirror.service || fail "the mended file cannot be loaded"
  [[ $(property MainPID) == "$pid" ]] || fail "it was started again"
}
has_target() { says "\"$1\"" inside spoa-mirror status --json; }

check_log_file() {
  say "log file and its rotation"
  as_root sed -i 's|^# file = "/var/log|file = "/var/log|' "$root/etc/spoa-mirror/spoa-mirror.toml"
  inside systemctl restart spoa-mirror.service
  until_true "no log file" inside test -s /var/log/spoa-mirror/spoa-mirror.log
  inside logrotate --force /etc/logrotate.d/spoa-mirror || fail "logrotate failed"
  until_true "the log file is not opened anew" inside grep -q reopened /var/log/spoa-mirror/spoa-mirror.log
  inside test -s /var/log/spoa-mirror/spoa-mirror.log.1 || fail "the old log file is gone"
}

check_watchdog() {
  say "watchdog"
  # shellcheck disable=SC2016 # expanded inside
  inside sh -ec '
    mkdir -p /run/systemd/system/spoa-mirror.service.d
    printf "[Service]\nWatchdogSec=2s\n" >/run/systemd/system/spoa-mirror.service.d/test.conf
    systemctl daemon-reload
    systemctl restart spoa-mirror.service
    kill -STOP "$(systemctl show --value -p MainPID spoa-mirror.service)"'
  until_true "systemd does not start an agent again that hangs" was_restarted
  until_true "it is not active again" is_active
  says 'watchdog timeout' inside journalctl --no-pager -u spoa-mirror.service || fail "that was not the watchdog"
  inside sh -ec 'rm -r /run/systemd/system/spoa-mirror.service.d; systemctl daemon-reload; systemctl restart spoa-mirror.service'
  # Shorter than the grace period of an agent that has something to do.
  [[ $(property Result) == success ]] || fail "it did not end well: $(property Result)"
}
was_restarted() { [[ $(property NRestarts) -ge 1 ]]; }

check_socket() {
  say "socket activation"
  inside sh -ec 'systemctl stop spoa-mirror.service; systemctl start spoa-mirror-spop.socket'
  if is_active; then fail "the service runs without a connection"; fi
  listens 12345 || fail "systemd does not listen"
  until_true "a connection does not start the service" is_active
  until_true "no request is copied over systemd's socket" get_and_copied
  inside grep -q 'listening on 127.0.0.1:12345 (from systemd)' /var/log/spoa-mirror/spoa-mirror.log || fail "the socket was not taken over"
  inside sh -ec 'systemctl stop spoa-mirror-spop.socket spoa-mirror.service; systemctl start spoa-mirror.service'
}

check_upgrade() {
  say "upgrade"
  local pid edited
  pid=$(property MainPID)
  edited=$(as_root cat "$root/etc/spoa-mirror/spoa-mirror.toml")
  # The package's own file has changed too: without anyone to ask, dpkg keeps the administrator's.
  inside dpkg --force-confdef --force-confold -i /packages/second.deb >"$scratch/last" 2>&1 || { cat "$scratch/last" >&2; fail "dpkg cannot upgrade it"; }
  [[ $(as_root cat "$root/etc/spoa-mirror/spoa-mirror.toml") == "$edited" ]] || fail "the configuration was replaced"
  as_root test -e "$root/etc/spoa-mirror/spoa-mirror.toml.dpkg-dist" || fail "the new default is not beside it"
  until_true "it does not run after the upgrade" is_active
  [[ $(property MainPID) != "$pid" ]] || fail "the old program still runs"
  has_target staging || fail "the configuration is not in force"
}

check_purge() {
  say "removal and purge"
  inside dpkg -r spoa-mirror >"$scratch/last" 2>&1 || { cat "$scratch/last" >&2; fail "dpkg cannot remove it"; }
  if listens 9600; then fail "the agent runs without its package"; fi
  as_root test -e "$root/etc/spoa-mirror/spoa-mirror.toml" || fail "the configuration went with the program"
  inside dpkg -P spoa-mirror >"$scratch/last" 2>&1 || { cat "$scratch/last" >&2; fail "dpkg cannot purge it"; }
  local left
  left=$(inside find /etc /usr /var /run -name '*spoa-mirror*' -not -path '/run/systemd/transient/*' -not -path '/var/log/journal/*' -not -path '/var/cache/man/*')
  [[ -z $left ]] || fail "purged, and still there: $left"
}

main "$@"
