//! The verbs, one by one.

use tidewire_codec::FrameType;
use tokio::time::Instant;

use super::expect::{Came, describe};
use super::link::Link;
use super::login::plain;
use super::{Miss, Player};
use crate::session::{Action, Admin, Expect, Known, Step, Transport};
use crate::transport::{OpenError, Opening};
use crate::value::{Expr, Val};
use crate::verdict::FailureClass;

impl Player<'_> {
    /// Plays one step.
    pub(super) async fn step(&mut self, index: usize, step: &Step) -> Result<(), Miss> {
        let actor = step.actor.unwrap_or_default();
        if let Some(actor) = step.actor
            && self.sdk(actor).is_some()
        {
            return self.sdk_step(actor, step).await;
        }
        match &step.action {
            Action::Connect {
                preface,
                subprotocol,
                refused,
            } => {
                let preface = match preface {
                    Some(expr) => Some(
                        super::send::bytes_of(expr.eval(&self.world).map_err(Miss::harness)?)?
                            .into(),
                    ),
                    None => None,
                };
                let opening = Opening {
                    preface,
                    subprotocol: subprotocol.clone(),
                };
                if *refused {
                    self.refused(actor, &opening).await
                } else {
                    self.connect(actor, &opening).await
                }
            }
            Action::Login(login) => self.login_step(index, actor, login).await,
            Action::Send(send) => self.send_step(index, actor, send).await,
            Action::Expect { expect, times } => {
                let times = times.eval_int(&self.world).map_err(Miss::harness)?;
                for number in 0..times {
                    let found = self.one_of(actor, &[expect]).await;
                    found.map_err(|miss| {
                        if times > 1 {
                            numbered(miss, number, times)
                        } else {
                            miss
                        }
                    })?;
                }
                Ok(())
            }
            Action::ExpectSet(all) => self.expect_set(actor, all).await,
            Action::OneOf(all) => {
                let expects: Vec<&Expect> = all.iter().collect();
                let found = self.one_of(actor, &expects).await?;
                self.credit(all.get(found));
                Ok(())
            }
            Action::Quiet => self.fence(actor).await,
            Action::Goaway(expect) => self.goaway(actor, expect).await,
            Action::Closed => {
                self.needs_witness = true;
                self.closes(actor, "the server closes without a frame")
                    .await
            }
            Action::Raw { bytes, split, text } => self.raw_step(actor, bytes, *split, *text).await,
            Action::Reading(reading) => {
                self.link(actor)?.reading = *reading;
                Ok(())
            }
            Action::Cut => {
                self.note(Some(actor), "drops the connection");
                self.drop_link(actor);
                Ok(())
            }
            Action::Close => {
                let budget = self.stage.budget;
                self.note(Some(actor), "closes its side");
                self.link(actor)?.connection.finish(budget).await;
                self.closes(actor, "the server closes after us").await
            }
            Action::Clock(ms) => {
                let ms = self.millis(ms)?;
                self.note(None, format!("the clock moves on by {ms} ms"));
                self.advance(ms).await
            }
            Action::Restart {
                graceful,
                goaways,
                down_ms,
            } => {
                let down_ms = down_ms.as_ref().map(|expr| self.millis(expr)).transpose()?;
                self.restart(*graceful, goaways, down_ms).await
            }
            Action::Admin(admin) => self.admin(admin).await,
            Action::Fault(switch) => {
                self.note(None, format!("fault {switch:?}"));
                if self.is_ignored(switch.name()) {
                    return Ok(());
                }
                self.stage
                    .testee
                    .fault(*switch)
                    .await
                    .map_err(Miss::harness)
            }
            Action::Sdk(_) => Err(Miss::harness("only an SDK under test can do this")),
            Action::Bind(binds) => {
                for (name, expr) in binds {
                    let value = expr.eval(&self.world).map_err(Miss::harness)?;
                    self.world.set(name.clone(), value);
                }
                Ok(())
            }
        }
    }

    /// The actor's connection.
    pub(super) fn link(&mut self, actor: usize) -> Result<&mut Link, Miss> {
        let link = self.links.get_mut(actor).and_then(Option::as_mut);
        link.ok_or_else(|| Miss::harness("this actor has no open connection"))
    }

    /// Forgets the connection, which closes it.
    pub(super) fn drop_link(&mut self, actor: usize) {
        if let Some(link) = self.links.get_mut(actor) {
            *link = None;
        }
    }

    pub(super) async fn connect(&mut self, actor: usize, opening: &Opening) -> Result<(), Miss> {
        let transport = self.transport(actor);
        self.note(Some(actor), format!("connects over {transport}"));
        match self.open(actor, transport, opening).await {
            Ok(connection) => {
                if let Some(link) = self.links.get_mut(actor) {
                    *link = Some(Link::new(connection));
                }
                Ok(())
            }
            Err(error) => Err(Miss::new(
                FailureClass::NoConnection,
                "a connection",
                error.to_string(),
            )),
        }
    }

    /// How this actor's bytes travel.
    pub(super) fn transport(&self, actor: usize) -> Transport {
        let own = self
            .session
            .actors
            .get(actor)
            .and_then(|actor| actor.transport);
        own.unwrap_or(self.stage.transport)
    }

    async fn refused(&mut self, actor: usize, opening: &Opening) -> Result<(), Miss> {
        let expected = "the upgrade is refused with an HTTP error";
        match self.connect_result(actor, opening).await {
            Err(OpenError::Refused(status)) if (400..600).contains(&status) => {
                self.needs_witness = true;
                Ok(())
            }
            Err(error) => Err(Miss::new(
                FailureClass::NoConnection,
                expected,
                error.to_string(),
            )),
            Ok(()) => Err(Miss::new(
                FailureClass::NoConnection,
                expected,
                "a connection",
            )),
        }
    }

    async fn connect_result(&mut self, actor: usize, opening: &Opening) -> Result<(), OpenError> {
        let transport = self.transport(actor);
        self.open(actor, transport, opening).await.map(drop)
    }

    async fn expect_set(&mut self, actor: usize, all: &[Expect]) -> Result<(), Miss> {
        let mut left: Vec<&Expect> = all.iter().collect();
        while !left.is_empty() {
            let found = self.one_of(actor, &left).await?;
            let expect = left.remove(found);
            self.credit(Some(expect));
        }
        Ok(())
    }

    pub(super) fn credit(&mut self, expect: Option<&Expect>) {
        self.proved.extend(
            expect
                .into_iter()
                .flat_map(|expect| expect.proves.iter().cloned()),
        );
    }

    async fn goaway(&mut self, actor: usize, expect: &Expect) -> Result<(), Miss> {
        self.one_of(actor, &[expect]).await?;
        self.needs_witness = true;
        self.closes(actor, "the server closes after GOAWAY").await
    }

    /// Nothing comes any more but the end.
    async fn closes(&mut self, actor: usize, expected: &str) -> Result<(), Miss> {
        let deadline = Instant::now() + self.stage.budget;
        match self.next(actor, &[], deadline).await? {
            Came::Closed => Ok(()),
            Came::Frame(frame) => Err(Miss::new(
                FailureClass::ExtraFrame,
                expected,
                describe(&frame),
            )),
            Came::Nothing => {
                let miss = self.nothing_came(actor, expected).await;
                let class = match miss.class {
                    FailureClass::NothingCameAlive => FailureClass::NotClosed,
                    class => class,
                };
                Err(Miss { class, ..miss })
            }
        }
    }

    async fn restart(
        &mut self,
        graceful: bool,
        goaways: &[usize],
        down_ms: Option<u64>,
    ) -> Result<(), Miss> {
        self.note(
            None,
            if graceful {
                "the server is stopped and started"
            } else {
                "the server crashes and starts"
            },
        );
        self.restart_testee(graceful, down_ms).await?;
        let shutting_down = Expect {
            code: Some(Known::Now(tidewire_codec::Code::SHUTTING_DOWN)),
            ..plain(FrameType::GOAWAY)
        };
        for actor in goaways {
            let ended = match self.sdk(*actor) {
                Some(_) => self.sdk_goaway(*actor, &shutting_down).await,
                None => self.goaway(*actor, &shutting_down).await,
            };
            ended.map_err(|miss| miss.of(*actor))?;
        }
        self.links.iter_mut().for_each(|link| *link = None);
        self.sdks_lose_server().await?;
        Ok(())
    }

    async fn admin(&mut self, admin: &Admin) -> Result<(), Miss> {
        let testee = &self.stage.testee;
        match admin {
            Admin::NewToken { user, ttl_ms, bind } => {
                let ttl_ms = ttl_ms.as_ref().map(|expr| self.millis(expr)).transpose()?;
                let id = self.world.user(user);
                self.note(None, format!("operator: a new token for {id}"));
                let token = testee
                    .admin
                    .new_token(&id, ttl_ms)
                    .await
                    .map_err(Miss::harness)?;
                if let Some(name) = bind {
                    self.world.set(name.clone(), Val::Bytes(token.into()));
                }
            }
            Admin::RevokeToken { token } => {
                let token = super::send::bytes_of(token.eval(&self.world).map_err(Miss::harness)?)?;
                let token = String::from_utf8(token).map_err(Miss::harness)?;
                self.note(None, "operator: revokes a token");
                if self.is_ignored("revoke-token") {
                    return Ok(());
                }
                testee
                    .admin
                    .revoke_token(&token)
                    .await
                    .map_err(Miss::harness)?;
            }
            Admin::DeleteUser { user } => {
                let id = self.world.user(user);
                self.note(None, format!("operator: deletes {id}"));
                if self.is_ignored("delete-user") {
                    return Ok(());
                }
                testee.admin.delete_user(&id).await.map_err(Miss::harness)?;
            }
            Admin::NewUser { user, bind } => {
                let id = self.world.user(user);
                self.note(None, format!("operator: makes {id}"));
                testee.admin.new_user(&id).await.map_err(Miss::harness)?;
                let token = testee
                    .admin
                    .new_token(&id, None)
                    .await
                    .map_err(Miss::harness)?;
                self.world
                    .set(format!("t.{user}"), Val::Bytes(token.clone().into()));
                if let Some(name) = bind {
                    self.world.set(name.clone(), Val::Bytes(token.into()));
                }
            }
            Admin::NewUsers { count, bind } => {
                let count = count.eval_int(&self.world).map_err(Miss::harness)?;
                let ids: Vec<String> = (0..count)
                    .map(|number| self.world.user(&format!("{bind}{number:04}")))
                    .collect();
                self.note(None, format!("operator: makes {count} users"));
                testee.provision(&ids).await.map_err(Miss::harness)?;
                self.world.set(
                    bind.clone(),
                    Val::List(ids.into_iter().map(Val::Text).collect()),
                );
            }
        }
        Ok(())
    }

    pub(super) fn millis(&self, expr: &Expr) -> Result<u64, Miss> {
        u64::try_from(expr.eval_int(&self.world).map_err(Miss::harness)?).map_err(Miss::harness)
    }
}

fn numbered(miss: Miss, number: i128, times: i128) -> Miss {
    let at = format!("{} frame {} of {times}", miss.at, number + 1);
    Miss {
        at: at.trim_start().to_owned(),
        ..miss
    }
}
