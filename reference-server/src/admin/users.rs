//! Users and their tokens.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use tidewire_core::api::{AdminOp, AdminReply};

use super::dto::{Batch, Empty, MadeToken, NewToken, Page, Tokens, Users, WhichToken};
use super::reply::Problem;
use super::{Api, Body};
use crate::token::{Token, digest};

/// Users in one answer, where nothing is said, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

pub(super) async fn list(
    State(api): State<Api>,
    Query(page): Query<Page>,
) -> Result<Json<Users>, Problem> {
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::invalid(
            "limit",
            format!("limit is {limit}, it has to be 1 to {MAX_PAGE}"),
        ));
    }
    match api
        .ask(AdminOp::ListUsers {
            after: page.after,
            limit,
        })
        .await?
    {
        AdminReply::Users(users) => Ok(Json(Users { users })),
        other => Err(Problem::unexpected(&other)),
    }
}

pub(super) async fn create(
    State(api): State<Api>,
    Path(user): Path<String>,
) -> Result<(StatusCode, Json<Empty>), Problem> {
    match api.ask(AdminOp::PutUser { user }).await? {
        AdminReply::Created => Ok((StatusCode::CREATED, Json(Empty {}))),
        AdminReply::Done => Ok((StatusCode::OK, Json(Empty {}))),
        AdminReply::Invalid(message) => Err(Problem::invalid("user", message)),
        other => Err(Problem::unexpected(&other)),
    }
}

pub(super) async fn remove(
    State(api): State<Api>,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    match api.ask(AdminOp::DeleteUser { user }).await? {
        AdminReply::Done => Ok(StatusCode::NO_CONTENT),
        AdminReply::NotFound => Err(Problem::not_found("user")),
        other => Err(Problem::unexpected(&other)),
    }
}

pub(super) async fn new_token(
    State(api): State<Api>,
    Path(user): Path<String>,
    Body(wish): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    if wish.ttl_ms == Some(0) {
        return Err(Problem::invalid(
            "ttl_ms",
            "ttl_ms is 0, it has to be 1 at least",
        ));
    }
    let token = Token::generate().map_err(|error| Problem::internal(&error))?;
    match api
        .ask(AdminOp::PutToken {
            user,
            digest: token.digest(),
            ttl_ms: wish.ttl_ms,
        })
        .await?
    {
        AdminReply::Done | AdminReply::Created => {
            let made = MadeToken {
                token: token.reveal().into(),
                token_id: to_id(&token.digest()),
            };
            Ok((StatusCode::CREATED, Json(made)))
        }
        AdminReply::NotFound => Err(Problem::not_found("user")),
        other => Err(Problem::unexpected(&other)),
    }
}

pub(super) async fn revoke_token(
    State(api): State<Api>,
    Body(which): Body<WhichToken>,
) -> Result<StatusCode, Problem> {
    let digest = match (which.token, which.token_id) {
        (Some(token), None) => digest(token.as_bytes()),
        (None, Some(id)) => from_id(&id)
            .ok_or_else(|| Problem::invalid("token_id", "token_id is not 64 hex digits"))?,
        _ => return Err(Problem::invalid("token", "say either token or token_id")),
    };
    match api.ask(AdminOp::RevokeToken { digest }).await? {
        AdminReply::Done => Ok(StatusCode::NO_CONTENT),
        AdminReply::NotFound => Err(Problem::not_found("token")),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Many users, each with a token, in one burst of the engine.
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

/// The id of a token is its digest: it names the token without giving it away.
fn to_id(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_id(id: &str) -> Option<[u8; 32]> {
    if id.len() != 64 || !id.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(id.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_their_digest() {
        let digest = digest(b"token");
        assert_eq!(from_id(&to_id(&digest)), Some(digest));
        for wrong in ["", "00", &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(from_id(wrong), None);
        }
    }
}
