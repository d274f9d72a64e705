//! The API's description, written from the types that it serves.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::error::ErrorBody;
use super::history;
use super::{api, comparison};

/// What any request may be answered with besides what is told of each.
const ANY_TIME: [(&str, &str); 8] = [
    ("400", "The request is malformed; the message says in what way"),
    ("401", "The token is missing or wrong"),
    ("403", "A page of another site asked for a change"),
    ("408", "The request did not come to its end in time"),
    ("413", "The body is too large"),
    ("415", "The body is not said to be JSON"),
    ("421", "The host asked for is not this one"),
    ("429", "Too many requests; the header `retry-after` says when to come back"),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "spoa-mirror",
        description = "Reads and changes a running agent. Changes hold until it is restarted, and \
                       stay in force over reloads."
    ),
    paths(
        api::healthz,
        api::readyz,
        api::metrics,
        api::description,
        api::status,
        api::config,
        api::changes,
        history::history,
        api::reload,
        api::targets,
        api::target,
        api::change,
        api::pause,
        api::resume,
        api::reset,
        api::pause_all,
        api::resume_all,
        comparison::api::verdict,
        comparison::api::endpoints,
        comparison::api::endpoint,
        comparison::api::sample,
        comparison::api::report,
        comparison::api::runs,
        comparison::api::ended_run,
        comparison::api::begin,
        comparison::api::rules,
        comparison::api::add_rule,
        comparison::api::remove_rule,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Everywhere),
    security((), ("token" = [])),
)]
struct Description;

/// Adds what holds for every request.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token of the configuration's admin.token, where one is set."));
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
        for (path, item) in &mut document.paths.paths {
            if path == "/healthz" {
                continue;
            }
            let operations =
                [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter();
            for operation in operations.flatten() {
                for (status, description) in ANY_TIME {
                    let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
                    let response = ResponseBuilder::new()
                        .description(description)
                        .content("application/json", content)
                        .build();
                    let responses = &mut operation.responses.responses;
                    responses.entry(status.to_owned()).or_insert(RefOr::T(response));
                }
            }
        }
    }
}

/// The document.
pub(super) fn document() -> Document {
    Description::openapi()
}
