//! Prometheus' text format, read strictly.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use testbed::client::http1;
use testbed::wait;

/// A sample's name and labels, as written.
pub(crate) type Series = String;

/// What one scrape gave.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// Each metric's type.
    pub(crate) kinds: BTreeMap<String, String>,
    /// Each metric's help.
    pub(crate) helps: BTreeMap<String, String>,
    pub(crate) samples: BTreeMap<Series, f64>,
    pub(crate) text: String,
}

impl Scrape {
    /// Scrapes the program whose admin API listens here.
    pub(crate) fn of(admin: SocketAddr) -> Self {
        // As `admin.rate` allows.
        let response = wait::until(wait::LIMIT, "room for one more request", || {
            let response = http1::get(admin, "/metrics").unwrap();
            (response.status != 429).then_some(response)
        });
        assert_eq!(response.status, 200, "{}", response.text());
        let kind = response.header("content-type");
        assert_eq!(kind.as_deref(), Some("text/plain; version=0.0.4"));
        Self::parse(&response.text())
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut scrape = Self { text: text.to_owned(), ..Self::default() };
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(scrape.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                scrape.helps.insert(name.to_owned(), help.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(scrape.samples.insert(series.to_owned(), value).is_none(), "{line}");
            }
        }
        scrape
    }

    /// The value of `name{labels}`, or `name` without labels.
    #[track_caller]
    pub(crate) fn get(&self, series: &str) -> f64 {
        let value = self.samples.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }

    /// The value as a whole number.
    #[track_caller]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    pub(crate) fn count(&self, series: &str) -> u64 {
        let value = self.get(series);
        assert!(value >= 0.0 && value.fract() == 0.0, "{series} {value}");
        value as u64
    }

    /// The sum of all samples of a metric that have all these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of = |series: &&str| {
            let shown = series.strip_prefix(name);
            shown.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|label| series.contains(label))
        };
        self.samples.iter().filter(|(series, _)| of(&series.as_str())).map(|(_, v)| v).sum()
    }

    /// The names of the targets.
    pub(crate) fn targets(&self) -> Vec<String> {
        let prefix = "spoa_mirror_target_received_total{target=\"";
        let names = self.samples.keys().filter_map(|series| series.strip_prefix(prefix));
        names.map(|rest| rest.strip_suffix("\"}").unwrap().to_owned()).collect()
    }

    /// Asserts what must hold at every moment: the books of each target add up, and histograms are
    /// consistent.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        for target in self.targets() {
            let label = format!("target=\"{target}\"");
            let metric = |name: &str| self.sum(&format!("spoa_mirror_target_{name}"), &[&label]);
            let sum = metric("answered_total")
                + metric("failed_total")
                + metric("dropped_total")
                + metric("queue_copies")
                + metric("in_flight");
            assert!(equal(metric("received_total"), sum), "{target}: {sum} in\n{}", self.text);
        }
        let histograms = self.kinds.iter().filter(|(_, kind)| *kind == "histogram");
        for (name, _) in histograms {
            let counts = format!("{name}_count");
            let of = |series: &&Series| series.starts_with(&counts);
            for series in self.samples.keys().filter(of) {
                let labels = series[counts.len()..].trim_start_matches('{').trim_end_matches('}');
                self.assert_histogram(name, labels);
            }
        }
    }

    #[track_caller]
    fn assert_histogram(&self, name: &str, labels: &str) {
        let start = if labels.is_empty() {
            format!("{name}_bucket{{le=\"")
        } else {
            format!("{name}_bucket{{{labels},le=\"")
        };
        let mut buckets: Vec<(f64, f64)> = self
            .samples
            .iter()
            .filter_map(|(series, &count)| {
                let bound = series.strip_prefix(&start)?.strip_suffix("\"}")?;
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                Some((bound, count))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(buckets.len(), 17, "{name} {labels}");
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels}: {buckets:?}");
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let count = self.get(&format!("{name}_count{braced}"));
        let sum = self.get(&format!("{name}_sum{braced}"));
        assert!(equal(buckets[16].1, count), "{name} {labels}: {buckets:?}");
        // The sum lies between what the buckets allow.
        let mut below = 0.0;
        let (mut least, mut most) = (0.0, 0.0);
        let mut lower = 0.0;
        for (bound, cumulated) in buckets {
            let here = cumulated - below;
            least += here * lower;
            most += if here > 0.0 { here * bound } else { 0.0 };
            (below, lower) = (cumulated, bound);
        }
        assert!(sum >= least * 0.999_999 && sum <= most * 1.000_001, "{name} {labels}: {sum}");
    }

    /// Asserts that no counter and no bucket is lower than in `earlier`.
    #[track_caller]
    pub(crate) fn assert_grown_since(&self, earlier: &Self) {
        for (series, before) in &earlier.samples {
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            let grows = |name: &str| self.kinds.get(name).is_some_and(|kind| kind != "gauge");
            if grows(name) || base.is_some_and(grows) {
                assert!(self.get(series) >= *before, "{series}: {before}, then less");
            }
        }
    }
}

/// Whether two numbers, which are whole, are the same.
pub(crate) fn equal(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.5
}
