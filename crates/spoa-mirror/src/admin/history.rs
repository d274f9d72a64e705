//! What the agent did over time, as columns for plots.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

use super::api::Answer;
use super::comparison::api::InQuery;
use super::error::{ApiError, ErrorBody};
use super::times::quantile;
use crate::control::Control;
use crate::date;
use crate::history::{Figures, ack_delays};
use crate::outcome::{AckDelays, Scale as _};

/// Points when nobody says how many.
const POINTS: u32 = 300;
/// Points in an answer.
const MOST_POINTS: u32 = 2000;
/// Points times targets: with many targets there are fewer points.
const MOST_CELLS: u64 = 8000;
/// Rows are no finer, in seconds.
const FINEST: u64 = 10;
/// So far back one looks when nobody says how far, in seconds.
const HOUR: u64 = 3600;
/// And at most: whatever is longer ago is before all history.
const LONGEST: u64 = 9_999_999_999;

/// Which time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from: Option<String>,
    points: Option<u32>,
}

/// What the agent did over time. Each list has a number for each entry of `at`; times at which the agent did not
/// run are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryView {
    /// The beginning of the first stretch, RFC 3339.
    pub from: String,
    /// When it was asked for.
    pub until: String,
    /// How long a stretch is, in seconds.
    pub seconds: u64,
    /// When each stretch begins, in seconds since 1970.
    pub at: Vec<u64>,
    /// For how many seconds of it the agent ran.
    pub covered: Vec<u64>,
    /// Requests that HAProxy handed over.
    pub received: Vec<u64>,
    /// What became of the copies for all targets.
    #[serde(flatten)]
    pub copies: CopiesView,
    /// Half of the ACKs took no longer, in microseconds; `null` without any, or beyond the last bucket.
    pub ack_p50_us: Vec<Option<f64>>,
    /// The same of 99 of 100.
    pub ack_p99_us: Vec<Option<f64>>,
    /// Each target by name, those included that there are no more.
    pub targets: BTreeMap<String, TargetHistoryView>,
}

/// What a target got over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetHistoryView {
    /// Requests that came for it.
    pub received: Vec<u64>,
    /// What became of them.
    #[serde(flatten)]
    pub copies: CopiesView,
}

/// What became of copies over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiesView {
    /// Copies answered.
    pub answered: Vec<u64>,
    /// Copies answered, by class of status; those that were never seen are missing.
    pub statuses: BTreeMap<String, Vec<u64>>,
    /// Copies without an answer.
    pub failed: Vec<u64>,
    /// Requests not copied, by reason; those that were never seen are missing.
    pub dropped: BTreeMap<String, Vec<u64>>,
    /// The most copies that were in flight when somebody looked.
    pub in_flight: Vec<u64>,
    /// The most copies that waited when somebody looked.
    pub waiting: Vec<u64>,
}

/// What the agent did over time, thinned out to as many points as wanted.
#[utoipa::path(get, path = "/api/v1/history", tag = "status",
    params(("from" = inline(Option<From>), Query, description = "From when: seconds ago, or RFC 3339. \
            3600 without it"),
           ("points" = Option<u32>, Query, minimum = 2, maximum = 2000,
            description = "At most so many points; 300 without it, and fewer where there are many \
                           targets")),
    responses((status = 200, description = "Columns", body = HistoryView),
              (status = 503, description = "The history cannot be read now", body = ErrorBody)))]
pub(super) async fn history(
    State(control): State<Control>,
    InQuery(asked): InQuery<Asked>,
) -> Answer {
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let from = match &asked.from {
        None => until.saturating_sub(HOUR),
        Some(text) => from(text, until).ok_or_else(|| {
            let message = "from: seconds ago, as 3600, or a time, as 2026-01-31T12:00:00Z (a plus \
                           sign in it is written %2B)";
            ApiError::bad_request(message)
        })?,
    };
    let points = asked.points.unwrap_or(POINTS);
    if !(2..=MOST_POINTS).contains(&points) {
        return Err(ApiError::bad_request("points: 2 to 2000"));
    }
    let targets = control.config().targets.len() as u64;
    let points = u64::from(points).min(MOST_CELLS / targets.max(1)).max(2);
    let width = width(until.saturating_sub(from), points);
    let from = from / width * width;
    let rows = control.history().figures(from, until.saturating_add(1), width).await;
    let rows = rows.map_err(|error| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no-history", error.to_string())
    })?;
    // Without line breaks: there may be thousands of numbers.
    let bytes = serde_json::to_vec(&HistoryView::of(&rows, from, until, width)).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Seconds ago, or a time; in seconds since 1970.
fn from(text: &str, now: u64) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let ago: u64 = text.parse().ok()?;
        return (ago <= LONGEST).then(|| now.saturating_sub(ago));
    }
    date::parse_rfc3339(text)
}

/// How long a stretch is, so that a time has no more than so many, beginning at multiples of it.
fn width(seconds: u64, points: u64) -> u64 {
    seconds.div_ceil(points.saturating_sub(1).max(1)).div_ceil(FINEST).max(1) * FINEST
}

/// How `from` is described.
struct From;

impl utoipa::PartialSchema for From {
    fn schema() -> RefOr<Schema> {
        let ago =
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(LONGEST));
        let time = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        OneOfBuilder::new().item(ago).item(time).into()
    }
}

impl ToSchema for From {}

impl HistoryView {
    fn of(rows: &[Figures], from: u64, until: u64, seconds: u64) -> Self {
        let mut view = Self {
            from: shown(from),
            until: shown(until),
            seconds,
            at: rows.iter().map(|row| row.at).collect(),
            covered: rows.iter().map(|row| row.seconds).collect(),
            received: vec![0; rows.len()],
            copies: CopiesView::zero(rows.len()),
            ack_p50_us: Vec::new(),
            ack_p99_us: Vec::new(),
            targets: BTreeMap::new(),
        };
        for (index, row) in rows.iter().enumerate() {
            view.enter(index, row, rows.len());
            let delays = delays(row);
            view.ack_p50_us.push(delay(&delays, 0.5));
            view.ack_p99_us.push(delay(&delays, 0.99));
        }
        view
    }

    fn enter(&mut self, index: usize, row: &Figures, rows: usize) {
        for (series, amount) in &row.amounts {
            let (name, number) = (series.name.as_str(), amount.number());
            if series.target.is_empty() {
                if name == "received" {
                    add(&mut self.received, index, number);
                }
                continue;
            }
            if !self.targets.contains_key(&series.target) {
                let target =
                    TargetHistoryView { received: vec![0; rows], copies: CopiesView::zero(rows) };
                self.targets.insert(series.target.clone(), target);
            }
            let Some(target) = self.targets.get_mut(&series.target) else { continue };
            if name == "received" {
                add(&mut target.received, index, number);
            } else {
                target.copies.enter(index, name, number, rows);
                self.copies.enter(index, name, number, rows);
            }
        }
    }
}

impl CopiesView {
    fn zero(rows: usize) -> Self {
        Self {
            answered: vec![0; rows],
            statuses: BTreeMap::new(),
            failed: vec![0; rows],
            dropped: BTreeMap::new(),
            in_flight: vec![0; rows],
            waiting: vec![0; rows],
        }
    }

    fn enter(&mut self, index: usize, name: &str, number: u64, rows: usize) {
        let by_name = |columns: &mut BTreeMap<String, Vec<u64>>, name: &str| {
            let column = columns.entry(name.to_owned()).or_insert_with(|| vec![0; rows]);
            add(column, index, number);
        };
        match name.split_once('/') {
            Some(("answered", class)) => {
                add(&mut self.answered, index, number);
                by_name(&mut self.statuses, class);
            }
            Some(("failed", _)) => add(&mut self.failed, index, number),
            Some(("dropped", reason)) => by_name(&mut self.dropped, reason),
            _ if name == "in-flight" => add(&mut self.in_flight, index, number),
            _ if name == "waiting" => add(&mut self.waiting, index, number),
            // Of a later version.
            _ => {}
        }
    }
}

fn add(column: &mut [u64], index: usize, number: u64) {
    if let Some(sum) = column.get_mut(index) {
        *sum = sum.saturating_add(number);
    }
}

/// Each bound in microseconds and how many ACKs took no longer; then how many there were.
fn delays(row: &Figures) -> (Vec<(f64, u64)>, u64) {
    let count = |bound| row.number("", &ack_delays(bound));
    let mut sum = 0_u64;
    let buckets = AckDelays::NANOSECONDS.map(|bound| {
        let bound = Duration::from_nanos(bound);
        sum = sum.saturating_add(count(Some(bound)));
        (bound.as_secs_f64() * 1e6, sum)
    });
    (buckets.to_vec(), sum.saturating_add(count(None)))
}

fn delay((buckets, count): &(Vec<(f64, u64)>, u64), q: f64) -> Option<f64> {
    let microseconds = quantile(buckets.iter().copied(), *count, q)?;
    // A tenth is finer than it can be known.
    Some((microseconds * 10.0).round() / 10.0)
}

fn shown(seconds: u64) -> String {
    date::rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Amount;

    #[test]
    fn times_are_seconds_ago_or_dates() {
        let now = 1_767_225_600;
        assert_eq!(from("0", now), Some(now));
        assert_eq!(from("60", now), Some(now - 60));
        assert_eq!(from("9999999999", now), Some(0));
        assert_eq!(from("10000000000", now), None);
        assert_eq!(from("2025-12-31T23:59:00Z", now), Some(now - 60));
        for wrong in ["", "-1", "1.5", "now", "2025-12-31", "99999999999999999999"] {
            assert_eq!(from(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn there_are_never_more_points_than_wanted() {
        for points in [2, 3, 300, 2000] {
            for seconds in [0, 1, 59, 3600, 86_399, 30 * 86_400, LONGEST] {
                let width = width(seconds, points);
                assert_eq!(width % FINEST, 0);
                // The worst offset: the first stretch begins just before the time.
                let most = seconds.div_ceil(width) + 1;
                assert!(most <= points, "{most} of {points} in {seconds} s");
            }
        }
        assert_eq!(width(3600, 361), 10);
    }

    #[test]
    fn columns_have_a_number_for_each_point_and_sums_for_all_targets() {
        let mut first = Figures { at: 100, seconds: 10, ..Figures::default() };
        first.set("", "received", Amount::Sum(4));
        first.set("", ack_delays(Some(Duration::from_micros(10))), Amount::Sum(4));
        first.set("a", "received", Amount::Sum(4));
        first.set("a", "answered/2xx", Amount::Sum(3));
        first.set("a", "answered/5xx", Amount::Sum(1));
        first.set("b", "dropped/paused", Amount::Sum(2));
        first.set("b", "a later version's", Amount::Sum(2));
        let mut second = Figures { at: 120, seconds: 7, ..Figures::default() };
        second.set("", ack_delays(None), Amount::Sum(1));
        second.set("a", "failed/timeout", Amount::Sum(1));
        second.set("b", "dropped/paused", Amount::Sum(1));
        second.set("a", "in-flight", Amount::Most(2));
        let view = HistoryView::of(&[first, second], 100, 130, 10);
        assert_eq!((&view.at, &view.covered), (&vec![100, 120], &vec![10, 7]));
        assert_eq!(view.received, [4, 0]);
        assert_eq!((&view.copies.answered, &view.copies.failed), (&vec![4, 0], &vec![0, 1]));
        assert_eq!(view.copies.dropped["paused"], [2, 1]);
        assert_eq!(view.copies.statuses["5xx"], [1, 0]);
        assert_eq!(view.ack_p50_us, [Some(7.5), None]);
        assert_eq!(view.targets["a"].copies.in_flight, [0, 2]);
        assert_eq!(view.targets["a"].received, [4, 0]);
        assert_eq!(view.targets["b"].copies.dropped["paused"], [2, 1]);
    }
}
