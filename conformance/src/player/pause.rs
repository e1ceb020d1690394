//! A pause before a step, so that a person can look at the testee while the case stands still.

use std::io::{self, Write};

use super::Player;
use crate::session::{Step, Transport};

impl Player<'_> {
    /// Waits before the chosen step until somebody presses Enter, or stdin ends.
    pub(super) async fn pause_before(&mut self, step: &Step) {
        let is_here =
            |pause: &crate::run::Pause| pause.case == self.session.id && pause.line == step.line;
        if !self.stage.pause.as_deref().is_some_and(is_here) {
            return;
        }
        let mut text = format!(
            "\npaused before {}:{}\n",
            crate::cli::tidy(&self.session.path).display(),
            step.line
        );
        for line in self.session.source_of(step.line) {
            text += &format!("    {line}\n");
        }
        for transport in [Transport::Tcp, Transport::Ws, Transport::Tls] {
            if let Some(address) = self.stage.testee.address(transport) {
                text += &format!("the testee listens on {address} ({transport})\n");
            }
        }
        for actor in &self.session.actors {
            text += &format!(
                "{} is the user {}\n",
                actor.name,
                self.world.user(&actor.user)
            );
        }
        text += "Enter goes on: ";
        self.note(None, "paused");
        // A person reads and types; the connections stay as they are meanwhile. Without either there is nothing to wait for.
        let waited = tokio::task::spawn_blocking(move || {
            let _ = write!(io::stderr(), "{text}");
            let _ = io::stdin().read_line(&mut String::new());
        });
        let _ = waited.await;
    }
}
