//! What a configuration says of differences.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::path::Spot;
use crate::pattern::{Fault, PlacePattern, glob};

/// A rule as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The endpoints that it is for, where `*` stands for any characters: `GET /orders/*`, `*`.
    pub endpoint: String,
    /// The places that it is for: `status`, `header x-build`, `$.items[].price`, `$..id`. Members are
    /// `.name` or `["any name"]`, `.*` any of them; `[]` is any element, or any line of a text, `{}` any
    /// entry of an object that is a map; `..name` is a member anywhere below.
    pub place: String,
    /// What it does there.
    pub action: Action,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The place, and all that is below it, is not compared.
    Ignore,
    /// Numbers may differ by `absolute`, or by the share `relative` of the greater of the two (0.01
    /// is one percent), whichever allows more. So may sizes, for a body of which only those are known.
    Tolerance {
        /// The greatest difference.
        absolute: f64,
        /// The greatest share.
        relative: f64,
    },
    /// The array's elements have no order: they are matched by their values. So are a header's.
    Set,
    /// The array's elements are matched by the value of this member.
    Keyed(String),
    /// The object is a map: its keys are values, not names.
    Map,
    /// What the regular expression `pattern` matches in a value is replaced by `with` (`$1` is the
    /// first group) before values are compared; all matches are.
    Replace {
        /// The regular expression.
        pattern: String,
        /// What stands there instead.
        with: String,
    },
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Its position in the list, from 0.
    pub rule: usize,
    /// What of it is wrong.
    pub part: RulePart,
    /// The byte of that text where it is wrong.
    pub at: usize,
    /// In what way.
    pub message: String,
}

/// A part of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePart {
    /// [`Rule::endpoint`].
    Endpoint,
    /// [`Rule::place`].
    Place,
    /// What [`Rule::action`] holds.
    Action,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            RulePart::Endpoint => "endpoint",
            RulePart::Place => "place",
            RulePart::Action => "action",
        };
        write!(f, "rule {}: {part}, at byte {}: {}", self.rule + 1, self.at, self.message)
    }
}

impl std::error::Error for RuleError {}

/// Bytes that a compiled regular expression may take.
const MAX_REGEX: usize = 1 << 20;
/// Bytes that replacing may make of a value.
const MAX_REPLACED: usize = 16 << 20;

/// Rules, ready for use.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    endpoint: String,
    place: PlacePattern,
    effect: Effect,
}

#[derive(Debug)]
enum Effect {
    Ignore,
    Tolerance { absolute: f64, relative: f64 },
    Shape(Shape),
    Replace(Regex, String),
}

/// How a container is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Set,
    Keyed(String),
    Map,
}

impl Rules {
    /// Makes rules ready for use.
    ///
    /// # Errors
    /// The first rule that cannot be used, and why.
    pub fn compile(rules: &[Rule]) -> Result<Self, RuleError> {
        let compiled = rules.iter().enumerate().map(|(rule, text)| {
            Compiled::new(text).map_err(|(part, Fault { at, message })| RuleError {
                rule,
                part,
                at,
                message,
            })
        });
        Ok(Self { rules: compiled.collect::<Result<_, _>>()? })
    }

    /// The rules for an endpoint.
    pub(crate) fn of(&self, endpoint: &str) -> Selection<'_> {
        let fits = |(_, rule): &(usize, &Compiled)| glob(&rule.endpoint, endpoint);
        let rules: Vec<_> = self.rules.iter().enumerate().filter(fits).collect();
        let has = |is: fn(&Effect) -> bool| rules.iter().any(|(_, rule)| is(&rule.effect));
        let shapes = has(|effect| matches!(effect, Effect::Shape(_)));
        let tolerances = has(|effect| matches!(effect, Effect::Tolerance { .. }));
        Selection { rules, shapes, tolerances }
    }
}

impl Compiled {
    fn new(rule: &Rule) -> Result<Self, (RulePart, Fault)> {
        let at = |part| move |fault| (part, fault);
        if rule.endpoint.is_empty() {
            let message = "an endpoint is missing; `*` is any".to_owned();
            return Err((RulePart::Endpoint, Fault { at: 0, message }));
        }
        let place = PlacePattern::parse(&rule.place).map_err(at(RulePart::Place))?;
        let effect = Effect::new(&rule.action).map_err(at(RulePart::Action))?;
        let fits = match (&effect, &place) {
            (Effect::Ignore, _) => true,
            (Effect::Shape(Shape::Set), place) => *place != PlacePattern::Status,
            (Effect::Shape(_), place) => matches!(place, PlacePattern::Body(_)),
            (_, place) => *place != PlacePattern::Status,
        };
        if !fits {
            let message = format!("it means nothing for `{}`", rule.place);
            return Err((RulePart::Action, Fault { at: 0, message }));
        }
        Ok(Self { endpoint: rule.endpoint.clone(), place, effect })
    }
}

impl Effect {
    fn new(action: &Action) -> Result<Self, Fault> {
        let fault = |at, message: String| Err(Fault { at, message });
        match action {
            Action::Ignore => Ok(Self::Ignore),
            Action::Set => Ok(Self::Shape(Shape::Set)),
            Action::Map => Ok(Self::Shape(Shape::Map)),
            Action::Keyed(field) if field.is_empty() => {
                fault(0, "the name of the member is missing".to_owned())
            }
            Action::Keyed(field) => Ok(Self::Shape(Shape::Keyed(field.clone()))),
            &Action::Tolerance { absolute, relative } => {
                let usable = |number: f64| number.is_finite() && number >= 0.0;
                if !usable(absolute) || !usable(relative) || absolute + relative == 0.0 {
                    return fault(
                        0,
                        format!(
                            "a tolerance is a number above 0, not {absolute} and {relative} of \
                             the value"
                        ),
                    );
                }
                Ok(Self::Tolerance { absolute, relative })
            }
            Action::Replace { pattern, with } => {
                match RegexBuilder::new(pattern).size_limit(MAX_REGEX).build() {
                    Ok(regex) => Ok(Self::Replace(regex, with.clone())),
                    Err(error) => fault(regex_offset(pattern), error.to_string()),
                }
            }
        }
    }
}

/// The byte of a wrong regular expression where it becomes wrong.
fn regex_offset(pattern: &str) -> usize {
    let position = |error: &regex_syntax::Error| match error {
        regex_syntax::Error::Parse(error) => error.span().start.offset,
        regex_syntax::Error::Translate(error) => error.span().start.offset,
        _ => 0,
    };
    regex_syntax::parse(pattern).map_or_else(|error| position(&error), |_| 0)
}

/// The rules for one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Selection<'r> {
    /// Each with its position in the configured list.
    rules: Vec<(usize, &'r Compiled)>,
    /// Whether there are rules on the shape of containers.
    shapes: bool,
    /// Whether there are tolerances.
    tolerances: bool,
}

impl Selection<'_> {
    /// The rule that ignores the status.
    pub(crate) fn ignores_status(&self) -> Option<usize> {
        self.first(|rule| {
            matches!(rule.effect, Effect::Ignore) && rule.place == PlacePattern::Status
        })
    }

    /// The rule that ignores this place.
    pub(crate) fn ignores(&self, spot: Spot<'_>) -> Option<usize> {
        self.first(|rule| matches!(rule.effect, Effect::Ignore) && rule.place.covers(spot))
    }

    fn first(&self, fits: impl Fn(&Compiled) -> bool) -> Option<usize> {
        self.rules.iter().find(|(_, rule)| fits(rule)).map(|&(number, _)| number)
    }

    /// How the container at this place is to be taken.
    pub(crate) fn shape(&self, spot: Spot<'_>) -> Option<&Shape> {
        if !self.shapes {
            return None;
        }
        self.rules.iter().find_map(|(_, rule)| match &rule.effect {
            Effect::Shape(shape) if rule.place.is(spot) => Some(shape),
            _ => None,
        })
    }

    /// The rule by which these two texts are numbers near enough.
    pub(crate) fn tolerates_texts(&self, spot: Spot<'_>, a: &[u8], b: &[u8]) -> Option<usize> {
        if !self.tolerances {
            return None;
        }
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<f64>().ok();
        self.tolerates(spot, number(a)?, number(b)?)
    }

    /// The rule by which these two numbers are near enough.
    pub(crate) fn tolerates(&self, spot: Spot<'_>, a: f64, b: f64) -> Option<usize> {
        self.first(|rule| match rule.effect {
            Effect::Tolerance { absolute, relative } => {
                let allowed = absolute.max(relative * a.abs().max(b.abs()));
                // What a decimal fraction loses as a float is no difference.
                let lost = f64::EPSILON * a.abs().max(b.abs());
                (a - b).abs() <= allowed + lost && rule.place.is(spot)
            }
            _ => false,
        })
    }

    /// Whether replacements are configured for this place.
    pub(crate) fn replaces(&self, spot: Spot<'_>) -> bool {
        self.rules
            .iter()
            .any(|(_, rule)| matches!(rule.effect, Effect::Replace(..)) && rule.place.is(spot))
    }

    /// The rule by whose replacements, after those before it, the two values become the same.
    pub(crate) fn replaced_same(&self, spot: Spot<'_>, a: &[u8], b: &[u8]) -> Option<usize> {
        let mut values = None;
        for (number, rule) in &self.rules {
            let Effect::Replace(regex, with) = &rule.effect else { continue };
            if !rule.place.is(spot) {
                continue;
            }
            let (a, b) = values.get_or_insert_with(|| (a.to_vec(), b.to_vec()));
            *a = replace(regex, a, with);
            *b = replace(regex, b, with);
            if a == b {
                return Some(*number);
            }
        }
        None
    }

    /// A value after all replacements for this place.
    pub(crate) fn replaced(&self, spot: Spot<'_>, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        for (_, rule) in &self.rules {
            if let Effect::Replace(regex, with) = &rule.effect {
                if rule.place.is(spot) {
                    value = replace(regex, &value, with);
                }
            }
        }
        value
    }
}

/// A value with all matches replaced; as it was when that makes it too long.
fn replace(regex: &Regex, value: &[u8], with: &str) -> Vec<u8> {
    let mut output = Vec::with_capacity(value.len());
    let mut copied = 0;
    for captures in regex.captures_iter(value) {
        let Some(found) = captures.get(0) else { continue };
        output.extend_from_slice(value.get(copied..found.start()).unwrap_or_default());
        captures.expand(with.as_bytes(), &mut output);
        copied = found.end();
        if output.len() > MAX_REPLACED {
            return value.to_vec();
        }
    }
    output.extend_from_slice(value.get(copied..).unwrap_or_default());
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(place: &str, action: Action) -> Rule {
        Rule { endpoint: "*".to_owned(), place: place.to_owned(), action }
    }

    fn error(rule: Rule) -> RuleError {
        Rules::compile(&[super::Rule { place: "status".into(), ..rule_ok() }, rule]).unwrap_err()
    }

    fn rule_ok() -> Rule {
        rule("$", Action::Ignore)
    }

    #[test]
    fn what_is_wrong_is_told_with_rule_part_and_byte() {
        let wrong = error(rule("$.a[3]", Action::Ignore));
        assert_eq!((wrong.rule, wrong.part, wrong.at), (1, RulePart::Place, 4));
        assert!(wrong.to_string().starts_with("rule 2: place, at byte 4: "), "{wrong}");

        let endpoint = error(Rule { endpoint: String::new(), ..rule_ok() });
        assert_eq!((endpoint.part, endpoint.at), (RulePart::Endpoint, 0));

        let replace = |pattern: &str| Action::Replace { pattern: pattern.into(), with: "".into() };
        let wrong = error(rule("$.a", replace("ab(c")));
        assert_eq!((wrong.part, wrong.at), (RulePart::Action, 2));
        assert!(error(rule("$.a", replace("(?:\\w{1000}){1000}"))).message.contains("size"));

        for (place, action) in [
            ("status", Action::Set),
            ("status", replace("a")),
            ("header a", Action::Map),
            ("header a", Action::Keyed("id".into())),
            ("$", Action::Keyed(String::new())),
            ("$", Action::Tolerance { absolute: 0.0, relative: 0.0 }),
            ("$", Action::Tolerance { absolute: -1.0, relative: 0.0 }),
            ("$", Action::Tolerance { absolute: f64::NAN, relative: 0.0 }),
        ] {
            assert_eq!(error(rule(place, action)).part, RulePart::Action, "{place}");
        }
    }

    #[test]
    fn rules_are_chosen_by_endpoint() {
        let of = |endpoint: &str, place| Rule {
            endpoint: endpoint.to_owned(),
            ..rule(place, Action::Ignore)
        };
        let rules = Rules::compile(&[of("GET /a/*", "$"), of("* /a/b", "header x")]).unwrap();
        assert_eq!(rules.of("GET /a/b").rules.len(), 2);
        assert_eq!(rules.of("POST /a/b").ignores(Spot::Header("x")), Some(1));
        assert_eq!(rules.of("POST /a/b").ignores(Spot::Body(&[])), None);
        assert_eq!(rules.of("GET /b").rules.len(), 0);
    }

    #[test]
    fn replacements_follow_each_other() {
        let replace = |pattern: &str, with: &str| {
            rule("$", Action::Replace { pattern: pattern.into(), with: with.into() })
        };
        let rules = Rules::compile(&[replace(r"\d+", "N"), replace("N(.)", "$1")]).unwrap();
        let of = rules.of("x");
        assert_eq!(of.replaced_same(Spot::Body(&[]), b"a 1", b"a 22"), Some(0));
        assert_eq!(of.replaced_same(Spot::Body(&[]), b"a 1x", b"a x"), Some(1));
        assert_eq!(of.replaced_same(Spot::Body(&[]), b"a 1", b"b 1"), None);
        assert_eq!(of.replaced(Spot::Body(&[]), b"12 3"), b" N");
    }

    #[test]
    fn a_tolerance_is_absolute_or_relative() {
        let rules =
            Rules::compile(&[rule("$", Action::Tolerance { absolute: 0.01, relative: 0.1 })])
                .unwrap();
        let of = rules.of("x");
        let near = |a, b| of.tolerates(Spot::Body(&[]), a, b).is_some();
        assert!(near(0.01, 0.02) && near(100.0, 110.0) && near(-100.0, -95.0));
        assert!(!near(0.01, 0.03) && !near(100.0, 112.0) && !near(1.0, -1.0));
        assert!(!near(f64::INFINITY, f64::INFINITY));
    }
}
