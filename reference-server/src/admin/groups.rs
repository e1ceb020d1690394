//! Groups, by the operator, who may do everything.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use tidewire_codec::proto::group_op::Op;
use tidewire_codec::proto::{
    GroupAdd, GroupCreate, GroupDelete, GroupGet, GroupInfo, GroupOp, GroupRemove,
    GroupSetPermissions, GroupUpdate,
};
use tidewire_core::api::{AdminOp, AdminReply};

use super::dto::{Group, GroupChange, NewGroup, NewMembers, Permissions};
use super::reply::Problem;
use super::{Api, Body};

pub(super) async fn create(
    State(api): State<Api>,
    Body(new): Body<NewGroup>,
) -> Result<(StatusCode, Json<Group>), Problem> {
    let op = Op::Create(GroupCreate {
        name: new.name,
        flags: new.flags,
        default_permissions: new.default_permissions,
        members: new.members.into_iter().map(Into::into).collect(),
        info: Bytes::from(new.info.0),
    });
    let info = run(&api, 0, None, op).await?;
    Ok((StatusCode::CREATED, Json(info.into())))
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(group): Path<u64>,
) -> Result<Json<Group>, Problem> {
    Ok(Json(
        run(&api, group, None, Op::Get(GroupGet {})).await?.into(),
    ))
}

pub(super) async fn update(
    State(api): State<Api>,
    Path(group): Path<u64>,
    Body(change): Body<GroupChange>,
) -> Result<Json<Group>, Problem> {
    let op = Op::Update(GroupUpdate {
        name: change.name,
        flags: change.flags,
        default_permissions: change.default_permissions,
        info: change.info.map(|info| Bytes::from(info.0)),
    });
    Ok(Json(run(&api, group, change.if_rev, op).await?.into()))
}

pub(super) async fn remove(
    State(api): State<Api>,
    Path(group): Path<u64>,
) -> Result<StatusCode, Problem> {
    run(&api, group, None, Op::Delete(GroupDelete {})).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn add(
    State(api): State<Api>,
    Path(group): Path<u64>,
    Body(new): Body<NewMembers>,
) -> Result<Json<Group>, Problem> {
    let op = Op::Add(GroupAdd {
        members: new.members.into_iter().map(Into::into).collect(),
    });
    Ok(Json(run(&api, group, None, op).await?.into()))
}

pub(super) async fn permit(
    State(api): State<Api>,
    Path((group, user)): Path<(u64, String)>,
    Body(mask): Body<Permissions>,
) -> Result<Json<Group>, Problem> {
    let op = Op::SetPermissions(GroupSetPermissions {
        user,
        permissions: mask.permissions,
    });
    Ok(Json(run(&api, group, None, op).await?.into()))
}

pub(super) async fn expel(
    State(api): State<Api>,
    Path((group, user)): Path<(u64, String)>,
) -> Result<StatusCode, Problem> {
    run(
        &api,
        group,
        None,
        Op::Remove(GroupRemove { users: vec![user] }),
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn run(api: &Api, group: u64, if_rev: Option<u64>, op: Op) -> Result<GroupInfo, Problem> {
    // HTTP gives no key to tell a repeat by; each call is an op of its own.
    let mut idem = [0; tidewire_codec::limits::IDEM_LEN];
    getrandom::fill(&mut idem).map_err(|error| Problem::internal(&error))?;
    let op = GroupOp {
        group,
        idem: Bytes::copy_from_slice(&idem),
        if_rev,
        op: Some(op),
        requires: Vec::new(),
    };
    match api.ask(AdminOp::Group { op: Box::new(op) }).await? {
        AdminReply::Group(info) => Ok(*info),
        AdminReply::NotFound => Err(Problem::not_found("group")),
        other => Err(Problem::unexpected(&other)),
    }
}
