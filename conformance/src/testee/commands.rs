//! A back door made of commands: each operation starts a program, and what it prints is the answer.

use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::AdminError;

/// A command that takes longer hangs.
const BUDGET: Duration = Duration::from_secs(60);

/// `[commands]` of a testee file. In the arguments `{user}`, `{token}`, `{ttl_ms}`, `{ms}`, `{mode}` and `{down_ms}` are
/// replaced; where there is no value, by nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Commands {
    /// Makes a user and prints a token for it.
    provision: Option<Vec<String>>,
    /// Prints another token.
    new_token: Option<Vec<String>>,
    revoke_token: Option<Vec<String>>,
    delete_user: Option<Vec<String>>,
    clock: Option<Vec<String>>,
    restart: Option<Vec<String>>,
}

impl Commands {
    /// What they are enough for.
    pub(super) fn capabilities(&self) -> impl Iterator<Item = String> {
        let users = [
            &self.provision,
            &self.new_token,
            &self.revoke_token,
            &self.delete_user,
        ];
        let found = [
            ("provision", users.iter().all(|command| command.is_some())),
            ("clock", self.clock.is_some()),
            ("restart", self.restart.is_some()),
        ];
        found
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| name.to_owned())
    }

    pub(super) async fn provision(&self, user: &str) -> Result<String, AdminError> {
        run(&self.provision, &[("user", user)]).await
    }

    pub(super) async fn new_token(
        &self,
        user: &str,
        ttl_ms: Option<u64>,
    ) -> Result<String, AdminError> {
        let ttl_ms = ttl_ms.map(|ttl_ms| ttl_ms.to_string()).unwrap_or_default();
        run(&self.new_token, &[("user", user), ("ttl_ms", &ttl_ms)]).await
    }

    pub(super) async fn revoke_token(&self, token: &str) -> Result<(), AdminError> {
        run(&self.revoke_token, &[("token", token)]).await.map(drop)
    }

    pub(super) async fn delete_user(&self, user: &str) -> Result<(), AdminError> {
        run(&self.delete_user, &[("user", user)]).await.map(drop)
    }

    pub(super) async fn advance(&self, ms: u64) -> Result<(), AdminError> {
        run(&self.clock, &[("ms", &ms.to_string())]).await.map(drop)
    }

    pub(super) async fn restart(&self, mode: &str, down_ms: Option<u64>) -> Result<(), AdminError> {
        let down_ms = down_ms
            .map(|down_ms| down_ms.to_string())
            .unwrap_or_default();
        run(&self.restart, &[("mode", mode), ("down_ms", &down_ms)])
            .await
            .map(drop)
    }
}

async fn run(command: &Option<Vec<String>>, values: &[(&str, &str)]) -> Result<String, AdminError> {
    let words = command.as_deref().unwrap_or_default();
    let fill = |word: &String| {
        values.iter().fold(word.clone(), |word, (name, value)| {
            word.replace(&format!("{{{name}}}"), value)
        })
    };
    let Some((program, arguments)) = words.split_first() else {
        return Err(AdminError("the testee has no command for this".to_owned()));
    };
    let fail = |what: String| AdminError(format!("{program}: {what}"));
    let started = Command::new(program)
        .args(arguments.iter().map(fill))
        .kill_on_drop(true)
        .output();
    let output = timeout(BUDGET, started)
        .await
        .map_err(|_| fail("not done within a minute".to_owned()))?;
    let output = output.map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        return Err(fail(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
