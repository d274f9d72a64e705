#!/usr/bin/env bash
# Makes the README's pictures of the dashboard, docs/images/*.png, from `spoa-mirror demo` in Chromium.
#
#   scripts/screenshots.sh
#
# Exit code: 0 if all were made, each under 200 kB. They show times and counts of the run: the same things each
# time, not the same bytes.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

need_rust
need_browser
install_needs

haproxy=$(scripts/haproxy.sh 3.4)
mkdir -p docs/images
cargo build --quiet -p spoa-mirror
cargo run --quiet -p testbed --example screenshots -- \
  "${CARGO_TARGET_DIR:-target}/debug/spoa-mirror" docs/images "$haproxy"
