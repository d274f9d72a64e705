//! Places that may differ without a "fail".

use std::fmt;

use crate::Place;
use crate::books::Site;
use crate::path::{Segment, Spot};
use crate::pattern::{PlacePattern, Step, glob};

/// A place that may differ, written as in a [`Rule`](crate::Rule). It is still compared, counted and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    endpoint: String,
    /// `None` for everything.
    place: Option<PlacePattern>,
    /// The place as written.
    written: String,
}

/// Why a place cannot be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedError {
    /// The byte of the place where it is wrong.
    pub at: usize,
    /// In what way.
    pub message: String,
}

impl fmt::Display for AllowedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.message)
    }
}

impl std::error::Error for AllowedError {}

impl Allowed {
    /// Allows `place` (`status`, `header x-build`, `$.items[].price`; `*` for everything) and what is below
    /// it to differ at the endpoints `endpoint`, in which `*` stands for any characters.
    ///
    /// # Errors
    /// If one of them is not written so.
    pub fn new(endpoint: &str, place: &str) -> Result<Self, AllowedError> {
        if endpoint.is_empty() {
            let message = "an endpoint is missing; `*` is any".to_owned();
            return Err(AllowedError { at: 0, message });
        }
        let written = place;
        let parse = |place| PlacePattern::parse(place);
        let place = (place != "*").then_some(place).map(parse).transpose();
        let place = place.map_err(|fault| AllowedError { at: fault.at, message: fault.message })?;
        Ok(Self { endpoint: endpoint.to_owned(), place, written: written.to_owned() })
    }

    /// The endpoints, as written.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The place, as written.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.written
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn allows(&self, endpoint: &str, site: &Site) -> bool {
        glob(&self.endpoint, endpoint)
            && match (&self.place, site) {
                (None, _) => true,
                (Some(_), Site::Unlisted | Site::Elsewhere) => false,
                (Some(pattern), Site::At(place, _)) => covers(pattern, place),
            }
    }
}

fn covers(pattern: &PlacePattern, place: &Place) -> bool {
    match place {
        Place::Status => *pattern == PlacePattern::Status,
        Place::Header(name) => pattern.covers(Spot::Header(name)),
        // A place is written as the pattern that is about it alone.
        Place::Body(text) => {
            let Ok(PlacePattern::Body(steps)) = PlacePattern::parse(text) else {
                return pattern.covers(Spot::Body(&[]));
            };
            let segment = |step: &Step| match step {
                Step::Member(name) => Segment::Member(name.clone().into_bytes().into()),
                Step::Entry => Segment::Entry(Vec::new().into()),
                Step::Element | Step::AnyMember | Step::Below => Segment::Element,
            };
            let path: Vec<_> = steps.iter().map(segment).collect();
            pattern.covers(Spot::Body(&path))
        }
    }
}
