//! What is no frame: the preface, the upgrade to WebSocket, and the end of a connection.

use std::sync::Arc;

use bytes::Bytes;

use super::edit::bytes as bytes_of;
use super::rule::{Action, On, Rule};
use super::{Out, Side, Tap, Upgrade};

impl Tap {
    /// The preface of this side.
    pub(crate) fn preface(&mut self, from: Side, bytes: Bytes) -> Vec<Out> {
        let to = from.other();
        let meant = |rule: &Rule| matches!(rule.on, On::Preface(side) if side == from);
        let Some((_, rule)) = self.event_rule(meant) else {
            return vec![Out::Bytes { to, bytes }];
        };
        match &rule.action {
            Action::Drop => Vec::new(),
            Action::Close => vec![Out::Close(to)],
            Action::Bytes(expr) => match bytes_of(expr, &self.scope(None, None)) {
                Ok(bytes) => vec![Out::Bytes { to, bytes }],
                Err(error) => {
                    self.wrong(rule.line, error);
                    Vec::new()
                }
            },
            _ => vec![Out::Bytes { to, bytes }],
        }
    }

    /// What this side says of the subprotocol.
    pub(crate) fn upgrade(&mut self, from: Side) -> Upgrade {
        let meant = |rule: &Rule| matches!(rule.on, On::Upgrade(side) if side == from);
        match self.event_rule(meant).map(|(_, rule)| rule.action) {
            Some(Action::Drop) => Upgrade::Silent,
            Some(_) => Upgrade::ForAll,
            None => Upgrade::AsItIs,
        }
    }

    /// This side ended the connection.
    pub(crate) fn closed(&mut self, from: Side) -> Vec<Out> {
        let to = from.other();
        let meant = |rule: &Rule| matches!(rule.on, On::Close(side) if side == from);
        let Some((_, rule)) = self.event_rule(meant) else {
            return vec![Out::Close(to)];
        };
        match &rule.action {
            Action::Drop => {
                self.is_zombie = true;
                Vec::new()
            }
            Action::Before(made) => match made.build(None, &self.scope(None, None)) {
                Ok(frame) => vec![Out::Frame { to, frame }, Out::Close(to)],
                Err(error) => {
                    self.wrong(rule.line, error);
                    vec![Out::Close(to)]
                }
            },
            _ => vec![Out::Close(to)],
        }
    }

    /// The first rule about a preface or a close that applies now.
    fn event_rule(&mut self, meant: impl Fn(&Rule) -> bool) -> Option<(usize, Rule)> {
        let rules = Arc::clone(&self.rules);
        for (index, rule) in rules.0.iter().enumerate() {
            if meant(rule) && self.is_time(index, rule) && self.counts(index, rule) {
                self.case
                    .with(|state| *state.fired.entry(index).or_default() += 1);
                return Some((index, rule.clone()));
            }
        }
        None
    }
}
