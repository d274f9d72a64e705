//! The test request (`--send`), and what became of its copies (`--admin`).

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use http::Method;
use serde::Serialize;
use spop_proto::Value;

use super::agent::{Peer, Trouble};
use crate::admin::view::{CountersView, StatusView, TargetView};
use crate::outcome::{DropClass, DropReason};
use crate::remote::Client;

/// The header that marks the test request, and holds its id.
pub(super) const MARKER: &str = "x-spoa-mirror-doctor";

/// Where it goes unless another place is named: no application has it.
pub(super) const USUAL_PATH: &str = "/spoa-mirror-doctor";

/// Its host unless the URL has one: a name that cannot exist (RFC 2606).
const USUAL_HOST: &str = "spoa-mirror-doctor.invalid";

/// How long to wait for the ends of the copies: as long as one may take by default, and a little.
const PATIENCE: Duration = Duration::from_secs(12);

/// Between two looks at the counters.
const PAUSE: Duration = Duration::from_millis(50);

/// A harmless GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestRequest {
    pub(super) id: String,
    url: String,
    host: String,
}

/// What became of the test request's copy for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Copy {
    pub(super) target: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// How a copy ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The target answered, with a status of this class.
    Answered(String),
    /// It was sent, or should have been, and there is no answer: the cause.
    Failed(String),
    /// It was not to be sent: the reason.
    NotSent(String),
    /// It had not ended when we stopped waiting.
    Unended,
    /// Other requests came at the same time, and did not all end in the same way.
    Unclear(String),
    /// The target was not offered it.
    NotReceived,
}

impl TestRequest {
    /// To a URL: a path, or `http://HOST/PATH`.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let fine = url.len() <= 2000 && url.bytes().all(|byte| byte.is_ascii_graphic());
        let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let (host, path) = match rest {
            Some(rest) => rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)),
            None => (USUAL_HOST, url),
        };
        if !fine || !path.starts_with('/') || host.is_empty() || host.contains('@') {
            return Err("a path such as /health, or http://HOST/PATH".to_owned());
        }
        Ok(Self { id: random_id(), url: path.to_owned(), host: host.to_owned() })
    }

    /// Sends it, as HAProxy's guide has it do.
    ///
    /// # Errors
    /// The agent does not acknowledge it.
    pub(super) async fn send(&self, peer: &mut Peer) -> Result<Duration, Trouble> {
        let headers = [
            ("host", self.host.as_str()),
            ("user-agent", "spoa-mirror doctor"),
            (MARKER, &self.id),
        ];
        let mut block = Vec::new();
        let pairs = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        spop_proto::encode_header_block(pairs, &mut block);
        let arguments: [(&[u8], Value<'_>); 5] = [
            (b"arg_method", Value::String(b"GET")),
            (b"arg_path", Value::String(self.url.as_bytes())),
            (b"arg_ver", Value::String(b"1.1")),
            (b"arg_hdrs", Value::Binary(&block)),
            (b"arg_body", Value::Binary(b"")),
        ];
        peer.notify("mirror", &arguments).await
    }
}

/// The agent's counters.
///
/// # Errors
/// Its admin API does not tell them.
pub(super) async fn counters(admin: &Client) -> Result<StatusView, String> {
    let body = admin.ask(Method::GET, "/api/v1/status").await?;
    serde_json::from_slice(&body).map_err(|error| {
        format!("{}: the answer is not what an agent of this version says: {error}", admin.place())
    })
}

/// Waits until the copies that came since `before` have ended, and tells of each target what became of them;
/// `None` if the agent asked has received nothing.
///
/// # Errors
/// The admin API does not tell.
pub(super) async fn outcomes(
    admin: &Client,
    before: &StatusView,
) -> Result<Option<Vec<Copy>>, String> {
    let end = Instant::now() + PATIENCE;
    let mut first: Option<StatusView> = None;
    loop {
        let now = counters(admin).await?;
        let late = Instant::now() >= end;
        let received = now.spop.requests > before.spop.requests;
        if received && first.is_none() {
            first = Some(now.clone());
        }
        if let Some(first) = &first {
            let windows: Vec<_> =
                now.targets.iter().map(|now| Window::new(before, first, now)).collect();
            if late || windows.iter().all(Window::is_over) {
                return Ok(Some(windows.iter().map(Window::copy).collect()));
            }
        } else if late {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a drop is what the configuration or an operator wants.
pub(super) fn is_wanted(reason: &str) -> bool {
    let reason = DropReason::ALL.iter().find(|other| other.label() == reason);
    reason.is_some_and(|reason| reason.class() == DropClass::Configured)
}

/// A target's copies from before the test request to now. Counters do not tell one copy from another: where
/// others came at the same time, what became of ours is known only if they all ended in the same way.
struct Window<'a> {
    now: &'a TargetView,
    /// Copies that had not ended before.
    open: u64,
    /// Copies that came until the test request had.
    received: u64,
    /// How copies ended since, and how many did so.
    ends: Vec<(Outcome, u64)>,
}

impl<'a> Window<'a> {
    fn new(before: &StatusView, first: &StatusView, now: &'a TargetView) -> Self {
        let counters = |status: &StatusView| {
            let of_target = status.targets.iter().find(|target| target.name == now.name);
            of_target.map(|target| target.counters.clone()).unwrap_or_default()
        };
        let (before, first) = (counters(before), counters(first));
        Self {
            now,
            open: before.waiting + before.in_flight,
            received: first.received.saturating_sub(before.received),
            ends: ends(&before, &now.counters),
        }
    }

    fn ended(&self) -> u64 {
        self.ends.iter().map(|(_, count)| count).sum()
    }

    fn is_over(&self) -> bool {
        let quiet = self.now.counters.waiting + self.now.counters.in_flight == 0;
        quiet || self.ended() >= self.open + self.received
    }

    fn copy(&self) -> Copy {
        let outcome = match self.ends.as_slice() {
            _ if self.received == 0 => Outcome::NotReceived,
            [(outcome, _)] if self.is_over() => outcome.clone(),
            [] => Outcome::Unended,
            several => {
                let told =
                    several.iter().map(|(outcome, count)| format!("{count} {}", outcome.told()));
                Outcome::Unclear(told.collect::<Vec<_>>().join(", "))
            }
        };
        Copy { target: self.now.name.clone(), outcome }
    }
}

impl Outcome {
    /// In words that follow "the copy was".
    pub(super) fn told(&self) -> String {
        match self {
            Self::Answered(class) => format!("answered {class}"),
            Self::Failed(cause) => format!("failed: {cause}"),
            Self::NotSent(reason) => format!("not sent: {reason}"),
            Self::Unended => "not ended yet".to_owned(),
            Self::Unclear(ends) => format!("one of several: {ends}"),
            Self::NotReceived => "not offered to it".to_owned(),
        }
    }
}

fn ends(before: &CountersView, now: &CountersView) -> Vec<(Outcome, u64)> {
    let more = |was: &BTreeMap<String, u64>,
                is: &BTreeMap<String, u64>,
                outcome: fn(String) -> Outcome| {
        let grown = is.iter().filter_map(|(label, count)| {
            let more = count.saturating_sub(was.get(label).copied().unwrap_or(0));
            (more > 0).then(|| (outcome(label.clone()), more))
        });
        grown.collect::<Vec<_>>()
    };
    [
        more(&before.answered, &now.answered, Outcome::Answered),
        more(&before.failed, &now.failed, Outcome::Failed),
        more(&before.dropped, &now.dropped, Outcome::NotSent),
    ]
    .concat()
}

/// Sixteen hexadecimal digits that no other test request has.
fn random_id() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_request_goes_to_a_path_or_a_host() {
        let parts = |url: &str| TestRequest::new(url).map(|request| (request.host, request.url));
        let expected = |host: &str, path: &str| Ok((host.to_owned(), path.to_owned()));
        assert_eq!(parts("/a?b"), expected(USUAL_HOST, "/a?b"));
        assert_eq!(parts("http://shop.example/a"), expected("shop.example", "/a"));
        assert_eq!(parts("https://shop.example:1"), expected("shop.example:1", "/"));
        for bad in ["", "a", "http://", "http:///a", "http://u:p@h/", "/a b", "/a\r\nx: y"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
        assert_ne!(TestRequest::new("/").unwrap().id, TestRequest::new("/").unwrap().id);
    }

    #[test]
    fn reasons_are_told_apart_from_troubles() {
        assert!(is_wanted("paused") && is_wanted("not-sampled") && is_wanted("not-matched"));
        assert!(!is_wanted("queue-full") && !is_wanted("breaker-open") && !is_wanted("new-reason"));
    }

    #[test]
    fn what_became_of_the_copy_is_only_told_where_it_can_be_known() {
        let counts = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
            pairs.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
        };
        let now = |ends: Vec<(Outcome, u64)>, received, open, in_flight| {
            let mut target: TargetView = serde_json::from_value(serde_json::json!({
                "name": "t", "url": "http://t", "overrides": [],
                "settings": {"paused": false, "sample_percent": 100.0, "rate": "none", "burst": 0,
                             "in_flight": 1, "queue": 1, "queue_bytes": 1, "max_age": "5s"},
                "breaker": null, "adaptive_in_flight": null, "counters": CountersView::default(),
            }))
            .unwrap();
            target.counters.in_flight = in_flight;
            Window { now: &target, open, received, ends }.copy().outcome
        };
        let answered = || Outcome::Answered("2xx".to_owned());
        let failed = || Outcome::Failed("timeout".to_owned());
        assert_eq!(now(vec![(answered(), 1)], 1, 0, 0), answered());
        assert_eq!(now(vec![(answered(), 9)], 5, 2, 3), answered());
        assert_eq!(now(vec![], 1, 0, 1), Outcome::Unended);
        assert_eq!(now(vec![], 0, 0, 0), Outcome::NotReceived);
        // The one that is under way may be ours.
        assert!(matches!(now(vec![(answered(), 1)], 2, 0, 1), Outcome::Unclear(_)));
        assert!(matches!(now(vec![(answered(), 1), (failed(), 1)], 2, 0, 0), Outcome::Unclear(_)));

        let before = CountersView { answered: counts(&[("2xx", 3)]), ..CountersView::default() };
        let after = CountersView {
            answered: counts(&[("2xx", 3)]),
            failed: counts(&[("timeout", 1)]),
            ..CountersView::default()
        };
        assert_eq!(ends(&before, &after), [(failed(), 1)]);
    }
}
