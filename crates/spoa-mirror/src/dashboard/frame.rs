//! What all pages have around them.

use std::time::SystemTime;

use askama::Template;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};

use super::assets;
use crate::admin::ApiError;
use crate::date::rfc3339;
use crate::legible::legible;

pub(super) type Answer = Result<Response<Body>, ApiError>;

/// What all pages have around them.
pub(super) struct Frame {
    /// The page's place in the navigation.
    pub(super) tab: &'static str,
    /// Where style and script are.
    pub(super) assets: String,
    /// When the page was made, RFC 3339.
    pub(super) at: String,
}

impl Frame {
    pub(super) fn new(tab: &'static str) -> Self {
        Self { tab, assets: assets::folder(), at: rfc3339(SystemTime::now()) }
    }

    /// The time of day of it.
    pub(super) fn time(&self) -> &str {
        self.at.get(11..19).unwrap_or_default()
    }

    /// For the link in the navigation that leads here.
    pub(super) fn current(&self, tab: &str) -> &'static str {
        if self.tab == tab { "page" } else { "false" }
    }
}

/// What templates do to values.
pub(super) mod filters {
    /// A time of RFC 3339 for people, to the second.
    pub(in crate::dashboard) fn moment(
        time: impl std::fmt::Display,
        _: &dyn askama::Values,
    ) -> askama::Result<String> {
        let time = time.to_string();
        Ok(match (time.get(..10), time.get(11..19)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => time,
        })
    }
}

/// Makes the page.
pub(super) fn show(page: &impl Template) -> Answer {
    let text = page.render().map_err(|error| {
        let message = format!("the page could not be made: {error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "no-page", message)
    })?;
    // Templates escape what means something in HTML; this is what means something to readers of text.
    let mut response = Response::new(Body::from(legible(&text, &['\n', '\t'])));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    Ok(response)
}
