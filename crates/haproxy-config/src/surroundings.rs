//! What a configuration's meaning depends on besides its text.

use std::fmt;

/// What the caller knows of the HAProxy that would read the file.
pub struct Surroundings<'a> {
    /// The file's name, which the configuration sees as `${.FILE}`.
    pub file: &'a str,
    /// The value of an environment variable, if it is set. The default knows none.
    pub variable: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// HAProxy's version. Without it, conditions about versions are undecided.
    pub version: Option<Version>,
}

/// A version of HAProxy. Of one without a patch, what depends on the patch is undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// 3 of 3.2.1.
    pub major: u32,
    /// 2 of 3.2.1.
    pub minor: u32,
    /// 1 of 3.2.1.
    pub patch: Option<u32>,
}

impl Default for Surroundings<'_> {
    fn default() -> Self {
        Self { file: "haproxy.cfg", variable: &|_| None, version: None }
    }
}

// Says nothing of variables, whose values may be secrets.
impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Surroundings")
            .field("file", &self.file)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
