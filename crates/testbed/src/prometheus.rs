//! Prometheus and promtool, of Debian 12.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The directory that holds `promtool` and `prometheus`, fetched by `scripts/prometheus.sh` if they are not
/// in the cache.
///
/// # Panics
/// When they cannot be fetched; the script has told why on standard error.
pub fn programs() -> &'static Path {
    static KNOWN: OnceLock<PathBuf> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/prometheus.sh");
        let output = Command::new(&script)
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", script.display()));
        assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
    })
}
