//! Which requests are copied: one answer for each target, with one reason for each refusal. No I/O.

mod matching;
mod patterns;
pub mod redact;
#[cfg(test)]
mod reference;
pub mod rewrite;
pub mod sample;
pub mod view;

use std::cell::{RefCell, RefMut};

use crate::comparison::{Opened, Turn};
use crate::config::{Marker, Share, TargetConfig, TruncatedBody};
use crate::exchange::{Completeness, Exchange, Facts, HeaderError};
use crate::outcome::DropReason;

use matching::{Answers, Matcher};
use sample::{LastKey, Places, Samples};
use view::View;

/// A request that targets are asked about, with what is found out once for all of them.
pub struct Request<'a> {
    /// What HAProxy told us.
    pub exchange: Exchange<'a>,
    /// What the headers say.
    pub facts: Result<Facts<'a>, HeaderError>,
    /// Whether the body is whole.
    pub completeness: Completeness,
    /// The request as rules look at it.
    pub view: View<'a>,
    /// There when answers to it are to be compared.
    pub opened: Option<&'a Opened<'a>>,
    /// A random number, see [`Chance`](sample::Chance).
    pub draw: u64,
}

impl<'a> Request<'a> {
    /// Makes `exchange` ready to be asked about.
    #[must_use]
    pub fn new(
        exchange: &Exchange<'a>,
        facts: Result<Facts<'a>, HeaderError>,
        completeness: Completeness,
        draw: u64,
    ) -> Self {
        Self {
            exchange: *exchange,
            facts,
            completeness,
            view: View::new(exchange),
            opened: None,
            draw,
        }
    }
}

/// The rules of all targets: which requests each of them wants.
#[derive(Debug, Clone)]
pub struct Rules {
    matcher: Matcher,
    samples: Samples,
}

impl Rules {
    /// Makes the rules of `targets` ready.
    #[must_use]
    pub fn new(targets: &[&TargetConfig]) -> Self {
        Self { matcher: Matcher::new(targets), samples: Samples::new(targets) }
    }
}

/// Rules with room for what they find out of a request; each worker has its own.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    findings: RefCell<(Answers, Places)>,
}

/// A request that the rules are asked about, target by target; what one asks for, others need not
/// look for again.
pub struct Hearing<'j, 'a> {
    rules: &'j Rules,
    request: &'j Request<'a>,
    findings: RefMut<'j, (Answers, Places)>,
    last_key: LastKey<'a>,
}

impl Judge {
    /// Judges by `rules`.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let findings = RefCell::new((rules.matcher.answers(), rules.samples.places()));
        Self { rules, findings }
    }

    /// Takes up a request; one at a time.
    #[inline]
    #[must_use]
    pub fn hear<'j, 'a>(&'j self, request: &'j Request<'a>) -> Hearing<'j, 'a> {
        let mut findings = self.findings.borrow_mut();
        findings.0.clear();
        findings.1.clear();
        Hearing { rules: &self.rules, request, findings, last_key: None }
    }
}

impl Hearing<'_, '_> {
    /// Whether the target of this number wants the request, of which it gets `share` of those that
    /// match.
    ///
    /// # Errors
    /// Why it does not.
    #[inline]
    pub fn wanted(&mut self, target: usize, share: Share) -> Result<(), DropReason> {
        let (request, (answers, places)) = (self.request, &mut *self.findings);
        let whole = request.facts.is_ok();
        if !self.rules.matcher.wants(target, &request.view, whole, answers) {
            return Err(DropReason::NotMatched);
        }
        if !self.rules.samples.takes(target, share, request, places, &mut self.last_key) {
            return Err(DropReason::NotSampled);
        }
        Ok(())
    }
}

/// How an approved copy is marked and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// How often the request has been copied, this time included.
    pub hops: u32,
    /// Whether a part of the body is missing.
    pub truncated: bool,
    /// Whether the body is left out.
    pub headers_only: bool,
    /// Which of `copies` copies of the request it is, from 1.
    pub number: u32,
    /// How many copies of the request the target gets; one that is sent twice for the control is one.
    pub copies: u32,
    /// What it is for comparison, if its answer is compared.
    pub turn: Option<Turn>,
}

/// Decides whether a request that a target wants is copied to it: what is not wanted is refused as
/// such before, whatever else is wrong with it. The approval is for one copy.
///
/// # Errors
/// Why it is not.
pub fn approve(
    request: &Request<'_>,
    target: &TargetConfig,
    marker: &Marker,
) -> Result<Approval, DropReason> {
    let facts = request.facts.as_ref().map_err(|error| match error {
        HeaderError::Truncated => DropReason::TruncatedHeaders,
        HeaderError::Malformed => DropReason::Malformed,
    })?;
    if request.exchange.method == b"CONNECT" {
        return Err(DropReason::Connect);
    }
    if facts.upgrade {
        return Err(DropReason::Upgrade);
    }
    let hops = facts.marker.map_or(0, hops_of);
    if hops >= marker.max_hops {
        return Err(DropReason::Loop);
    }
    if target.max_body.is_some_and(|most| known_length(request) > most) {
        return Err(DropReason::BodyTooLarge);
    }
    let mut approval = Approval {
        hops: hops + 1,
        truncated: true,
        headers_only: false,
        number: 1,
        copies: 1,
        turn: Some(Turn::Only),
    };
    match request.completeness {
        // What an earlier copy was cut short by is still missing.
        Completeness::Complete => approval.truncated = facts.marker.is_some_and(is_truncated),
        Completeness::Overlong => return Err(DropReason::Malformed),
        Completeness::Truncated { .. } | Completeness::Unknown => match target.truncated_body {
            TruncatedBody::Skip => return Err(DropReason::TruncatedBody),
            TruncatedBody::Send => {}
            TruncatedBody::HeadersOnly => approval.headers_only = true,
        },
    }
    Ok(approval)
}

/// The length of the body as far as it is known, in bytes: what came of it, or what is to come.
fn known_length(request: &Request<'_>) -> u64 {
    let received = request.exchange.body.bytes.len() as u64;
    match request.completeness {
        Completeness::Truncated { expected } => expected.max(received),
        _ => received,
    }
}

/// The number of hops in a marker's value. One that cannot be read is taken for one hop: somebody
/// marked the request.
fn hops_of(value: &[u8]) -> u32 {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|digit| u32::from(digit - b'0'))
        .reduce(|hops, digit| hops.saturating_mul(10).saturating_add(digit))
        .unwrap_or(1)
}

/// Whether a marker's value says that a part of the body is missing.
fn is_truncated(value: &[u8]) -> bool {
    let mut parameters = value.split(|&byte| byte == b';').skip(1);
    parameters.any(|parameter| parameter.trim_ascii() == b"body=truncated")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::tests_support::{Asked, with_request};
    use super::*;
    use crate::config::tests_support::target;
    use crate::config::{Key, Match, Pattern, Sample};

    const WHOLE: Completeness = Completeness::Complete;
    const CUT: Completeness = Completeness::Truncated { expected: 100 };

    fn marker() -> Marker {
        Marker { name: Some("x-shadow".to_owned()), max_hops: 1 }
    }

    fn answer(config: &TargetConfig, asked: &Asked<'_>) -> Result<Approval, DropReason> {
        with_request(asked, |request| decide(request, config, config.sample.share))
    }

    fn decide(
        request: &Request<'_>,
        config: &TargetConfig,
        share: Share,
    ) -> Result<Approval, DropReason> {
        let judge = Judge::new(Rules::new(&[config]));
        judge.hear(request).wanted(0, share)?;
        approve(request, config, &marker())
    }

    /// A target for requests of the path `/a` that have the header `x-beta`.
    fn picky() -> TargetConfig {
        let matching = Match {
            path: vec![Pattern::parse("/a").unwrap()],
            headers: vec![("x-beta".to_owned(), vec![Pattern::parse("*").unwrap()])],
            ..Match::default()
        };
        TargetConfig { matching, ..target("http://t") }
    }

    #[test]
    fn what_a_target_does_not_want_is_nothing_else() {
        let bad: [(Asked<'_>, DropReason); 6] = [
            (Asked { method: b"CONNECT", ..Asked::default() }, DropReason::Connect),
            (
                Asked { headers: b"upgrade: websocket\r\n\r\n", ..Asked::default() },
                DropReason::Upgrade,
            ),
            (Asked { headers: b"x-shadow: 1\r\n\r\n", ..Asked::default() }, DropReason::Loop),
            (Asked { headers: b"x y: 1\r\n\r\n", ..Asked::default() }, DropReason::Malformed),
            (Asked { headers: b"x-cut: ", ..Asked::default() }, DropReason::TruncatedHeaders),
            (Asked { completeness: CUT, ..Asked::default() }, DropReason::TruncatedBody),
        ];
        let elsewhere =
            Match { path: vec![Pattern::parse("/elsewhere").unwrap()], ..Match::default() };
        let here = Match { path: vec![Pattern::parse("/").unwrap()], ..Match::default() };
        for (asked, reason) in bad {
            let mut config = target("http://t");
            assert_eq!(answer(&config, &asked), Err(reason));
            config.sample.share = Share::NONE;
            assert_eq!(answer(&config, &asked), Err(DropReason::NotSampled));
            config.except = Some(here.clone());
            assert_eq!(answer(&config, &asked), Err(DropReason::NotMatched));
            config.except = None;
            config.matching = elsewhere.clone();
            assert_eq!(answer(&config, &asked), Err(DropReason::NotMatched));
        }
    }

    #[test]
    fn except_takes_away_from_what_matches() {
        let beta = Asked { url: b"/a", headers: b"x-beta: 1\r\n\r\n", ..Asked::default() };
        let mut config = picky();
        assert!(answer(&config, &beta).is_ok());
        config.except = Some(Match { methods: vec!["GET".to_owned()], ..Match::default() });
        assert_eq!(answer(&config, &beta), Err(DropReason::NotMatched));
        assert!(answer(&config, &Asked { method: b"HEAD", ..beta }).is_ok());
    }

    /// A header that a rule looks for may be among those that HAProxy cut off: the request is not
    /// taken for one that the rule leaves out.
    #[test]
    fn cut_headers_do_not_pass_for_a_rule_that_is_not_met() {
        let cut = Asked { url: b"/a", headers: b"cookie: a=", ..Asked::default() };
        assert_eq!(answer(&picky(), &cut), Err(DropReason::TruncatedHeaders));
        let elsewhere = Asked { url: b"/b", ..cut };
        assert_eq!(answer(&picky(), &elsewhere), Err(DropReason::NotMatched));
        let except = TargetConfig { except: Some(picky().matching), ..target("http://t") };
        assert_eq!(answer(&except, &cut), Err(DropReason::TruncatedHeaders));
        let whole = Asked { url: b"/a", headers: b"\r\n", ..cut };
        assert_eq!(answer(&picky(), &whole), Err(DropReason::NotMatched));
    }

    #[test]
    fn bodies_over_the_limit_are_not_copied() {
        let config = TargetConfig { max_body: Some(10), ..target("http://t") };
        let length = |body, completeness| Asked { body, completeness, ..Asked::default() };
        assert!(answer(&config, &length(b"0123456789", WHOLE)).is_ok());
        let too_large = Err(DropReason::BodyTooLarge);
        assert_eq!(answer(&config, &length(b"0123456789a", WHOLE)), too_large);
        assert_eq!(answer(&config, &length(b"0123456789a", Completeness::Unknown)), too_large);
        assert_eq!(answer(&config, &length(b"", CUT)), too_large);
        let unknown = answer(&config, &length(b"01234", Completeness::Unknown));
        assert_eq!(unknown, Err(DropReason::TruncatedBody));
    }

    #[test]
    fn what_becomes_of_a_part_of_a_body() {
        let of = |truncated_body, completeness| {
            let config = TargetConfig { truncated_body, ..target("http://t") };
            answer(&config, &Asked { completeness, body: b"part", ..Asked::default() })
        };
        for completeness in [CUT, Completeness::Unknown] {
            assert_eq!(of(TruncatedBody::Skip, completeness), Err(DropReason::TruncatedBody));
            let approval = Approval {
                hops: 1,
                truncated: true,
                headers_only: false,
                number: 1,
                copies: 1,
                turn: Some(Turn::Only),
            };
            assert_eq!(of(TruncatedBody::Send, completeness), Ok(approval));
            let approval = Approval { headers_only: true, ..approval };
            assert_eq!(of(TruncatedBody::HeadersOnly, completeness), Ok(approval));
        }
        let approval = of(TruncatedBody::HeadersOnly, WHOLE).unwrap();
        assert!(!approval.truncated && !approval.headers_only);
    }

    /// Every target that wants a tenth by chance wants the same tenth, and one that wants a half
    /// wants that tenth as well.
    #[test]
    fn targets_share_one_draw() {
        let sampled = |percent| {
            let sample = Sample { share: Share::percent(percent).unwrap(), ..Sample::default() };
            TargetConfig { sample, ..target("http://t") }
        };
        let mut tenths = 0;
        for draw in 0..1000 {
            let asked = Asked { draw, ..Asked::default() };
            let [tenth, again, half] =
                [10.0, 10.0, 50.0].map(|percent| answer(&sampled(percent), &asked).is_ok());
            assert_eq!(tenth, again);
            assert!(!tenth || half);
            tenths += u32::from(tenth);
        }
        assert!((50..150).contains(&tenths), "{tenths}");
    }

    #[test]
    fn the_share_in_force_counts_and_not_the_configured_one() {
        let mut config = target("http://t");
        config.sample.by = Some(Key::Header("x-user".to_owned()));
        let asked = Asked { headers: b"x-user: a\r\n\r\n", ..Asked::default() };
        with_request(&asked, |request| {
            let with = |share| decide(request, &config, share);
            assert_eq!(with(Share::NONE), Err(DropReason::NotSampled));
            assert!(with(Share::ALL).is_ok());
        });
    }

    #[test]
    fn hops_are_read_from_the_marker() {
        assert_eq!(hops_of(b"1"), 1);
        assert_eq!(hops_of(b"2; body=truncated"), 2);
        assert_eq!(hops_of(b"1; copy=2/3"), 1);
        assert_eq!(hops_of(b"yes"), 1);
        assert_eq!(hops_of(b""), 1);
        assert_eq!(hops_of(b"99999999999"), u32::MAX);
    }
}

/// Requests for unit tests here and below.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests_support {
    use spop_proto::{Messages, Value, encode_message};

    use super::*;
    use crate::exchange::{Body, Headers, RequestTarget, Version};

    /// A request.
    #[derive(Clone, Copy)]
    pub(crate) struct Asked<'a> {
        pub(crate) method: &'a [u8],
        pub(crate) url: &'a [u8],
        /// As text lines.
        pub(crate) headers: &'a [u8],
        pub(crate) body: &'a [u8],
        pub(crate) completeness: Completeness,
        pub(crate) arguments: &'a [(&'a [u8], Value<'a>)],
        pub(crate) draw: u64,
    }

    impl Default for Asked<'_> {
        fn default() -> Self {
            Self {
                method: b"GET",
                url: b"/",
                headers: b"\r\n",
                body: b"",
                completeness: Completeness::Complete,
                arguments: &[],
                draw: 0,
            }
        }
    }

    pub(crate) fn with_request<T>(asked: &Asked<'_>, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let mut payload = Vec::new();
        encode_message(b"mirror", asked.arguments, &mut payload);
        let exchange = Exchange {
            method: asked.method,
            target: RequestTarget::from_url(asked.url),
            version: Version::Http11,
            headers: Headers::Text(asked.headers),
            body: Body { bytes: asked.body, given: true, stated_size: None },
            id: None,
            message: Messages::new(&payload, 0).next().unwrap().unwrap(),
        };
        let facts = Facts::gather(&exchange.headers, Some("x-shadow"));
        look(&Request::new(&exchange, facts, asked.completeness, asked.draw))
    }

    pub(crate) fn with_view<T>(
        method: &[u8],
        url: &[u8],
        headers: &[u8],
        arguments: &[(&[u8], Value<'_>)],
        look: impl FnOnce(&View<'_>) -> T,
    ) -> T {
        let asked = Asked { method, url, headers, arguments, ..Asked::default() };
        with_request(&asked, |request| look(&request.view))
    }
}
