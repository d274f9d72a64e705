//! Comparison as the API and the pages show it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::comparison::sample::Sample;

/// May the candidates be shipped?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerdictsView {
    /// Of all targets together: `fail` if any fails, `pass` if all pass.
    pub answer: AnswerView,
    /// Each target with `compare = true`, in the order of their names.
    pub targets: Vec<VerdictView>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerView {
    /// Enough was compared, and nothing is over a threshold beyond chance.
    Pass,
    /// Something is.
    Fail,
    /// Nothing is so far, and too little was compared to say that nothing will be.
    NotEnoughData,
}

/// May a candidate be shipped?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerdictView {
    /// The target.
    pub target: String,
    /// The run's name.
    pub run: String,
    /// When the run began, RFC 3339.
    pub started: String,
    /// The answer.
    pub answer: AnswerView,
    /// The candidate's requests that were judged.
    pub requests: u64,
    /// Those counted so far; they are judged at the next look.
    pub counted: u64,
    /// At how many requests that is; `null` after the last.
    pub next_look: Option<u64>,
    /// How sure a reason to fail is, in percent.
    pub confidence_percent: f64,
    /// Why it is `fail`, the most important first.
    pub reasons: Vec<ReasonView>,
    /// What is missing to an answer, or to be known beside it.
    pub gaps: Vec<GapView>,
    /// All of it for people.
    pub text: String,
}

/// A reason to fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReasonView {
    /// Where.
    pub endpoint: String,
    /// `errors`, `difference` or `latency`.
    pub kind: String,
    /// The place that differs, as [`PlaceView::place`]; only with `difference`.
    pub place: Option<String>,
    /// In what way it differs, as [`PlaceView::kind`]; only with `difference`.
    pub place_kind: Option<String>,
    /// What is wrong.
    pub text: String,
    /// About so many of the run's requests are concerned.
    pub requests: f64,
    /// Numbers of pairs that show it: `/api/v1/comparison/samples/{id}`.
    pub samples: Vec<u64>,
}

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapView {
    /// `requests`, `judged`, `endpoint`, `noise` or `latency`.
    pub kind: String,
    /// Where, if at one endpoint.
    pub endpoint: Option<String>,
    /// What is missing.
    pub text: String,
}

/// The endpoints of a candidate's run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointsView {
    /// The target.
    pub target: String,
    /// The run's name.
    pub run: String,
    /// Those with the most requests first.
    pub endpoints: Vec<EndpointView>,
    /// Requests counted as `(other)` for want of room.
    pub overflow: u64,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointView {
    /// Method and template: `GET /users/{id}`.
    pub name: String,
    /// The candidate's requests: pairs, and those that it did not answer.
    pub requests: u64,
    /// Of them, those whose answers differ anywhere.
    pub different: ShareView,
    /// The same in the control; `null` where there is none.
    pub control: Option<ShareView>,
    /// Pairs of which only the candidate's answer is an error.
    pub errors: u64,
    /// Pairs of which only production's is.
    pub production_errors: u64,
    /// Pairs of which both are.
    pub both_errors: u64,
    /// Pairs whose statuses differ.
    pub status_changes: u64,
    /// How long production took.
    pub production: TimesView,
    /// How long the candidate took.
    pub shadow: TimesView,
    /// Places that differ beyond noise, or of unknown noise.
    pub reported: usize,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareView {
    /// So many,
    pub differing: u64,
    /// of so many.
    pub pairs: u64,
    /// The share in percent.
    pub percent: f64,
    /// At the configured confidence no less than this, in percent.
    pub low: f64,
    /// And no more than this.
    pub high: f64,
}

/// Times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimesView {
    /// How many were measured.
    pub count: u64,
    /// The median, in milliseconds.
    pub p50: Option<f64>,
    /// What 95 % take no longer than.
    pub p95: Option<f64>,
    /// What 99 % take no longer than.
    pub p99: Option<f64>,
}

/// An endpoint in detail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndpointDetailView {
    /// The target.
    pub target: String,
    /// The run's name.
    pub run: String,
    /// The endpoint as in the list.
    pub endpoint: EndpointView,
    /// Where answers differ: those that are reported first, then by rate.
    pub places: Vec<PlaceView>,
    /// Statuses that differ.
    pub statuses: Vec<StatusChangeView>,
    /// Production's times.
    pub production: Vec<BucketView>,
    /// The candidate's.
    pub shadow: Vec<BucketView>,
}

/// A place that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// Where: `status`, `header NAME`, `body $.items[].price`.
    pub place: String,
    /// In what way: `value`, `type`, `missing`, `extra`, `order`, `length`; empty where places are not told
    /// apart.
    pub kind: String,
    /// How often.
    pub candidate: ShareView,
    /// How often in the control; `null` where there is none.
    pub control: Option<ShareView>,
    /// `beyond` noise, `within` it, or `unmeasured`.
    pub noise: String,
    /// Whether it is reported as a difference: beyond noise, or of unknown noise.
    pub reported: bool,
    /// How the place is written in a rule; `null` where no rule can name it.
    pub rule: Option<String>,
    /// Numbers of pairs that show it.
    pub samples: Vec<u64>,
}

/// Pairs with these two statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusChangeView {
    /// Production's.
    pub production: u16,
    /// The candidate's.
    pub shadow: u16,
    /// How many.
    pub pairs: u64,
}

/// Times between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BucketView {
    /// In milliseconds.
    pub from: f64,
    /// In milliseconds.
    pub to: f64,
    /// How many.
    pub count: u32,
}

/// All about a candidate's run: what a release ticket keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportView {
    /// The agent's version.
    pub agent: String,
    /// When the report was made, RFC 3339.
    pub made: String,
    /// The answer and why.
    pub verdict: VerdictView,
    /// Those with the most requests first.
    pub endpoints: Vec<EndpointDetailView>,
    /// The pairs that the reasons name; 50 at most.
    pub samples: Vec<Sample>,
}

/// The runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunsView {
    /// Those that go on, one for each candidate; then those that ended, the last first.
    pub runs: Vec<RunView>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Its number; `null` while it goes on.
    pub id: Option<u64>,
    /// The target.
    pub target: String,
    /// Its name.
    pub name: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended; `null` while it goes on.
    pub ended: Option<String>,
    /// The answer, so far or at the end.
    pub answer: AnswerView,
    /// The candidate's requests so far; of a run that ended, its report tells.
    pub requests: Option<u64>,
}

/// A run to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginView {
    /// Its name, 1 to 100 characters: a version, a commit. No control characters, and no space at its ends.
    #[schema(
        example = "2.4.0-rc2",
        min_length = 1,
        max_length = 100,
        pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f]([^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f])?$"
    )]
    pub name: String,
    /// The target; all candidates without it.
    #[serde(default)]
    pub target: Option<String>,
}

/// The rules that were made while the agent runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RulesView {
    /// They come after those of the configuration.
    pub rules: Vec<RuleView>,
    /// The file that they are kept in; `null` where they are forgotten at a restart.
    pub file: Option<String>,
}

/// A rule; one of what it may do is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleView {
    /// The endpoints that it is for, `*` standing for any characters; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "GET /items/*")]
    pub endpoint: Option<String>,
    /// The place that it is for.
    #[schema(example = "$.items[].price")]
    pub place: String,
    /// The place is not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<bool>,
    /// Numbers may differ by so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Numbers may differ by this share of the greater one, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_percent: Option<f64>,
    /// The order of elements says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
    /// Elements are matched by this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed_by: Option<String>,
    /// The keys are values, not names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<bool>,
    /// What matches is replaced before values are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<ReplaceView>,
}

/// What is replaced by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceView {
    /// A regular expression.
    pub pattern: String,
    /// What stands there instead; `$1` is the first group.
    pub with: String,
}
