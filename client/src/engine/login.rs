//! From a connection to a session and back: LOGIN, resume, the end of a session, credentials.

use bytes::Bytes;
use tidewire_codec::limits::{KEEPALIVE_DEFAULT_MS, MAX_FRAME_DEFAULT, MAX_INFLIGHT_DEFAULT};
use tidewire_codec::negotiate::VERSIONS;
use tidewire_codec::{Class, Code, Feature, Flags, PREFACE, RawFrame, proto};

use super::live::{Breach, breach};
use super::session::{Pending, Session};
use super::{Answer, Engine, Output, Phase};
use crate::error::{Error, Refusal, Stop};
use crate::event::{Event, Resumed};
use crate::store::Position;

/// How long a connection may take to be made, and LOGIN_OK to come.
const PATIENCE_MS: u64 = 15_000;
/// How long before its end a credential is renewed; a tenth of its life where that is less.
const RENEW_MS: u64 = 60_000;
/// How long after a failed renewal another one is tried.
const RENEW_AGAIN_MS: u64 = 30_000;

impl Engine {
    pub(super) fn dial(&mut self) {
        self.attempts += 1;
        self.pace.begun(self.now);
        self.phase = Phase::Dialing {
            deadline: self.now.plus(PATIENCE_MS),
        };
        self.outputs.push_back(Output::Dial);
    }

    /// The connection is made: preface and LOGIN.
    pub(super) fn connected(&mut self, preface: bool) {
        let (Phase::Dialing { .. }, Some(token)) = (&self.phase, self.token.clone()) else {
            return;
        };
        self.phase = Phase::LoggingIn {
            deadline: self.now.plus(PATIENCE_MS),
        };
        let event_limit = self
            .config
            .window
            .max(1)
            .saturating_sub(self.queue.logged());
        let mut session = Session::new(self.now, event_limit);
        let reference = session.expect_reply(Pending::Login);
        self.session = Some(session);
        if preface {
            //= spec/01-framing.md#transports
            //# [FRM-001] On a byte stream a client MUST send the 8 preface bytes F7 54 49 44 45 0D 0A 00 before
            //# anything else.
            self.out.extend_from_slice(&PREFACE);
        }
        let mut features = self.config.features.clone();
        if self.config.grease {
            features.push(self.random.feature().0);
        }
        //= spec/20-login.md#resume
        //# [LGN-050] A client that has stored entries MUST name their epoch and last position as resume in LOGIN.
        let resume = self
            .position
            .map(|Position { epoch, pos, .. }| proto::Resume { epoch, pos });
        let limits = proto::Limits {
            max_frame: Some(self.config.max_frame),
            max_inflight: None,
        };
        let login = proto::Login {
            version_min: *VERSIONS.start(),
            version_max: *VERSIONS.end(),
            features,
            token,
            device_id: self.device.to_bytes(),
            resume,
            limits: Some(limits),
            keepalive_ms: self.config.keepalive_ms,
            event_limit,
            agent: self.config.agent.clone(),
            requires: Vec::new(),
        };
        self.put(&login.into(), Flags::NONE, reference);
    }

    pub(super) fn login_ok(&mut self, ok: proto::LoginOk) -> Result<(), Breach> {
        if !VERSIONS.contains(&ok.version) {
            return Err(breach(
                Code::VERSION_UNSUPPORTED,
                format!("version {} was not offered", ok.version),
            ));
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let limits = ok.limits.unwrap_or_default();
        let size = |field: Option<u32>, default: u32| {
            usize::try_from(field.unwrap_or(default)).unwrap_or(usize::MAX)
        };
        session.max_frame = size(limits.max_frame, MAX_FRAME_DEFAULT);
        session.max_inflight = size(limits.max_inflight, MAX_INFLIGHT_DEFAULT).max(1);
        session.keepalive_ms = u64::from(match ok.keepalive_ms {
            0 => KEEPALIVE_DEFAULT_MS,
            given => given,
        });
        session.since = self.now;
        self.phase = Phase::Live;
        self.refused = None;
        self.renew_at = ok.token_ttl_ms.filter(|_| self.config.renews).map(|ttl| {
            let margin = RENEW_MS.min(ttl / 10);
            self.now.plus(ttl.saturating_sub(margin))
        });
        let had_position = self.position.is_some();
        let resumed = self.resume(&ok);
        self.user = ok.user;
        // Before anything new is stored, so that what is acknowledged once more is what was before.
        self.acknowledge();
        self.tell(Event::Connected {
            resumed,
            user: self.user.clone(),
            features: ok.features.into_iter().map(Feature).collect(),
        });
        //= spec/20-login.md#resume
        //# [LGN-028] A client that is told GAP MUST take the entries from oldest_pos on as new and tell its user that
        //# entries before may be missing.
        if had_position && resumed != Resumed::Resumed {
            self.tell(Event::Missing);
        }
        if self.config.grease {
            let grease = RawFrame {
                flags: self.random.flags(),
                frame_type: self.random.frame_type(),
                reference: 0,
                body: self.random.unknown_field().into(),
            };
            self.put_raw(&grease);
        }
        Ok(())
    }

    /// Takes over where the server goes on.
    fn resume(&mut self, ok: &proto::LoginOk) -> Resumed {
        match (ok.resume(), self.position) {
            (proto::ResumeResult::Resumed, Some(position)) if position.epoch == ok.epoch => {
                // What the app has not taken, or not stored, comes again.
                self.queue.drop_logged();
                self.seen = position.pos;
                Resumed::Resumed
            }
            (told, position) => {
                //= spec/20-login.md#resume
                //# [LGN-051] A client that is told FRESH MUST give up its position and take the entries from oldest_pos
                //# on as new.
                self.restart_at(ok.epoch, ok.oldest_pos.saturating_sub(1));
                match (told, position) {
                    (proto::ResumeResult::Fresh, _) | (_, None) => Resumed::Fresh,
                    _ => Resumed::Gap,
                }
            }
        }
    }

    /// Everything after `pos` is new, whatever was known before.
    pub(super) fn restart_at(&mut self, epoch: u64, pos: u64) {
        self.generation += 1;
        self.seen = pos;
        self.position = Some(Position {
            epoch,
            pos,
            base: pos,
        });
        self.position_changed = true;
    }

    /// The server says why it ends the session.
    pub(super) fn goaway(&mut self, goaway: proto::Goaway) {
        let refusal = Refusal::from(goaway);
        self.out.clear();
        //= spec/02-errors-and-limits.md#error-and-goaway
        //# [ERR-005] A client MUST act on the class of a code that it does not know.
        match refusal.class() {
            //= spec/02-errors-and-limits.md#error-and-goaway
            //# [ERR-006] A client MUST NOT reconnect by itself after a GOAWAY of class 1.
            Class::Stop => {
                self.session_over(Some(refusal.clone()), false);
                self.stop(Stop::Goaway(refusal));
            }
            //= spec/02-errors-and-limits.md#error-and-goaway
            //# [ERR-047] After a GOAWAY of class 3 a client MUST NOT log in again with the credential that was refused.
            Class::Reauthenticate => {
                self.session_over(Some(refusal.clone()), true);
                self.outputs.push_back(Output::Close);
                self.refused = self.token.take();
                self.need_token(Some(refusal));
            }
            _ => {
                let floor = u64::from(refusal.retry_after_ms.unwrap_or(0));
                self.session_over(Some(refusal), true);
                self.outputs.push_back(Output::Close);
                self.wait(floor);
            }
        }
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-045] After a GOAWAY of class 2 or the loss of a connection a client MUST reconnect by itself.
    /// The connection is gone, or could not be made.
    pub(super) fn lost(&mut self) {
        if matches!(
            self.phase,
            Phase::Dialing { .. } | Phase::LoggingIn { .. } | Phase::Live
        ) {
            self.out.clear();
            self.session_over(None, true);
            self.wait(0);
        }
    }

    /// Gives a connection up that is of no use any more.
    pub(super) fn give_up(&mut self) {
        self.lost();
        self.outputs.push_back(Output::Close);
    }

    fn wait(&mut self, floor_ms: u64) {
        let until = self.pace.next(self.now, floor_ms, &mut self.random);
        self.phase = Phase::Waiting { until };
    }

    /// Ends what rested on the session. The caller decides what follows.
    pub(super) fn session_over(&mut self, reason: Option<Refusal>, will_reconnect: bool) {
        let was_live = matches!(self.phase, Phase::Live);
        if let Some(session) = self.session.take() {
            if session.synced {
                self.pace.ended_after(self.now.since(session.since));
            }
            for ticket in session.fences {
                self.reply(ticket, Err(Error::NotConnected));
            }
            for pending in session.pending.into_values() {
                match pending {
                    Pending::Fence(ticket) => self.reply(ticket, Err(Error::NotConnected)),
                    Pending::Item(id, _) => self.item_lost(id),
                    Pending::Login | Pending::Sync | Pending::Ping | Pending::Reauth(_) => {}
                }
            }
        }
        if was_live || reason.is_some() {
            self.tell(Event::Disconnected {
                reason,
                will_reconnect,
            });
        }
    }

    // Credentials.

    fn need_token(&mut self, why: Option<Refusal>) {
        let code = why.as_ref().map(|refusal| refusal.code);
        let retry = self
            .config
            .renews
            .then(|| self.pace.next(self.now, 0, &mut self.random));
        self.phase = Phase::NeedToken { why, retry };
        if !self.config.renews {
            self.tell(Event::TokenNeeded { code });
        }
    }

    /// The source of credentials answered.
    pub(super) fn token_came(&mut self, token: Option<Bytes>) {
        let is_new = token
            .as_ref()
            .is_some_and(|token| self.refused.as_ref() != Some(token));
        match (&mut self.phase, token) {
            (Phase::NeedToken { .. }, Some(token)) if is_new => {
                self.token = Some(token);
                self.wait(0);
            }
            (Phase::NeedToken { retry, .. }, _) => {
                *retry = Some(self.pace.next(self.now, 0, &mut self.random));
            }
            (Phase::Live, Some(token)) => self.reauth(token),
            (Phase::Live, None) => self.renew_at = Some(self.now.plus(RENEW_AGAIN_MS)),
            (_, token) => self.token = token.or(self.token.take()),
        }
    }

    /// The app brings a credential.
    pub(super) fn new_token(&mut self, token: Bytes) {
        if self.refused.as_ref() == Some(&token) {
            return;
        }
        self.token = Some(token);
        if let Phase::NeedToken { .. } = self.phase {
            self.phase = Phase::Waiting {
                until: self.pace.earliest(self.now),
            };
        }
    }

    /// Puts a fresh credential under the session.
    fn reauth(&mut self, token: Bytes) {
        if let Some(session) = self.session.as_mut().filter(|session| session.room() > 0) {
            let reference = session.expect_reply(Pending::Reauth(token.clone()));
            let reauth = proto::Reauth {
                token,
                requires: Vec::new(),
            };
            self.put(&reauth.into(), Flags::NONE, reference);
        } else {
            // No room for a request now: the next renewal finds some.
            self.renew_at = Some(self.now.plus(RENEW_AGAIN_MS));
        }
    }

    /// The fate of a credential that was put under the session.
    pub(super) fn reauth_answered(&mut self, token: Bytes, accepted: bool) {
        if accepted {
            self.token = Some(token);
        } else {
            self.renew_at = Some(self.now.plus(RENEW_AGAIN_MS));
        }
    }

    /// Where a renewal is due, asks for another credential.
    pub(super) fn renew(&mut self) {
        if self.renew_at.is_some_and(|at| at <= self.now) {
            self.renew_at = None;
            self.outputs.push_back(Output::NeedToken);
        }
    }

    /// Answers the ticket of a request of the app.
    pub(super) fn answer_frame(
        &mut self,
        ticket: Option<super::Ticket>,
        frame: tidewire_codec::Frame,
    ) {
        if let Some(ticket) = ticket {
            self.reply(ticket, Ok(Answer::Frame(frame)));
        }
    }
}
