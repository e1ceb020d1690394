//! Hooks for tests: time, restarts, faults. Only there with `--testing`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::dto::{Advance, Empty, Fault, Now, Restart, RestartMode};
use super::reply::Problem;
use super::{Api, Body};

pub(super) async fn clock(
    State(api): State<Api>,
    Body(wish): Body<Advance>,
) -> Result<Json<Now>, Problem> {
    let now = api
        .server
        .advance(Duration::from_millis(wish.advance_ms))
        .await;
    let now = now.ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "real_time",
            "time is real: no --virtual-clock",
        )
    })?;
    Ok(Json(Now { now_ms: now.0 }))
}

pub(super) async fn restart(
    State(api): State<Api>,
    Body(wish): Body<Restart>,
) -> Result<Json<Empty>, Problem> {
    let graceful = wish.mode == RestartMode::Graceful;
    let down = Duration::from_millis(wish.down_ms);
    api.server
        .restart(graceful, down)
        .await
        .map_err(|error| Problem::internal(&error))?;
    Ok(Json(Empty {}))
}

pub(super) async fn fault(
    State(api): State<Api>,
    Body(wish): Body<Fault>,
) -> Result<Json<Empty>, Problem> {
    let change = |faults: &mut crate::server::Faults| {
        faults.store_full = wish.store_full.unwrap_or(faults.store_full);
        faults.max_inbox = wish.max_inbox.unwrap_or(faults.max_inbox);
        faults.max_group_members = wish.max_group_members.unwrap_or(faults.max_group_members);
    };
    api.server.set_faults(change).await;
    Ok(Json(Empty {}))
}
