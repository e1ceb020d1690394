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
            Came::Nothing => Err(Miss::new(
                FailureClass::NothingCame,
                expected,
                "nothing, within the budget",
            )),
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

/// The code of an ERROR or GOAWAY.
fn code_of(frame: &RawFrame) -> Option<u16> {
    let body = super::expect::body_of(frame).ok()??;
    u16::try_from(body.get_field_by_name("code")?.as_u32()?).ok()
}
