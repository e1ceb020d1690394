//! The operator's door: HTTP and JSON, on an address of its own, behind one key.
//!
//! It has types of its own; nothing of the wire protocol shows through. The document at `/v1/openapi.json` describes it,
//! and a test holds it against the routes here.

mod dto;
mod groups;
mod reply;
mod testing;
mod users;

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use tidewire_core::api::{AdminOp, AdminReply};
use tokio::net::TcpListener;
use tracing::error;

use crate::server::Shared;
use crate::token::digest;
use reply::Problem;

/// The document that describes this API.
const OPENAPI: &str = include_str!("admin/openapi.json");
/// The largest body of a request: an `info` of a group and a thousand members are well below.
const MAX_BODY: usize = 1 << 20;

/// What handlers share.
#[derive(Clone)]
struct Api {
    server: Arc<Shared>,
    key: [u8; 32],
}

/// Every path, and what it answers to. `testing`: only where tests may play with the server.
fn routes() -> Vec<(&'static str, bool, MethodRouter<Api>)> {
    vec![
        ("/v1/users", false, get(users::list)),
        (
            "/v1/users/{user}",
            false,
            put(users::create).delete(users::remove),
        ),
        ("/v1/batch", false, post(users::batch)),
        ("/v1/users/{user}/tokens", false, post(users::new_token)),
        ("/v1/tokens", false, delete(users::revoke_token)),
        ("/v1/groups", false, post(groups::create)),
        (
            "/v1/groups/{group}",
            false,
            get(groups::show)
                .patch(groups::update)
                .delete(groups::remove),
        ),
        ("/v1/groups/{group}/members", false, post(groups::add)),
        (
            "/v1/groups/{group}/members/{user}",
            false,
            put(groups::permit).delete(groups::expel),
        ),
        ("/v1/stats", false, get(stats)),
        ("/v1/testing/clock", true, post(testing::clock)),
        ("/v1/testing/restart", true, post(testing::restart)),
        ("/v1/testing/fault", true, post(testing::fault)),
    ]
}

/// Serves until it is dropped.
pub(crate) fn serve(
    listener: TcpListener,
    server: Arc<Shared>,
    key: &str,
) -> impl Future<Output = ()> + use<> {
    let app = router(Api {
        server,
        key: digest(key.as_bytes()),
    });
    async move {
        if let Err(error) = axum::serve(listener, app).await {
            error!(%error, "the admin API ended");
        }
    }
}

fn router(api: Api) -> Router {
    let testing = api.server.testing;
    let locked = routes()
        .into_iter()
        .filter(|(_, for_tests, _)| testing || !for_tests)
        .fold(Router::new(), |router, (path, _, methods)| {
            router.route(path, methods)
        })
        .route_layer(from_fn_with_state(api.clone(), check_key));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/v1/openapi.json", get(openapi))
        .merge(locked)
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such path")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
            )
        })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

async fn check_key(
    State(api): State<Api>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    // Digests are compared, so the time it takes says nothing about the key.
    if given.is_some_and(|given| digest(given.as_bytes()) == api.key) {
        return next.run(request).await;
    }
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "say Authorization: Bearer and the key",
    );
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

async fn healthz(State(api): State<Api>) -> Result<&'static str, Problem> {
    // The engine has to answer: a process whose engine hangs is not healthy.
    api.ask(AdminOp::Stats).await?;
    Ok("ok\n")
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn stats(State(api): State<Api>) -> Result<Json<dto::Stats>, Problem> {
    match api.ask(AdminOp::Stats).await? {
        AdminReply::Stats(stats) => Ok(Json(dto::Stats::new(
            stats,
            api.server.hub.open(),
            api.server.now(),
        ))),
        other => Err(Problem::unexpected(&other)),
    }
}

impl Api {
    async fn ask(&self, op: AdminOp) -> Result<AdminReply, Problem> {
        self.ask_all(vec![op])
            .await?
            .pop()
            .ok_or_else(Problem::gone)
    }

    /// All in one burst, so with one sync.
    async fn ask_all(&self, ops: Vec<AdminOp>) -> Result<Vec<AdminReply>, Problem> {
        let count = ops.len();
        let replies = self.server.admin(ops).await.map_err(|_| Problem::gone())?;
        if replies.len() == count {
            Ok(replies)
        } else {
            Err(Problem::gone())
        }
    }
}

/// A JSON body. An empty one counts as `{}`. What does not fit is answered with the name of the field.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, "bad_body", error.body_text())
            })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut json = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = error.path().to_string();
            Problem::invalid(&field, error.inner().to_string())
        })?;
        json.end()
            .map_err(|error| Problem::invalid("", error.to_string()))?;
        Ok(Body(value))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The operations of the document, as "put /v1/users/{user}".
    fn documented() -> BTreeSet<String> {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        });
        operations
            .filter(|operation| !operation.starts_with("parameters "))
            .collect()
    }

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        // The methods of a route can be seen in what it prints.
        let mut served: BTreeSet<String> = ["get /healthz", "get /v1/openapi.json"]
            .map(String::from)
            .into();
        for (path, _, methods) in routes() {
            let printed = format!("{methods:?}");
            for method in ["get", "put", "post", "patch", "delete"] {
                if !printed.contains(&format!("{method}: None")) {
                    served.insert(format!("{method} {path}"));
                }
            }
        }
        assert_eq!(documented(), served);
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(
                document
                    .pointer(reference.trim_start_matches('#'))
                    .is_some(),
                "{reference}"
            );
        }
    }
}
