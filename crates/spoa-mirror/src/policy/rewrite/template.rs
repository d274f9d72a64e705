//! Fills templates in with what redaction leaves of a request.

use std::borrow::Cow;

use super::query;
use crate::config::{Piece, Template};
use crate::policy::redact::Redactor;
use crate::policy::view::{self, View};

/// A request as a target may see it.
pub(super) struct Seen<'s, 'a> {
    pub(super) view: &'s View<'a>,
    pub(super) redactor: &'s Redactor,
    /// The name of the target.
    pub(super) target: &'s str,
}

impl<'a> Seen<'_, 'a> {
    /// The text that a template makes; what a request lacks is empty.
    pub(super) fn fill(&self, template: &Template) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in &template.pieces {
            text.extend_from_slice(&self.piece(piece));
        }
        text
    }

    /// The same as it stands in a query: percent-encoded, but for query parameters, which are
    /// already.
    pub(super) fn fill_encoded(&self, template: &Template) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in &template.pieces {
            let part = self.piece(piece);
            match piece {
                Piece::Parameter(_) => text.extend_from_slice(&part),
                _ => text.extend_from_slice(&query::encoded(&part)),
            }
        }
        text
    }

    fn piece<'p>(&'p self, piece: &'p Piece) -> Cow<'p, [u8]> {
        let view = self.view;
        match piece {
            Piece::Text(text) => text.as_bytes().into(),
            Piece::Method => view.method().into(),
            Piece::Path => view.path().into(),
            Piece::Query => self.redactor.query(view.query()),
            Piece::Host => view.host().into(),
            Piece::Source => match view.source() {
                Some(address) => address.to_string().into_bytes().into(),
                None => Cow::default(),
            },
            Piece::Target => self.target.as_bytes().into(),
            Piece::Header(name) => self.header(name).unwrap_or_default(),
            Piece::Cookie(name) => self.cookie(name).unwrap_or_default(),
            Piece::Parameter(name) => self.parameter(name).unwrap_or_default(),
            Piece::Argument(name) if self.redactor.is_active() && is_request(name) => {
                Cow::default()
            }
            Piece::Argument(name) => match view.argument(name) {
                Some(text) => text.to_vec().into(),
                None => Cow::default(),
            },
        }
    }

    fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.redactor.header(name.as_bytes(), self.view.header(name)?)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.view.headers("cookie").find_map(|header| {
            let header = self.redactor.header(b"cookie", header)?;
            within(header, |header| {
                view::cookies(header)
                    .find(|(found, _)| *found == name.as_bytes())
                    .map(|pair| pair.1)
            })
        })
    }

    fn parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        within(self.redactor.query(self.view.query()), |query| {
            view::parameters(query)
                .find(|(found, _)| query::is_named(found, name))
                .map(|pair| pair.1)
        })
    }
}

/// Whether an argument of this name holds a part of the request as the client sent it, or of production's
/// answer, which redaction looks into.
fn is_request(name: &str) -> bool {
    matches!(
        name.strip_prefix("arg_").unwrap_or(name),
        "url" | "path" | "pathq" | "query" | "hdrs" | "headers" | "body" | "res_hdrs" | "res_body"
    )
}

/// The part of `text` that `find` finds.
fn within<'a>(
    text: Cow<'a, [u8]>,
    find: impl for<'t> Fn(&'t [u8]) -> Option<&'t [u8]>,
) -> Option<Cow<'a, [u8]>> {
    match text {
        Cow::Borrowed(text) => find(text).map(Cow::Borrowed),
        Cow::Owned(text) => find(&text).map(|part| Cow::Owned(part.to_vec())),
    }
}
