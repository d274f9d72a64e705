//! Style, script and icon, from inside the program. Their address has a hash of all of them in it: a
//! browser keeps them for good, and asks for others after an upgrade.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use xxhash_rust::xxh3::Xxh3;

use crate::admin::ApiError;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const ALL: [Asset; 5] = [
    Asset {
        name: "dashboard.css",
        content_type: STYLE,
        bytes: include_bytes!("../../assets/dashboard.css"),
    },
    Asset {
        name: "dashboard.js",
        content_type: SCRIPT,
        bytes: include_bytes!("../../assets/dashboard.js"),
    },
    Asset {
        name: "favicon.svg",
        content_type: "image/svg+xml",
        bytes: include_bytes!("../../assets/favicon.svg"),
    },
    Asset {
        name: "uplot.css",
        content_type: STYLE,
        bytes: include_bytes!("../../assets/uplot/uPlot.min.css"),
    },
    Asset {
        name: "uplot.js",
        content_type: SCRIPT,
        bytes: include_bytes!("../../assets/uplot/uPlot.iife.min.js"),
    },
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Xxh3::new();
    for asset in &ALL {
        hash.update(asset.bytes);
    }
    format!("{:016x}", hash.digest())
});

/// The folder that they are in, as pages name it.
pub(super) fn folder() -> String {
    format!("/assets/{}", *VERSION)
}

pub(super) async fn serve(
    Path((version, name)): Path<(String, String)>,
) -> Result<Response<Body>, ApiError> {
    let asset = ALL.iter().find(|asset| asset.name == name && version == *VERSION);
    let asset = asset.ok_or_else(|| {
        ApiError::not_found("there is no such part of a page; load the page again")
    })?;
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(CACHE_CONTROL, forever);
    Ok(response)
}
