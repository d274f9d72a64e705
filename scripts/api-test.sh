#!/usr/bin/env bash
# Tests the admin API of a running agent against its own description, with Schemathesis from PyPI: requests
# of every kind that the description allows or forbids, and sequences of them.
#
#   scripts/api-test.sh
#
# Exit code: 0 if the API keeps to its description. EXAMPLES sets how many requests of each kind are made up
# (default 30). Schemathesis is installed once, into ~/.cache/spoa-mirror.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

need_rust
need_python
install_needs

version=4.32.5
venv=${XDG_CACHE_HOME:-$HOME/.cache}/spoa-mirror/schemathesis-$version
if [[ ! -x $venv/bin/schemathesis ]]; then
  say "installing Schemathesis $version into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version" \
    || { rm -rf "$venv"; die "pip could not install Schemathesis"; }
fi

scratch=$(mktemp -d)
agent=
cleanup() {
  [[ -z $agent ]] || kill "$agent" 2>/dev/null || true
  [[ -z $agent ]] || wait "$agent" 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT

cargo build --quiet -p spoa-mirror
program=${CARGO_TARGET_DIR:-target}/debug/spoa-mirror
# Ports that are free now.
read -r spop admin < <(python3 - <<'PYTHON'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))
PYTHON
)
token=made-up-for-this-test
cat >"$scratch/spoa-mirror.toml" <<TOML
[agent]
listen = "127.0.0.1:$spop"

[admin]
listen = "127.0.0.1:$admin"
token = "$token"
rate = "2000/s"

[[target]]
name = "staging"
url = "http://127.0.0.1:9/"

[[target]]
name = "limited"
url = "http://127.0.0.1:9/"
limit = { rate = "500/s", burst = 50, queue = 10 }
compare = true
TOML
echo "$token" >"$scratch/token"
"$program" --config "$scratch/spoa-mirror.toml" >"$scratch/log" 2>&1 &
agent=$!
for _ in {1..100}; do
  "$program" status --admin "127.0.0.1:$admin" --token-file "$scratch/token" >/dev/null 2>&1 && break
  kill -0 "$agent" 2>/dev/null || die "the agent ended: $(cat "$scratch/log")"
  sleep 0.1
done

# Names that are made up lead to no target: use one that there is.
cat >"$scratch/schemathesis.toml" <<'TOML'
[parameters]
"path.name" = "limited"
"query.target" = "limited"

# A schema cannot tell which places and expressions a rule can have: 422 says so.
[[operations]]
include-name = "POST /api/v1/comparison/rules"
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "404", "422", "429", "5xx"]
TOML

cd "$scratch"
"$venv/bin/schemathesis" --config-file schemathesis.toml run "http://127.0.0.1:$admin/api/v1/openapi.json" \
  --checks all --header "Authorization: Bearer $token" --rate-limit 1000/s --max-examples "${EXAMPLES:-30}" \
  --wait-for-schema 10

kill -0 "$agent" 2>/dev/null || die "the agent did not survive: $(tail -n 50 log)"
say "the API keeps to its description"
