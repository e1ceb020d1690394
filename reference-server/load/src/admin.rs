//! Just enough HTTP to ask the server's admin API for users, tokens and groups.

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The operator's door.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Admin {
    /// POSTs JSON and returns the JSON of the answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let authority = self
            .url
            .strip_prefix("http://")
            .context("the admin URL is not http://")?;
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.key,
            body.len(),
        );
        let mut stream = TcpStream::connect(authority).await.context("admin API")?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("the admin API gave no HTTP answer")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            bail!("POST {path}: {status} {body}");
        }
        serde_json::from_str(body).with_context(|| format!("POST {path}"))
    }

    /// Makes users, each with a token, in one call.
    pub(crate) async fn make_users(&self, users: &[String]) -> anyhow::Result<Vec<String>> {
        let answer = self
            .post("/v1/batch", &serde_json::json!({ "users": users }))
            .await?;
        let token = |user: &String| {
            answer["tokens"][user]
                .as_str()
                .map(String::from)
                .context("no token")
        };
        users.iter().map(token).collect()
    }

    /// Makes a group of which the first user is the owner.
    pub(crate) async fn make_group(&self, users: &[String]) -> anyhow::Result<u64> {
        let members = |users: &[String]| -> Vec<Value> {
            users
                .iter()
                .map(|user| serde_json::json!({ "user": user }))
                .collect()
        };
        // One op takes 1,000 members.
        let mut chunks = users.chunks(1_000);
        let first = serde_json::json!({ "name": "load", "members": members(chunks.next().unwrap_or_default()) });
        let group = self.post("/v1/groups", &first).await?;
        let id = group["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .context("no group id")?;
        for chunk in chunks {
            let more = serde_json::json!({ "members": members(chunk) });
            self.post(&format!("/v1/groups/{id}/members"), &more)
                .await?;
        }
        Ok(id)
    }
}
