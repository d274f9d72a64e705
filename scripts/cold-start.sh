#!/usr/bin/env bash
# Measures how long the agent takes from its start until it is ready for HAProxy, and how big it is.
#
#   scripts/cold-start.sh [RUNS [PROGRAM]]
#
# Starts the program RUNS times (default 100), each time until it says READY=1 as it says it to systemd, and
# prints the median, the 10th and the 90th percentile. Without PROGRAM the release is built.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"
cd "$checkout"

need_rust
need_python
install_needs

runs=${1:-100}
program=${2:-}
if [[ -z $program ]]; then
  cargo build --quiet --release --locked -p spoa-mirror >&2
  program=${CARGO_TARGET_DIR:-target}/release/spoa-mirror
fi

python3 - "$program" "$runs" <<'PYTHON'
import os, shutil, socket, statistics, subprocess, sys, tempfile, time

program, runs = sys.argv[1], int(sys.argv[2])
with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(30)
    environment = dict(os.environ, NOTIFY_SOCKET=path)
    times, memory = [], []
    for _ in range(runs):
        listen = "unix:" + os.path.join(directory, "spop")
        start = time.perf_counter()
        agent = subprocess.Popen(
            [program, "-r", "0", "-a", listen, "-u", "http://127.0.0.1:9", "--log-level", "warn"],
            env=environment, stdout=subprocess.DEVNULL)
        while b"READY=1" not in manager.recv(4096).splitlines():
            pass
        times.append(time.perf_counter() - start)
        with open(f"/proc/{agent.pid}/status") as status:
            memory.append(next(int(line.split()[1]) for line in status if line.startswith("VmRSS")))
        agent.terminate()
        agent.wait()
        manager.setblocking(False)
        try:
            while manager.recv(4096):
                pass
        except BlockingIOError:
            pass
        manager.settimeout(30)
    tenths = statistics.quantiles(times, n=10)
    print(f"ready after: median {statistics.median(times) * 1000:.1f} ms, "
          f"10th percentile {tenths[0] * 1000:.1f} ms, 90th {tenths[-1] * 1000:.1f} ms ({runs} runs)")
    print(f"resident then: {statistics.median(memory) / 1024:.1f} MiB")
    print(f"program: {os.path.getsize(program) / 1e6:.1f} MB", end="")
    if shutil.which("strip"):
        stripped = os.path.join(directory, "stripped")
        subprocess.run(["strip", "-o", stripped, program], check=True)
        print(f", stripped {os.path.getsize(stripped) / 1e6:.1f} MB", end="")
    print()
PYTHON
