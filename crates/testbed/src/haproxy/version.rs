//! The versions of HAProxy that the tests run against, and where their executables are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// A version of HAProxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 2.6, of Debian 12.
    V2_6,
    /// 3.0, of Debian 13: the last one with the old SPOE.
    V3_0,
    /// 3.2: SPOE on a multiplexer.
    V3_2,
    /// 3.4.
    V3_4,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V2_6, Self::V3_0, Self::V3_2, Self::V3_4];

    /// Its name, such as `2.6`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2_6 => "2.6",
            Self::V3_0 => "3.0",
            Self::V3_2 => "3.2",
            Self::V3_4 => "3.4",
        }
    }

    /// Does it know `mode spop`, the backend mode of the rewritten SPOE (from 3.1 on)?
    pub fn has_mode_spop(self) -> bool {
        self >= Self::V3_2
    }

    /// Does it know the `program` section (until 3.2, which wants `expose-deprecated-directives` in its
    /// `global` section)?
    pub fn has_program_section(self) -> bool {
        self <= Self::V3_2
    }

    /// The executable, fetched by `scripts/haproxy.sh` if it is not in the cache.
    ///
    /// # Panics
    /// When it cannot be fetched; the script has told why on standard error.
    pub fn executable(self) -> PathBuf {
        static KNOWN: OnceLock<Mutex<HashMap<Version, PathBuf>>> = OnceLock::new();
        let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
        known.entry(self).or_insert_with(|| self.fetch()).clone()
    }

    /// The directory of its manuals, as plain texts, and of the examples that come with it.
    ///
    /// # Panics
    /// When they are not beside the executable, because that was not fetched by `scripts/haproxy.sh`.
    pub fn manuals(self) -> PathBuf {
        let manuals = self.executable().with_file_name("doc");
        assert!(manuals.is_dir(), "{} is missing: put HAProxy's manuals there", manuals.display());
        manuals
    }

    fn fetch(self) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/haproxy.sh");
        let output = Command::new(&script)
            .arg(self.name())
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", script.display()));
        assert!(output.status.success(), "{} {self} failed: {}", script.display(), output.status);
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
