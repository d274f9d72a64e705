//! Where a request came in, and from whom.

/// A listener, as the requests that come through it are judged.
#[derive(Debug)]
pub(super) struct Door {
    /// Its address, for people.
    pub(super) address: String,
    /// The host that the configuration names; none for a unix socket.
    pub(super) host: Option<String>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Its address, or its user where it came through a unix socket.
    pub(super) name: String,
    /// The listener that it came through.
    pub(super) door: std::sync::Arc<Door>,
}
