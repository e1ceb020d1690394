//! Frames that come, signs of life, and what is due by the clock.

use tidewire_codec::{
    Code, Direction, Fault, Flags, Frame, FrameType, Kind, PeerError, RawFrame, Violation, proto,
};

use super::session::{Pending, Session, Stage};
use super::{Engine, Output, Phase};
use crate::entry::Entry;
use crate::event::Event;

/// The server broke a rule: what it is told.
#[derive(Debug)]
pub(super) struct Breach(Box<proto::Goaway>);

pub(super) fn breach(code: Code, text: impl Into<String>) -> Breach {
    Breach(Box::new(proto::Goaway {
        code: u32::from(code.0),
        text: text.into(),
        ..proto::Goaway::default()
    }))
}

impl From<Violation> for Breach {
    fn from(violation: Violation) -> Breach {
        Breach(Box::new(violation.to_goaway()))
    }
}

impl Engine {
    pub(super) fn received(&mut self, frame: RawFrame) {
        let Some(session) = &mut self.session else {
            return;
        };
        session.last_heard = self.now;
        if let Err(Breach(goaway)) = self.frame(&frame) {
            self.breach(*goaway);
        }
    }

    fn frame(&mut self, frame: &RawFrame) -> Result<(), Breach> {
        let is_live = matches!(self.phase, Phase::Live);
        if is_entry(frame) {
            return if is_live {
                self.entry(frame)
            } else {
                Err(before_login(frame))
            };
        }
        //= spec/01-framing.md#header
        //# [FRM-013] A receiver MUST ignore flag bits that are undefined or that mean nothing for the frame.
        if frame.flags.contains(Flags::REPLY) {
            return self.answered(frame);
        }
        let Some(info) = frame.frame_type.info() else {
            return self.unknown(frame, is_live);
        };
        if info.direction == Direction::ClientToServer {
            return Err(Violation::WrongDirection {
                frame_type: frame.frame_type,
            }
            .into());
        }
        if !is_live && frame.frame_type != FrameType::GOAWAY {
            return Err(before_login(frame));
        }
        if info.kind != Kind::Request && frame.reference != 0 {
            self.refuse(
                frame,
                &PeerError::UnsupportedFrame {
                    frame_type: frame.frame_type,
                },
            );
            return Ok(());
        }
        match frame.decode() {
            Ok(body) => self.event(frame, body),
            Err(error) => match Fault::of_body(frame, error) {
                Fault::Request(error) => self.refuse(frame, &error),
                Fault::Connection(violation) => return Err(violation.into()),
            },
        }
        Ok(())
    }

    /// A known frame that is neither a reply nor an entry.
    fn event(&mut self, frame: &RawFrame, body: Frame) {
        match body {
            //= spec/10-control.md#ping
            //# [CTL-004] A client MUST answer a PING that has a ref with PONG.
            Frame::Ping(ping) if frame.reference != 0 => {
                let pong = proto::Pong { data: ping.data };
                self.put(&pong.into(), Flags::REPLY, frame.reference);
            }
            Frame::Goaway(goaway) => self.goaway(goaway),
            Frame::Synced(_) => self.synced(),
            // Without LOGGED it is for whoever is online: no log holds it.
            Frame::Message(_) => {
                if let Some(entry) = Entry::from_frame(body) {
                    let entry = entry.seen_by(&self.user);
                    self.tell(Event::Entry(entry));
                }
            }
            _ => {}
        }
    }

    fn unknown(&mut self, frame: &RawFrame, is_live: bool) -> Result<(), Breach> {
        //= spec/01-framing.md#unknown-frames
        //# [FRM-048] To a request of a type that it does not know a client MUST answer ERROR UNSUPPORTED_FRAME and keep
        //# the connection.
        if frame.reference != 0 {
            //= spec/20-login.md#login-1
            //# [LGN-049] A client MUST NOT send another frame between LOGIN and LOGIN_OK.
            if is_live {
                self.refuse(
                    frame,
                    &PeerError::UnsupportedFrame {
                        frame_type: frame.frame_type,
                    },
                );
            }
            return Ok(());
        }
        //= spec/01-framing.md#unknown-frames
        //# [FRM-042] On an unknown event with CRITICAL set the receiver MUST send GOAWAY UNKNOWN_CRITICAL and close.
        if frame.flags.contains(Flags::CRITICAL) {
            return Err(Violation::UnknownCritical {
                frame_type: frame.frame_type,
            }
            .into());
        }
        //= spec/01-framing.md#unknown-frames
        //# [FRM-043] An unknown event without CRITICAL MUST be skipped without effect on the connection.
        //= spec/03-versioning.md#grease
        //# [VER-020] A receiver MUST treat grease as any unknown value of its kind.
        Ok(())
    }

    fn refuse(&mut self, frame: &RawFrame, error: &PeerError) {
        self.put(&error.to_error().into(), Flags::REPLY, frame.reference);
    }

    // Time.

    /// Does what is due.
    pub(super) fn timers(&mut self) {
        match &self.phase {
            Phase::Waiting { until } if *until <= self.now => self.dial(),
            Phase::Dialing { deadline } | Phase::LoggingIn { deadline }
                if *deadline <= self.now =>
            {
                self.give_up()
            }
            Phase::NeedToken {
                why,
                retry: Some(retry),
            } if *retry <= self.now => {
                self.phase = Phase::NeedToken {
                    why: why.clone(),
                    retry: None,
                };
                self.outputs.push_back(Output::NeedToken);
            }
            Phase::Live => self.live_timers(),
            _ => {}
        }
    }

    fn live_timers(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        if session.dead_at() <= self.now {
            self.give_up();
            return;
        }
        if session.ping_due() <= self.now {
            // Without room for a request a PING that wants no answer is a sign of life as well.
            let reference = match session.room() {
                0 => 0,
                _ => session.expect_reply(Pending::Ping),
            };
            self.put(&proto::Ping::default().into(), Flags::NONE, reference);
        }
        self.renew();
        self.ask_for_gap();
        self.send_fences();
    }

    fn send_fences(&mut self) {
        while let Some(session) = self.session.as_mut().filter(|session| session.room() > 0) {
            let Some(ticket) = session.fences.pop_front() else {
                return;
            };
            let reference = session.expect_reply(Pending::Fence(ticket));
            self.put(&proto::Ping::default().into(), Flags::NONE, reference);
        }
    }

    // What is said for entries.

    //= spec/30-send.md#ack
    //# [SND-084] A client MUST send ACK for the entries that it has stored.
    /// Acknowledges what is stored. The frame leaves after the commit that stores it.
    pub(super) fn acknowledge(&mut self) {
        let (Some(session), Some(position)) = (&mut self.session, self.position) else {
            return;
        };
        //= spec/20-login.md#resume
        //# [LGN-052] After RESUMED a client that has stored entries MUST send ACK for them once more.
        if position.pos > session.acked.unwrap_or(position.base) {
            session.acked = Some(position.pos);
            self.put(&proto::Ack { pos: position.pos }.into(), Flags::NONE, 0);
        }
    }

    //= spec/10-control.md#flow-of-entries
    //# [CTL-026] A client whose app takes its entries MUST raise the event limit before it is used up.
    /// Raises the event limit by what the app took, in steps of half a window.
    pub(super) fn give_credit(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let window = self.config.window.max(1);
        let limit = (session.received + window).saturating_sub(self.queue.logged());
        let gained = limit.saturating_sub(session.event_limit);
        if gained > 0 && gained >= window.div_ceil(2) {
            session.event_limit = limit;
            self.put(&proto::Credit { event_limit: limit }.into(), Flags::NONE, 0);
        }
    }

    fn synced(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        match &session.gap {
            Some(gap) if gap.stage == Stage::Coming => session.gap = None,
            // The backlog has a hole: it is there once that is closed.
            Some(_) => return,
            None => {}
        }
        if !session.synced {
            session.synced = true;
            self.pace.came_about();
            self.tell(Event::Synced);
        }
    }

    /// A gap is asked for.
    pub(super) fn ask_for_gap(&mut self) {
        let now = self.now;
        let due = |session: &mut Session| {
            let room = session.room();
            let gap = session.gap.as_mut()?;
            match gap.stage {
                Stage::Due(at) if at <= now && room > 0 => gap.stage = Stage::Asked,
                _ => return None,
            }
            gap.asked += 1;
            let after_pos = gap.after;
            Some((session.expect_reply(Pending::Sync), after_pos))
        };
        if let Some((reference, after_pos)) = self.session.as_mut().and_then(due) {
            let sync = proto::Sync {
                after_pos,
                requires: Vec::new(),
            };
            self.put(&sync.into(), Flags::NONE, reference);
        }
    }
}

//= spec/01-framing.md#header
//# [FRM-013] A receiver MUST ignore flag bits that are undefined or that mean nothing for the frame.
/// LOGGED means something on entries and on unknown events.
fn is_entry(frame: &RawFrame) -> bool {
    frame.flags.contains(Flags::LOGGED)
        && !frame.flags.contains(Flags::REPLY)
        && frame.reference == 0
        && frame.frame_type.info().is_none_or(|info| info.logged)
}

fn before_login(frame: &RawFrame) -> Breach {
    Violation::BeforeLogin {
        frame_type: frame.frame_type,
    }
    .into()
}
