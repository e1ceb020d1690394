//! Fences: a PING whose PONG shows that nothing else came, and would have come by now.

use tidewire_codec::{FrameType, RawFrame};
use tokio::time::Instant;

use super::expect::{Came, describe};
use super::{Miss, Player};
use crate::session::Outcome;
use crate::session::Sweep;
use crate::verdict::FailureClass;

impl Player<'_> {
    /// A `quiet` step: nothing but the PONG comes.
    pub(super) async fn fence(&mut self, actor: usize) -> Result<(), Miss> {
        let ping = self.send_ping(actor).await?;
        self.pong(actor, &ping).await
    }

    async fn pong(&mut self, actor: usize, ping: &RawFrame) -> Result<(), Miss> {
        let deadline = Instant::now() + self.stage.budget;
        let expected = "nothing but the PONG of a fence";
        match self.next(actor, &[], deadline).await? {
            Came::Frame(frame)
                if frame.frame_type == FrameType::PONG && frame.reference == ping.reference =>
            {
                if frame.body == ping.body {
                    return Ok(());
                }
                let miss = Miss::new(
                    FailureClass::WrongField,
                    "the data of the PING",
                    describe(&frame),
                );
                Err(Miss {
                    at: "data of PONG".to_owned(),
                    ..miss
                })
            }
            Came::Frame(frame) => Err(Miss::new(
                FailureClass::ExtraFrame,
                expected,
                describe(&frame),
            )),
            Came::Closed => Err(Miss::new(
                FailureClass::ClosedInsteadOfAnswering,
                expected,
                "the server closed the connection",
            )),
            Came::Nothing => Err(self.unanswered(actor, nothing(expected)).await),
        }
    }

    /// Nothing came in time: whether it might still come decides between a failure and no verdict at all.
    pub(super) async fn nothing_came(&mut self, actor: usize, expected: &str) -> Miss {
        let miss = nothing(expected);
        let can_fence = self
            .links
            .get(actor)
            .and_then(Option::as_ref)
            .is_some_and(|link| link.logged_in && link.reading);
        if !self.stage.is_alone {
            return miss;
        }
        if !can_fence {
            return self.unanswered(actor, miss).await;
        }
        // The first round is behind all that was sent, the second behind what that caused on other connections.
        for _ in 0..2 {
            match self.fence_for(actor).await {
                Fenced::Silent => {}
                Fenced::Late => return miss,
                Fenced::NoPong => return self.unanswered(actor, miss).await,
            }
        }
        Miss {
            class: FailureClass::NothingCameAlive,
            got: "nothing, and the PONG to a PING sent after the wait".to_owned(),
            ..miss
        }
    }

    /// A PING on every open connection, the actor's own last: only what that one gets is of interest.
    async fn fence_for(&mut self, actor: usize) -> Fenced {
        let others = (0..self.links.len()).filter(|other| *other != actor);
        let order: Vec<usize> = others.chain([actor]).collect();
        for one in order {
            let link = self.links.get(one).and_then(Option::as_ref);
            if !link.is_some_and(|link| link.logged_in && link.reading) {
                continue;
            }
            let Ok(ping) = self.send_ping(one).await else {
                continue;
            };
            let deadline = Instant::now() + self.stage.budget;
            loop {
                match self.next(one, &[], deadline).await {
                    Ok(Came::Frame(frame)) if frame.reference == ping.reference => break,
                    Ok(Came::Frame(_)) if one == actor => return Fenced::Late,
                    Ok(Came::Frame(_)) => {}
                    Ok(Came::Nothing) if one == actor => return Fenced::NoPong,
                    Ok(Came::Closed) | Err(_) if one == actor => return Fenced::Late,
                    Ok(Came::Closed | Came::Nothing) | Err(_) => break,
                }
            }
        }
        Fenced::Silent
    }

    /// Where this connection gives no sign of life, another may: if a new one is served after the wait, the testee had
    /// its time.
    async fn unanswered(&mut self, actor: usize, miss: Miss) -> Miss {
        if !self.stage.is_alone || self.stage.witness.is_served(self.stage).await != Some(true) {
            return miss;
        }
        match self.next(actor, &[], Instant::now()).await {
            Ok(Came::Nothing) => Miss {
                class: FailureClass::NothingCameAlive,
                got: "nothing, and a new connection was served after the wait".to_owned(),
                ..miss
            },
            _ => miss,
        }
    }

    /// Fences on all open connections. Twice: the first round is behind all that was sent, the second behind what that
    /// caused on other connections.
    pub(super) async fn end_fences(&mut self) -> Result<(), Miss> {
        for _ in 0..2 {
            let mut pings = Vec::new();
            for actor in 0..self.links.len() {
                let open = self.links.get(actor).and_then(Option::as_ref);
                match open.map(|link| (link.logged_in, link.reading)) {
                    Some((true, true)) => {
                        pings.push((
                            actor,
                            self.send_ping(actor).await.map_err(|miss| miss.of(actor))?,
                        ));
                    }
                    // Before a login a PING would be a violation; what is there already is seen all the same.
                    Some((false, true)) => match self.next(actor, &[], Instant::now()).await {
                        Ok(Came::Frame(frame)) => {
                            let miss =
                                Miss::new(FailureClass::ExtraFrame, "nothing", describe(&frame));
                            return Err(miss.of(actor));
                        }
                        Ok(_) => {}
                        Err(miss) => return Err(miss.of(actor)),
                    },
                    _ => {}
                }
            }
            for (actor, ping) in pings {
                self.pong(actor, &ping)
                    .await
                    .map_err(|miss| miss.of(actor))?;
            }
            for actor in 0..self.sdks.len() {
                if self.sdk(actor).is_some_and(|link| link.connected) {
                    let fence = self.sdk_fence(actor).await;
                    fence.map_err(|miss| miss.of(actor))?;
                }
            }
        }
        for actor in 0..self.sdks.len() {
            if self.sdk(actor).is_some_and(|link| link.client.is_some()) {
                self.sdk_is_quiet(actor).map_err(|miss| miss.of(actor))?;
            }
        }
        Ok(())
    }

    /// What follows a frame with a flipped bit: everything that comes until the server has closed is allowed by name.
    pub(super) async fn after_bit(&mut self, actor: usize) -> Result<(), Miss> {
        let Some(Sweep::Bits { allow, .. }) = &self.session.sweep else {
            return Ok(());
        };
        let budget = self.stage.budget;
        self.link(actor)?.connection.finish(budget).await;
        let deadline = Instant::now() + budget;
        let mut frames = 0;
        let outcome = loop {
            match self.next(actor, &[], deadline).await? {
                Came::Frame(frame) => {
                    frames += 1;
                    let allowed = allow.iter().any(|outcome| match outcome {
                        Outcome::Frame(frame_type) => frame.frame_type == *frame_type,
                        Outcome::Coded(frame_type, code) => {
                            frame.frame_type == *frame_type && code_of(&frame) == Some(code.0)
                        }
                        Outcome::Nothing => false,
                    });
                    if !allowed {
                        break Err(Miss::new(
                            FailureClass::WrongFrame,
                            "one of the allowed outcomes",
                            describe(&frame),
                        ));
                    }
                }
                Came::Closed if frames == 0 && !allow.contains(&Outcome::Nothing) => {
                    break Err(Miss::new(
                        FailureClass::ClosedInsteadOfAnswering,
                        "one of the allowed outcomes",
                        "the server closed the connection",
                    ));
                }
                Came::Closed => break Ok(()),
                Came::Nothing => {
                    break Err(Miss::new(
                        FailureClass::NothingCame,
                        "the server closes after us",
                        "nothing",
                    ));
                }
            }
        };
        self.drop_link(actor);
        self.silenced = Some(actor);
        self.needs_witness = true;
        outcome
    }
}

/// What a fence after a wait that was in vain showed.
enum Fenced {
    Silent,
    /// Something came after all.
    Late,
    NoPong,
}

fn nothing(expected: &str) -> Miss {
    Miss::new(
        FailureClass::NothingCame,
        expected,
        "nothing, within the budget",
    )
}

/// The code of an ERROR or GOAWAY.
fn code_of(frame: &RawFrame) -> Option<u16> {
    let body = super::expect::body_of(frame).ok()??;
    u16::try_from(body.get_field_by_name("code")?.as_u32()?).ok()
}
