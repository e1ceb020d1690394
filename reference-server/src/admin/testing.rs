//! Hooks for tests: time, restarts, faults, many users at once. Only there with `--testing`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tidewire_core::api::{AdminOp, AdminReply};

use super::dto::{Advance, Batch, Empty, Fault, Now, Restart, RestartMode, Tokens};
use super::reply::Problem;
use super::{Api, Body};
use crate::token::Token;

pub(super) async fn batch(
    State(api): State<Api>,
    Body(batch): Body<Batch>,
) -> Result<Json<Tokens>, Problem> {
    let mut ops = Vec::new();
    let mut tokens = BTreeMap::new();
    for user in batch.users {
        let token = Token::generate().map_err(|error| Problem::internal(&error))?;
        ops.push(AdminOp::PutUser { user: user.clone() });
        ops.push(AdminOp::PutToken {
            user: user.clone(),
            digest: token.digest(),
            ttl_ms: None,
        });
        tokens.insert(user, token.reveal().to_owned());
    }
    for reply in api.ask_all(ops).await? {
        match reply {
            AdminReply::Done | AdminReply::Created => {}
            AdminReply::Invalid(message) => return Err(Problem::invalid("users", message)),
            other => return Err(Problem::unexpected(&other)),
        }
    }
    Ok(Json(Tokens { tokens }))
}

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
