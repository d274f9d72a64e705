//! What the agent makes of a message's arguments, by their names: see `crate::exchange`.

/// What an argument is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Method,
    /// The URL, or a path with its query.
    Url,
    /// A path, whose query may come by itself.
    Path,
    Query,
    Version,
    Headers,
    Body,
    BodySize,
    Id,
    Status,
    AnswerHeaders,
    AnswerBody,
    AnswerBodySize,
    Waited,
    AskedAt,
    AnsweredAt,
    Timer,
    Source,
}

/// All names that the agent knows. A test compares them with what it reads.
const NAMES: &[(&str, Part)] = &[
    ("arg_method", Part::Method),
    ("method", Part::Method),
    ("arg_path", Part::Url),
    ("arg_url", Part::Url),
    ("url", Part::Url),
    ("arg_pathq", Part::Path),
    ("pathq", Part::Path),
    ("path", Part::Path),
    ("arg_query", Part::Query),
    ("query", Part::Query),
    ("arg_ver", Part::Version),
    ("ver", Part::Version),
    ("arg_hdrs", Part::Headers),
    ("arg_headers", Part::Headers),
    ("hdrs", Part::Headers),
    ("headers", Part::Headers),
    ("arg_body", Part::Body),
    ("body", Part::Body),
    ("arg_body_size", Part::BodySize),
    ("body_size", Part::BodySize),
    ("arg_id", Part::Id),
    ("id", Part::Id),
    ("arg_status", Part::Status),
    ("status", Part::Status),
    ("arg_res_hdrs", Part::AnswerHeaders),
    ("res_hdrs", Part::AnswerHeaders),
    ("arg_res_body", Part::AnswerBody),
    ("res_body", Part::AnswerBody),
    ("arg_res_body_size", Part::AnswerBodySize),
    ("res_body_size", Part::AnswerBodySize),
    ("arg_res_body_waited", Part::Waited),
    ("res_body_waited", Part::Waited),
    ("arg_t_request", Part::AskedAt),
    ("t_request", Part::AskedAt),
    ("arg_t_response", Part::AnsweredAt),
    ("t_response", Part::AnsweredAt),
    ("arg_t_header", Part::Timer),
    ("t_header", Part::Timer),
    ("arg_src", Part::Source),
    ("src", Part::Source),
];

impl Part {
    /// The part of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, part)| *part)
    }

    /// Its name: the C program's, or the plain one.
    pub(crate) fn name(self, prefixed: bool) -> String {
        // The C program calls the URL a path.
        if prefixed && self == Self::Url {
            return "arg_path".to_owned();
        }
        let mut names = NAMES.iter().filter(|(_, part)| *part == self).map(|(name, _)| *name);
        let found = names.find(|name| name.starts_with("arg_") == prefixed);
        found.unwrap_or_default().to_owned()
    }

    /// The known name that this one is a slip of, and what it means.
    pub(crate) fn near(name: &str) -> Option<(&'static str, Self)> {
        let stem = |name: &str| name.strip_prefix("arg_").unwrap_or(name).to_ascii_lowercase();
        let wanted = stem(name);
        let prefixed = name.starts_with("arg_");
        let slips = |known: &str| {
            let known = stem(known);
            let allowed = if known.len() < 6 { 1 } else { 2 };
            // A short name is near many words; one that is twice as long is another word.
            known.len() > 2 && distance(&wanted, &known) <= allowed
        };
        let alike = NAMES.iter().filter(|(known, _)| known.starts_with("arg_") == prefixed);
        alike
            .chain(NAMES)
            .filter(|(known, _)| slips(known))
            .min_by_key(|(known, _)| {
                (distance(&wanted, &stem(known)), known.starts_with("arg_") != prefixed)
            })
            .copied()
    }

    /// What it is, in words.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Method => "the request's method",
            Self::Url | Self::Path => "the request's URL",
            Self::Query => "the query",
            Self::Version => "the request's HTTP version",
            Self::Headers => "the request's headers",
            Self::Body => "the request's body",
            Self::BodySize => "the size of the request's body",
            Self::Id => "the request's id",
            Self::Status => "the answer's status",
            Self::AnswerHeaders => "the answer's headers",
            Self::AnswerBody => "the answer's body",
            Self::AnswerBodySize => "the size of the answer's body",
            Self::Waited => "whether HAProxy waited for the answer's body",
            Self::AskedAt => "when the request came, in microseconds",
            Self::AnsweredAt => "when the answer came, in microseconds",
            Self::Timer => "production's time, in milliseconds",
            Self::Source => "the client's address",
        }
    }

    /// The fetches that give it, the usual one first; empty where any may.
    pub(crate) fn fetches(self) -> &'static [&'static str] {
        match self {
            Self::Method => &["method", "capture.req.method"],
            Self::Url | Self::Path => &["url", "pathq", "path", "capture.req.uri"],
            Self::Query => &["query"],
            Self::Headers => &["req.hdrs_bin", "req.hdrs"],
            Self::Body => &["req.body"],
            Self::BodySize => &["req.body_size"],
            Self::Status => &["status", "txn.status"],
            Self::AnswerHeaders => &["res.hdrs_bin", "res.hdrs"],
            Self::AnswerBody => &["res.body"],
            Self::AnswerBodySize => &["res.body_size"],
            Self::AskedAt | Self::AnsweredAt => &["date", "accept_date", "request_date"],
            Self::Timer => &["res.timer.hdr"],
            Self::Version | Self::Id | Self::Waited | Self::Source => &[],
        }
    }

    /// What HAProxy is to hand over for it.
    pub(crate) fn expression(self) -> &'static str {
        match self {
            Self::AskedAt | Self::AnsweredAt => "date(0,us)",
            Self::Id => "unique-id",
            Self::Version => "req.ver",
            Self::Source => "src",
            Self::Waited => "bool(true)",
            _ => self.fetches().first().copied().unwrap_or_default(),
        }
    }

    /// The part that nothing but this fetch gives.
    pub(crate) fn given_by(fetch: &str) -> Option<Self> {
        Some(match fetch {
            "method" => Self::Method,
            "url" | "pathq" => Self::Url,
            "req.hdrs_bin" | "req.hdrs" => Self::Headers,
            "req.body" => Self::Body,
            "status" => Self::Status,
            "res.hdrs_bin" | "res.hdrs" => Self::AnswerHeaders,
            "res.body" => Self::AnswerBody,
            _ => return None,
        })
    }

    /// Whether it is of the answer.
    pub(crate) fn is_of_answer(self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::AnswerHeaders
                | Self::AnswerBody
                | Self::AnswerBodySize
                | Self::Waited
                | Self::AnsweredAt
                | Self::Timer
        )
    }
}

/// How many letters must be put, taken, changed or swapped with their neighbours to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    // Long words are no slips; and the work is bounded.
    if left.len().abs_diff(right.len()) > 3 || left.len() > 64 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at = |row: usize, column: usize| {
                rows.get(row).and_then(|row| row.get(column)).copied().unwrap_or(usize::MAX - 1)
            };
            let change = at(i, j) + usize::from(a != b);
            let put = row.get(j).map_or(usize::MAX, |cost| cost + 1);
            let mut cost = change.min(put).min(at(i, j + 1) + 1);
            let swapped =
                i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped {
                cost = cost.min(at(i - 1, j - 1) + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
