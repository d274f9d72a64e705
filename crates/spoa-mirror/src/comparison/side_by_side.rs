//! Two texts, or the headers of two answers, as rows of a table: what belongs together beside each other,
//! what differs marked.

use std::cmp::Ordering;

use shadow_diff::shown;

use super::sample::ShownAnswer;

/// A line of production's beside one of the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Production's, if it has one here.
    pub production: Option<String>,
    /// The target's.
    pub shadow: Option<String>,
    /// They differ, or one is missing.
    pub changed: bool,
}

/// A header of production's beside one of the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRow {
    /// Its name, as production wrote it if it has one.
    pub name: String,
    /// Production's value.
    pub production: Option<String>,
    /// The target's.
    pub shadow: Option<String>,
    /// They differ, or one is missing.
    pub changed: bool,
}

/// Rows for showing two texts: equal lines beside each other. Where so much differs that finding them
/// would take long, what is between the first and the last difference is put together line by line.
#[must_use]
pub fn side_by_side(production: &[String], shadow: &[String]) -> Vec<Row> {
    let rows = beside(production, shadow, production, shadow);
    rows.chunk_by(|one, next| one.changed == next.changed)
        .flat_map(|rows| match rows {
            [Row { changed: true, .. }, _, ..] => by_name(rows),
            _ => rows.to_vec(),
        })
        .collect()
}

/// Changed lines anew: those of one name, which ends at a colon, beside each other, so that a member that is
/// missing does not stand beside the next one.
fn by_name(rows: &[Row]) -> Vec<Row> {
    let lines =
        |of: fn(&Row) -> &Option<String>| rows.iter().filter_map(move |row| of(row).clone());
    let production: Vec<_> = lines(|row| &row.production).collect();
    let shadow: Vec<_> = lines(|row| &row.shadow).collect();
    let names = |lines: &[String]| {
        let name =
            |line: &String| line.split_once(':').map_or(line.clone(), |(name, _)| name.into());
        lines.iter().map(name).collect::<Vec<String>>()
    };
    beside(&production, &shadow, &names(&production), &names(&shadow))
}

/// Rows as others, line by line, find each other.
fn beside(
    production: &[String],
    shadow: &[String],
    production_as: &[String],
    shadow_as: &[String],
) -> Vec<Row> {
    let rows = shown::beside(production_as, shadow_as).into_iter().map(|(ours, theirs)| {
        let production = ours.and_then(|at| production.get(at)).cloned();
        let shadow = theirs.and_then(|at| shadow.get(at)).cloned();
        Row { changed: production != shadow, production, shadow }
    });
    rows.collect()
}

/// Rows for showing the headers of two answers, by name; of those with the same name the first beside the
/// first. Where the headers of one side are not known, nothing has changed.
#[must_use]
pub fn header_rows(production: &ShownAnswer, shadow: &ShownAnswer) -> Vec<HeaderRow> {
    let known = production.headers.is_some() && shadow.headers.is_some();
    let (ours, theirs) = (sorted(production), sorted(shadow));
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    let mut rows = Vec::new();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (Some((a, _)), Some((b, _))) => by_case(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return rows,
        };
        let a = if order.is_le() { ours.next() } else { None };
        let b = if order.is_ge() { theirs.next() } else { None };
        let Some((name, _)) = a.or(b) else { return rows };
        let (a, b) = (a.map(|(_, value)| value), b.map(|(_, value)| value));
        rows.push(HeaderRow {
            name: name.clone(),
            production: a.cloned(),
            shadow: b.cloned(),
            changed: known && a != b,
        });
    }
}

fn sorted(answer: &ShownAnswer) -> Vec<(&String, &String)> {
    let headers = answer.headers.iter().flatten().map(|(name, value)| (name, value));
    let mut sorted: Vec<_> = headers.collect();
    sorted.sort_by(|(a, _), (b, _)| by_case(a, b));
    sorted
}

fn by_case(a: &str, b: &str) -> Ordering {
    a.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(b.bytes().map(|b| b.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::super::sample::ShownBody;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn rows(production: &str, shadow: &str) -> Vec<String> {
        let row = |row: Row| {
            let side = |side: Option<String>| side.unwrap_or_default();
            let sign = if row.changed { '|' } else { ' ' };
            format!("{}{sign}{}", side(row.production), side(row.shadow))
        };
        side_by_side(&lines(production), &lines(shadow)).into_iter().map(row).collect()
    }

    #[test]
    fn changed_lines_of_one_name_stand_beside_each_other() {
        assert_eq!(
            rows("{ tier:1 visit:2 price:3 }", "{ visit:4 price:5 }"),
            ["{ {", "tier:1|", "visit:2|visit:4", "price:3|price:5", "} }"]
        );
    }

    #[test]
    fn equal_lines_are_beside_each_other() {
        assert_eq!(rows("a b c", "a b c"), ["a a", "b b", "c c"]);
        assert_eq!(rows("a b c", "a x c"), ["a a", "b|x", "c c"]);
        assert_eq!(rows("a b c d", "a d"), ["a a", "b|", "c|", "d d"]);
        assert_eq!(rows("", "a"), ["|a"]);
        assert_eq!(rows("", ""), [""; 0]);
    }

    #[test]
    fn what_has_nothing_in_common_is_put_together_line_by_line() {
        let many = |name: &str| (0..3000).map(|at| format!("{name}{at}")).collect::<Vec<_>>();
        let rows = side_by_side(&many("a"), &many("b"));
        assert_eq!(rows.len(), 3000);
        assert_eq!(rows[7].production.as_deref(), Some("a7"));
        assert_eq!(rows[7].shadow.as_deref(), Some("b7"));
        assert!(rows.iter().all(|row| row.changed));
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_lost_or_moved(a in "([abc] ){0,30}", b in "([abc] ){0,30}") {
            let (production, shadow) = (lines(&a), lines(&b));
            let rows = side_by_side(&production, &shadow);
            let ours: Vec<_> = rows.iter().filter_map(|row| row.production.clone()).collect();
            let theirs: Vec<_> = rows.iter().filter_map(|row| row.shadow.clone()).collect();
            proptest::prop_assert_eq!((ours, theirs), (production, shadow));
        }
    }

    fn answer(headers: Option<&[(&str, &str)]>) -> ShownAnswer {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers = headers.map(|headers| headers.iter().map(owned).collect());
        ShownAnswer { status: 200, headers, body: ShownBody::default(), time_us: None }
    }

    fn headers(
        production: Option<&[(&str, &str)]>,
        shadow: Option<&[(&str, &str)]>,
    ) -> Vec<String> {
        let row = |row: HeaderRow| {
            let side = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
            let sign = if row.changed { '|' } else { ' ' };
            format!("{}: {}{sign}{}", row.name, side(row.production), side(row.shadow))
        };
        header_rows(&answer(production), &answer(shadow)).into_iter().map(row).collect()
    }

    #[test]
    fn headers_are_beside_each_other_by_name() {
        let production: &[_] = &[("Vary", "b"), ("etag", "x"), ("Via", "1"), ("Via", "2")];
        let shadow: &[_] = &[("via", "1"), ("VIA", "3"), ("vary", "b"), ("age", "0")];
        let expected = ["age: -|0", "etag: x|-", "Vary: b b", "Via: 1 1", "Via: 2|3"];
        assert_eq!(headers(Some(production), Some(shadow)), expected);
    }

    #[test]
    fn headers_that_are_not_known_are_not_missing() {
        assert_eq!(headers(Some(&[("a", "1")]), None), ["a: 1 -"]);
    }
}
