//! What a person reads who cannot be given the page asked for.

use askama::Template;
use axum::body::Body;
use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;

use super::frame::{Frame, show};
use crate::admin::ApiError;

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    frame: Frame,
    status: u16,
    name: &'static str,
    message: &'a str,
}

/// `response`, which tells of `error`, as a page; its status and headers stay.
pub(crate) fn refusal(error: &ApiError, response: Response<Body>) -> Response<Body> {
    let status = error.status();
    let name = status.canonical_reason().unwrap_or("Refused");
    let frame = Frame::new("");
    let page = Refusal { frame, status: status.as_u16(), name, message: error.message() };
    let Ok(page) = show(&page) else { return response };
    let (mut head, _) = response.into_parts();
    let (page_head, body) = page.into_parts();
    // That of the other body.
    head.headers.remove(CONTENT_LENGTH);
    head.headers.extend(page_head.headers);
    Response::from_parts(head, body)
}
