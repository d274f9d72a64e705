//! What is known of HAProxy's version. Where it is not known, a rule says what holds for which.

use std::fmt;

use haproxy_config::Version;

/// HAProxy's version, or that it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known(pub(crate) Option<Version>);

impl Known {
    /// Whether it is, or may be, this version or a later one.
    pub(crate) fn may_be_since(self, version: (u32, u32)) -> bool {
        self.0.is_none_or(|known| (known.major, known.minor) >= version)
    }

    /// Whether it is, or may be, earlier than this version.
    pub(crate) fn may_be_before(self, version: (u32, u32)) -> bool {
        self.0.is_none_or(|known| (known.major, known.minor) < version)
    }

    /// Whether it is known to be this version or a later one.
    pub(crate) fn is_since(self, version: (u32, u32)) -> bool {
        !self.may_be_before(version)
    }

    /// Whether it is known to be earlier than this version.
    pub(crate) fn is_before(self, version: (u32, u32)) -> bool {
        !self.may_be_since(version)
    }
}

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(out, "HAProxy of an unknown version"),
            Some(Version { major, minor, patch: Some(patch), .. }) => {
                write!(out, "HAProxy {major}.{minor}.{patch}")
            }
            Some(Version { major, minor, .. }) => write!(out, "HAProxy {major}.{minor}"),
        }
    }
}
