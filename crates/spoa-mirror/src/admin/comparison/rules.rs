//! Rules as the API takes and gives them.

use shadow_diff::{Action, Rule};

use super::view::{ReplaceView, RuleView};

impl From<&Rule> for RuleView {
    fn from(rule: &Rule) -> Self {
        let mut view = Self {
            endpoint: (rule.endpoint != "*").then(|| rule.endpoint.clone()),
            place: rule.place.clone(),
            ..Self::default()
        };
        match &rule.action {
            Action::Ignore => view.ignore = Some(true),
            Action::Tolerance { absolute, relative } => {
                view.tolerance = (*absolute > 0.0).then_some(*absolute);
                view.tolerance_percent = (*relative > 0.0).then_some(*relative * 100.0);
            }
            Action::Set => view.set = Some(true),
            Action::Keyed(member) => view.keyed_by = Some(member.clone()),
            Action::Map => view.map = Some(true),
            Action::Replace { pattern, with } => {
                let (pattern, with) = (pattern.clone(), with.clone());
                view.replace = Some(ReplaceView { pattern, with });
            }
        }
        view
    }
}

impl TryFrom<RuleView> for Rule {
    type Error = String;

    fn try_from(view: RuleView) -> Result<Self, String> {
        let RuleView { endpoint, place, ignore, tolerance, tolerance_percent, .. } = view;
        let tolerance =
            (tolerance.is_some() || tolerance_percent.is_some()).then(|| Action::Tolerance {
                absolute: tolerance.unwrap_or_default(),
                relative: tolerance_percent.unwrap_or_default() / 100.0,
            });
        let replace =
            view.replace.map(|ReplaceView { pattern, with }| Action::Replace { pattern, with });
        let given = [
            ignore.filter(|on| *on).map(|_| Action::Ignore),
            tolerance,
            view.set.filter(|on| *on).map(|_| Action::Set),
            view.keyed_by.map(Action::Keyed),
            view.map.filter(|on| *on).map(|_| Action::Map),
            replace,
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(action), None) => {
                Ok(Self { endpoint: endpoint.unwrap_or_else(|| "*".to_owned()), place, action })
            }
            (None, _) => Err("a rule needs one of `ignore`, `tolerance`, `tolerance_percent`, \
                              `set`, `keyed_by`, `map` and `replace`"
                .to_owned()),
            (Some(_), Some(_)) => Err("a rule does one thing; make two rules".to_owned()),
        }
    }
}
