//! The dashboard: the pages that the agent serves to people, with all that they need inside the program.
//!
//! A page is made in full here and reads without JavaScript; `assets/dashboard.js` keeps it current, draws
//! the plots and sends what buttons ask for to the admin API. Everything that a page shows passes through
//! askama, which escapes it: bodies, headers and paths come from clients, who may be hostile.

mod assets;
mod candidate;
mod difference;
mod distribution;
mod endpoint;
mod endpoints;
mod events;
mod figures;
mod frame;
mod interval;
mod overview;
mod pair;
mod refusal;
mod report;
mod runs;
mod sample;
mod verdict;

use axum::Router;
use axum::routing::get;

pub(crate) use events::Changes;
pub(crate) use refusal::refusal;

use crate::control::Control;

/// What a browser may do with a page: show it with our own style, script and images, and ask us.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                                 img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                                 base-uri 'none'; frame-ancestors 'none'";

/// The pages, what they are made of, and what tells them to change.
pub(crate) fn router(changes: Changes) -> Router<Control> {
    Router::new()
        .route("/", get(overview::page))
        .route("/endpoints", get(endpoints::page))
        .route("/endpoint", get(endpoint::page))
        .route("/difference", get(difference::page))
        .route("/sample/{id}", get(sample::page))
        .route("/report", get(report::page))
        .route("/runs", get(runs::page))
        .route("/events", get(events::stream).with_state(changes))
        .route("/assets/{version}/{name}", get(assets::serve))
}
