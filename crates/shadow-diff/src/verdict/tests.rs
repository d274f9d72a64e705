use super::*;
use crate::books::{BookLimits, Observation, Series};
use crate::endpoint::EndpointLimits;
use crate::{Difference, Kind};

/// A run of made-up pairs.
struct Run {
    endpoints: Endpoints,
    books: Books,
    chance: u64,
}

/// What a pair of a run is like.
#[derive(Clone, Copy)]
struct Traffic {
    method: &'static str,
    path: &'static str,
    pairs: u64,
    /// Whether the control has as many.
    control: bool,
    /// The share of the candidate's pairs, and of the control's, that differ at `$.price`.
    differing: (f64, f64),
    /// The share of the shadow's answers that are errors, and of production's.
    errors: (f64, f64),
    /// How much longer the shadow takes than production's 1 to 100 ms.
    slower: f64,
}

const CALM: Traffic = Traffic {
    method: "GET",
    path: "/products/17",
    pairs: 2_000,
    control: true,
    differing: (0.0, 0.0),
    errors: (0.0, 0.0),
    slower: 1.0,
};

impl Run {
    fn of(traffic: &[Traffic]) -> Self {
        let endpoints = Endpoints::new(EndpointLimits::default(), Vec::new()).unwrap();
        let books = Books::new("test", BookLimits::default(), 7);
        let mut run = Self { endpoints, books, chance: 42 };
        for number in 0..traffic.iter().map(|traffic| traffic.pairs).max().unwrap_or(0) {
            for traffic in traffic.iter().filter(|traffic| number < traffic.pairs) {
                run.record(traffic, number);
            }
        }
        run
    }

    fn draw(&mut self) -> f64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn record(&mut self, traffic: &Traffic, number: u64) {
        let endpoint =
            self.endpoints.assign(traffic.method.as_bytes(), traffic.path.as_bytes()).endpoint;
        let price = [Difference {
            place: Place::Body("$.price".into()),
            kind: Kind::Value,
            production: None,
            shadow: None,
        }];
        let time = 1.0 + 99.0 * self.draw();
        let milliseconds = |milliseconds: f64| Some(Duration::from_secs_f64(milliseconds / 1e3));
        let shadow_time = (1.0 + 99.0 * self.draw()) * traffic.slower;
        for (series, rate) in
            [(Series::Candidate, traffic.differing.0), (Series::Control, traffic.differing.1)]
        {
            let differs = self.draw() < rate;
            let (shadow_error, production_error) =
                (self.draw() < traffic.errors.0, self.draw() < traffic.errors.1);
            if series == Series::Control && !traffic.control {
                continue;
            }
            let observation = Observation {
                endpoint,
                differences: if differs { &price } else { &[] },
                bodies: true,
                unlisted: false,
                production_status: if production_error { 500 } else { 200 },
                shadow_status: (!shadow_error).then_some(200),
                production_time: milliseconds(time),
                shadow_time: milliseconds(shadow_time),
                sample: SampleId(number),
            };
            self.books.record(series, &observation);
        }
    }

    fn verdict(&self, thresholds: &Thresholds) -> Verdict {
        verdict(&self.books, &self.endpoints, thresholds)
    }
}

fn with_control() -> Thresholds {
    let latency = LatencyThresholds {
        p50: Some(1.5),
        p95: Some(1.5),
        p99: Some(2.0),
        ..LatencyThresholds::default()
    };
    Thresholds { control_pairs: 100, latency, ..Thresholds::default() }
}

fn causes(verdict: &Verdict) -> Vec<(&str, &'static str)> {
    let row = |reason: &'_ Reason| match reason.cause {
        Cause::Errors { .. } => "errors",
        Cause::Difference(_) => "difference",
        Cause::Latency { .. } => "latency",
    };
    verdict.reasons.iter().map(|reason| (reason.endpoint.as_str(), row(reason))).collect()
}

#[test]
fn equal_versions_pass() {
    let noisy = Traffic { path: "/news", differing: (0.3, 0.3), errors: (0.02, 0.02), ..CALM };
    let verdict = Run::of(&[CALM, noisy]).verdict(&with_control());
    assert_eq!(verdict.answer, Answer::Pass, "{verdict}");
    assert_eq!((verdict.requests, verdict.reasons.len(), verdict.gaps.len()), (4_000, 0, 0));
}

#[test]
fn planted_changes_are_the_reasons_in_order_of_weight() {
    let verdict = Run::of(&[
        CALM,
        Traffic { path: "/slow", slower: 3.0, ..CALM },
        Traffic { path: "/price", differing: (0.05, 0.0), ..CALM },
        Traffic { path: "/news", differing: (0.9, 0.3), ..CALM },
        Traffic { path: "/broken", errors: (0.03, 0.001), ..CALM },
    ])
    .verdict(&with_control());
    assert_eq!(verdict.answer, Answer::Fail);
    let expected = [
        ("GET /broken", "errors"),
        ("GET /news", "difference"),
        ("GET /price", "difference"),
        ("GET /slow", "latency"),
        ("GET /slow", "latency"),
        ("GET /slow", "latency"),
    ];
    assert_eq!(causes(&verdict), expected, "{verdict}");
    assert_eq!(verdict.reasons[2].samples.len(), 5);
    let Cause::Difference(finding) = &verdict.reasons[2].cause else { panic!("{verdict}") };
    assert!(finding.interval.low < 0.05 && finding.interval.high > 0.05, "{finding:?}");
    assert!(finding.at_least > 0.01 && finding.at_least < 0.05, "{finding:?}");
    let Cause::Latency { ratio, .. } = &verdict.reasons[3].cause else { panic!("{verdict}") };
    assert!(ratio.low < 3.0 && ratio.high > 3.0 && ratio.low > 2.0, "{ratio:?}");
}

#[test]
fn thresholds_allow_what_they_say() {
    let run = Run::of(&[
        Traffic { differing: (0.05, 0.0), ..CALM },
        Traffic { path: "/broken", errors: (0.03, 0.0), ..CALM },
        Traffic { path: "/slow", slower: 3.0, ..CALM },
    ]);
    let thresholds = Thresholds {
        difference_rate: 0.1,
        error_rate_increase: 0.1,
        latency: LatencyThresholds { slack: Duration::from_secs(1), ..with_control().latency },
        ..with_control()
    };
    assert_eq!(run.verdict(&thresholds).answer, Answer::Pass);

    let strict = Thresholds { difference_rate: 0.01, error_rate_increase: 0.01, ..with_control() };
    assert_eq!(run.verdict(&strict).reasons.len(), 5);
    // Over the rate, but not surely.
    let near =
        Thresholds { difference_rate: 0.045, error_rate_increase: 0.025, ..thresholds.clone() };
    assert_eq!(run.verdict(&near).answer, Answer::Pass);

    for (endpoint, place, reasons) in [
        ("*", "$.price", 4),
        ("*", "$", 4),
        ("*", "*", 4),
        ("GET /products/{id}", "$..price", 4),
        ("GET /products*", "$.*", 4),
        ("GET /other", "$.price", 5),
        ("*", "header *", 5),
        ("*", "$.pric", 5),
        ("*", "status", 5),
    ] {
        let allowed = vec![Allowed::new(endpoint, place).unwrap()];
        let thresholds = Thresholds { allowed, ..with_control() };
        assert_eq!(run.verdict(&thresholds).reasons.len(), reasons, "{endpoint} {place}");
    }
    let mistake = Allowed::new("*", "$.a]").unwrap_err();
    assert_eq!(mistake.at, 3);
    assert!(Allowed::new("", "status").is_err());
}

#[test]
fn places_are_allowed_as_rules_ignore_them() {
    for (place, pattern, allows) in [
        (Place::Status, "status", true),
        (Place::Status, "$", false),
        (Place::Header("x-build".into()), "header X-*", true),
        (Place::Header("etag".into()), "header x-*", false),
        (Place::Body("$.items[].price".into()), "$.items", true),
        (Place::Body("$.items[].price".into()), "$.items[].price", true),
        (Place::Body("$.items[].price".into()), "$..price", true),
        (Place::Body("$.items[].price".into()), "$.items[].name", false),
        (Place::Body("$.by{}[\"a b\"]".into()), "$.by{}['a b']", true),
        (Place::Body("$".into()), "$", true),
        (Place::Body("no path".into()), "$", true),
        (Place::Body("no path".into()), "$.a", false),
    ] {
        let allowed = Allowed::new("*", pattern).unwrap();
        let site = Site::At(place, Kind::Value);
        assert_eq!(allowed.allows("GET /", &site), allows, "{site} {pattern}");
    }
    let everything = Allowed::new("*", "*").unwrap();
    assert!(everything.allows("GET /", &Site::Elsewhere));
    assert!(!Allowed::new("*", "$").unwrap().allows("GET /", &Site::Elsewhere));
}

#[test]
fn too_little_data_is_said() {
    let run = Run::of(&[Traffic { pairs: 60, ..CALM }]);
    let verdict = run.verdict(&with_control());
    assert_eq!(verdict.answer, Answer::NotEnoughData);
    assert_eq!(
        verdict.to_string().lines().next(),
        Some("not enough data (0 requests, 99 % confidence)")
    );

    // Enough in all, but most of it at endpoints with too little.
    let rare = ["/a", "/b", "/c", "/d", "/e"].map(|path| Traffic { path, pairs: 95, ..CALM });
    let run = Run::of(&[&rare[..], &[CALM]].concat());
    let verdict = run.verdict(&with_control());
    assert_eq!(verdict.answer, Answer::NotEnoughData, "{verdict}");
    assert!(matches!(verdict.gaps[0], Gap::Judged { .. }), "{verdict}");
    let enough = Thresholds { judged_share: 0.75, ..with_control() };
    let verdict = run.verdict(&enough);
    assert_eq!((verdict.answer, verdict.gaps.len()), (Answer::Pass, 5), "{verdict}");

    // A fault that is beyond chance need not wait for the rest.
    let run = Run::of(&[Traffic { pairs: 200, differing: (0.9, 0.0), ..CALM }]);
    assert_eq!(run.verdict(&with_control()).answer, Answer::Fail);
}

#[test]
fn without_a_control_places_are_reported_by_their_rate_and_that_is_said() {
    let run = Run::of(&[Traffic { control: false, differing: (0.05, 0.0), ..CALM }]);
    let verdict = run.verdict(&Thresholds::default());
    assert_eq!(verdict.answer, Answer::Fail);
    assert!(verdict.reasons[0].to_string().contains("noise not measured"), "{verdict}");
    assert_eq!(verdict.gaps, [Gap::Noise { endpoint: "GET /products/{id}".into() }]);
    let allowed = Thresholds { difference_rate: 0.1, ..Thresholds::default() };
    assert_eq!(run.verdict(&allowed).answer, Answer::Pass);
    // With a control to come, it is waited for.
    assert_eq!(run.verdict(&with_control()).answer, Answer::NotEnoughData);

    // Only safe requests can have one.
    let post = Traffic { method: "POST", control: false, ..CALM };
    assert_eq!(Run::of(&[post]).verdict(&with_control()).answer, Answer::Pass);
}

/// A shadow that answers nothing makes no pairs, but must not stay without a verdict.
#[test]
fn a_dead_shadow_fails() {
    let verdict =
        Run::of(&[Traffic { errors: (1.0, 0.0), ..CALM }]).verdict(&Thresholds::default());
    assert_eq!(causes(&verdict), [("GET /products/{id}", "errors")], "{verdict}");
}

#[test]
fn text_for_people_names_rates_intervals_and_samples() {
    let verdict = Run::of(&[
        Traffic { differing: (0.05, 0.002), ..CALM },
        Traffic { path: "/slow", slower: 3.0, pairs: 300, ..CALM },
    ])
    .verdict(&with_control());
    let text = verdict.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "fail (2,000 requests, 99 % confidence)");
    assert!(
        lines[1].starts_with("1. GET /products/{id}: body $.price (value) differs in "),
        "{text}"
    );
    assert!(lines[1].contains(" % of 1,700, ") && lines[1].contains("; in the control "), "{text}");
    assert!(lines[1].contains("; samples "), "{text}");
    assert!(lines[2].starts_with("2. GET /slow: p50 is 1"), "{text}");
    assert!(lines.last().unwrap().starts_with("- GET /slow: too few times to judge p9"), "{text}");
}
