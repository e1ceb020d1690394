//! The users of a case: made for it, or borrowed from a pool and left as they were found.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use tidewire_codec::{Flags, FrameType, RawFrame};
use tokio::time::Instant;

use super::expect::body_of;
use super::{Miss, Player};
use crate::names;
use crate::session::{Action, Admin};
use crate::testee::Loan;
use crate::transport::{Connection, Incoming};
use crate::value::{Scope, Val};
use crate::verdict::FailureClass;

impl<'a> Player<'a> {
    /// Makes or borrows the users of the case.
    pub(super) async fn prepare(&mut self) -> Result<Option<Loan<'a>>, Miss> {
        let aliases: BTreeSet<&str> = self
            .session
            .actors
            .iter()
            .map(|actor| actor.user.as_str())
            .collect();
        let testee = &self.stage.testee;
        if let Some(pool) = &testee.pool {
            let loan = pool.borrow(aliases.len()).await;
            for (alias, account) in aliases.iter().zip(loan.accounts()) {
                self.world.set_user(alias, &account.id);
                self.world.set(
                    format!("t.{alias}"),
                    Val::Bytes(account.token.clone().into()),
                );
            }
            // What the first round acknowledges may cause entries for the others; the second finds them, and causes none.
            for _ in 0..2 {
                for actor in 0..self.session.actors.len() {
                    self.prelude(actor).await?;
                }
            }
            return Ok(Some(loan));
        }
        let made: Vec<&str> = aliases
            .into_iter()
            .filter(|alias| !self.comes_later(alias))
            .collect();
        let ids: Vec<String> = made.iter().map(|alias| self.world.user(alias)).collect();
        let mut tokens = testee.provision(&ids).await.map_err(Miss::harness)?;
        for (alias, id) in made.iter().zip(&ids) {
            let token = tokens
                .remove(id)
                .ok_or_else(|| Miss::harness(format!("no token for {id}")))?;
            self.world
                .set(format!("t.{alias}"), Val::Bytes(token.into()));
        }
        Ok(None)
    }

    /// True if the first that happens to this user is that an operator makes it.
    fn comes_later(&self, alias: &str) -> bool {
        let is_of = |actor: Option<usize>| {
            actor
                .and_then(|actor| self.session.actors.get(actor))
                .is_some_and(|actor| actor.user == alias)
        };
        for step in &self.session.steps {
            match &step.action {
                Action::Admin(Admin::NewUser { user, .. }) if user == alias => return true,
                Action::Admin(Admin::DeleteUser { user } | Admin::NewToken { user, .. })
                    if user == alias =>
                {
                    return false;
                }
                _ if is_of(step.actor) => return false,
                _ => {}
            }
        }
        false
    }

    /// A borrowed user may have entries that wait: they are acknowledged, and the case resumes behind them.
    async fn prelude(&mut self, actor: usize) -> Result<(), Miss> {
        let (mut connection, login_ok) = self.quick_login(actor).await?;
        let number = |field: &str| {
            login_ok
                .get_field_by_name(field)
                .and_then(|value| value.as_u64())
                .unwrap_or(0)
        };
        let epoch = number("epoch");
        let mut last = 0;
        let deadline = Instant::now() + self.stage.budget;
        loop {
            let Incoming::Frame(frame) = connection.receive(deadline).await else {
                return Err(Miss::new(
                    FailureClass::NothingCame,
                    "SYNCED before the case",
                    "nothing",
                )
                .of(actor));
            };
            let body = body_of(&frame)?;
            let pos = body
                .and_then(|body| body.get_field_by_name("pos")?.as_u64())
                .unwrap_or(0);
            if frame.frame_type == FrameType::SYNCED {
                break;
            }
            last = last.max(pos);
        }
        if last > 0 {
            let mut ack = message("Ack")?;
            ack.try_set_field_by_name("pos", Value::U64(last))
                .map_err(Miss::harness)?;
            send(&mut connection, FrameType::ACK, 0, &ack, self.stage.budget).await?;
            // An ACK has no reply: behind the PONG it has been taken.
            super::witness::ping(&mut connection, 2, self.stage.budget).await?;
        }
        let name = self
            .session
            .actors
            .get(actor)
            .map(|actor| actor.name.clone())
            .unwrap_or_default();
        let head = number("head_pos").max(last);
        self.world
            .set(format!("{name}.resume_epoch"), Val::Int(i128::from(epoch)));
        self.world
            .set(format!("{name}.resume_pos"), Val::Int(i128::from(head)));
        Ok(())
    }

    /// Where a borrowed device goes on if its login does not say.
    pub(super) fn default_resume(&self, actor: usize) -> Option<DynamicMessage> {
        let name = &self.session.actors.get(actor)?.name;
        let number = |field: &str| match self.world.lookup(&format!("{name}.{field}")) {
            Some(Val::Int(number)) => u64::try_from(number).ok(),
            _ => None,
        };
        let (epoch, pos) = (number("resume_epoch")?, number("resume_pos")?);
        let mut resume = message("Resume").ok()?;
        resume
            .try_set_field_by_name("epoch", Value::U64(epoch))
            .ok()?;
        resume.try_set_field_by_name("pos", Value::U64(pos)).ok()?;
        Some(resume)
    }

    /// The devices of the case are forgotten, so that the next finds room for its own.
    pub(super) async fn give_back(&mut self, is_borrowed: bool) {
        if !is_borrowed {
            return;
        }
        for actor in 0..self.session.actors.len() {
            // A case may have ended its user or token; then there is nothing to give back.
            let Ok((mut connection, _)) = self.quick_login(actor).await else {
                continue;
            };
            let Ok(mut logout) = message("Logout") else {
                continue;
            };
            if logout
                .try_set_field_by_name("forget_device", Value::Bool(true))
                .is_err()
            {
                continue;
            }
            let budget = self.stage.budget;
            if send(&mut connection, FrameType::LOGOUT, 2, &logout, budget)
                .await
                .is_ok()
            {
                let deadline = Instant::now() + budget;
                while let Incoming::Frame(_) = connection.receive(deadline).await {}
            }
        }
    }

    async fn quick_login(&self, actor: usize) -> Result<(Connection, DynamicMessage), Miss> {
        let known = self
            .session
            .actors
            .get(actor)
            .ok_or_else(|| Miss::harness("no such actor"))?;
        let bytes = |name: String| match self.world.lookup(&name) {
            Some(Val::Bytes(bytes)) => Ok(bytes),
            _ => Err(Miss::harness(format!("${name} has no value"))),
        };
        let token = bytes(format!("t.{}", known.user))?;
        let device = bytes(format!("d.{}", known.name))?;
        super::witness::quick_login(self.stage, token, device).await
    }
}

/// An empty message of this name.
pub(super) fn message(name: &str) -> Result<DynamicMessage, Miss> {
    let descriptor =
        names::message(name).ok_or_else(|| Miss::harness(format!("no message {name}")))?;
    Ok(DynamicMessage::new(descriptor))
}

/// Sends a message outside of any case.
pub(super) async fn send(
    connection: &mut Connection,
    frame_type: FrameType,
    reference: u32,
    body: &DynamicMessage,
    budget: std::time::Duration,
) -> Result<(), Miss> {
    let frame = RawFrame {
        flags: Flags::NONE,
        frame_type,
        reference,
        body: body.encode_to_vec().into(),
    };
    let bytes = frame.to_bytes().map_err(Miss::harness)?;
    connection.send(&bytes, budget).await.map_err(Miss::harness)
}
