//! A small HTTP client for the admin API: JSON there and back over connections that are kept.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{AdminError, StartError};

/// A restart or a month of virtual time takes a moment; a minute is a testee that hangs.
const BUDGET: Duration = Duration::from_secs(60);

/// An admin API over HTTP.
pub(crate) struct HttpAdmin {
    target: Mutex<Target>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

#[derive(Clone)]
struct Target {
    authority: String,
    key: String,
}

impl Target {
    fn new(url: &str, key: &str) -> Result<Target, StartError> {
        let authority = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        let authority = authority.ok_or_else(|| {
            StartError::new(format!("the admin url {url} is not http://host:port"))
        })?;
        Ok(Target {
            authority: authority.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl HttpAdmin {
    /// # Errors
    /// If the URL is not `http://host:port`.
    pub(super) fn new(url: &str, key: &str) -> Result<HttpAdmin, StartError> {
        Ok(HttpAdmin {
            target: Mutex::new(Target::new(url, key)?),
            idle: Mutex::default(),
        })
    }

    /// The testee was started anew: its address or key may be another, and the connections to it are gone.
    pub(super) fn retarget(&self, url: &str, key: &str) -> Result<(), StartError> {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Target::new(url, key)?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    /// One request. The answer is `Null` where it has no body.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, AdminError> {
        let fail = |what: String| AdminError(format!("{method} {path}: {what}"));
        let answered = timeout(BUDGET, self.exchange(method, path, body)).await;
        let (status, bytes) = answered
            .map_err(|_| fail("no answer within a minute".to_owned()))?
            .map_err(fail)?;
        if !(200..300).contains(&status) {
            return Err(fail(format!(
                "status {status}: {}",
                String::from_utf8_lossy(&bytes)
            )));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| fail(format!("the answer is not JSON: {error}")))
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Bytes), String> {
        let target = self
            .target
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        // A kept connection may have been closed meanwhile; a new one is tried once then.
        loop {
            let kept = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let was_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => connect(&target.authority).await?,
            };
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", &target.authority)
                .header("authorization", format!("Bearer {}", target.key))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(text.clone())))
                .map_err(|error| error.to_string())?;
            if was_kept && sender.ready().await.is_err() {
                continue;
            }
            let answer = match sender.send_request(request).await {
                Ok(answer) => answer,
                Err(error) if was_kept && error.is_canceled() => continue,
                Err(error) => return Err(error.to_string()),
            };
            let status = answer.status().as_u16();
            let bytes = answer
                .into_body()
                .collect()
                .await
                .map_err(|error| error.to_string())?
                .to_bytes();
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(sender);
            return Ok((status, bytes));
        }
    }
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>, String> {
    let socket = TcpStream::connect(authority)
        .await
        .map_err(|error| error.to_string())?;
    socket
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let (sender, connection) = handshake(TokioIo::new(socket))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}
