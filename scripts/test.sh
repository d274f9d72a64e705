#!/usr/bin/env bash
# Runs all tests, installing what is missing first.
#
#   scripts/test.sh
#
# Exit code: 0 if all succeeded. FUZZ_SECONDS sets how long each fuzz target runs (default 20).
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
# shellcheck source=scripts/steps.sh
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"
cd "$checkout"

need_rust
need_cplusplus
need_python
need_browser
need_npm
need_dpkg_dev
need_debootstrap
need_valgrind
need_patch
install_needs
say "using $(rustc --version), $(cargo --version)"

# The tests run against real HAProxy of each of these versions.
step "HAProxy 2.6, 3.0, 3.2 and 3.4, unpacked from Debian's packages" scripts/haproxy.sh all
# Its promtool checks metrics, alert rules and their tests.
step "Prometheus, unpacked from Debian's package" scripts/prometheus.sh
# Looks for barriers in the dashboard's pages.
step "axe-core, from npm" scripts/axe.sh
step "tests of the workspace" cargo test --workspace --no-fail-fast
step "the admin API against its description" scripts/api-test.sh
step "the Debian package: checked, installed, started, upgraded, purged" scripts/package-test.sh
step "instructions of the data path's steps" scripts/instructions.sh
step "short fuzz runs" scripts/fuzz.sh all "${FUZZ_SECONDS:-20}"
sum_up
