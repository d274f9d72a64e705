//! A kept pair in full.

use askama::Template;
use axum::extract::State;

use super::frame::{Answer, Frame, filters, show};
use super::pair::{Line, Pair};
use crate::admin::ApiError;
use crate::admin::comparison::api::{Number, comparing};
use crate::control::Control;

pub(super) async fn page(State(control): State<Control>, Number(id): Number) -> Answer {
    let sample = comparing(&control)?.ledger().sample(id).cloned();
    let sample = sample.ok_or_else(|| {
        ApiError::not_found(format!(
            "pair {id} is not kept: newer ones have taken its place, or it was of an earlier run"
        ))
    })?;
    show(&Shown { frame: Frame::new("endpoints"), pair: Pair::new(&sample, false) })
}

#[derive(Template)]
#[template(path = "sample.html")]
struct Shown {
    frame: Frame,
    pair: Pair,
}
