//! A connection and its session.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tidewire_codec::limits::{
    HEADER_LEN, LOGIN_TIMEOUT_MS, MUST_ANSWER_BUDGET, MUST_ANSWER_WINDOW_MS,
};
use tidewire_codec::{Feature, Flags, FrameType, Header};

use crate::api::Millis;
use crate::ids::DeviceUid;
use crate::refuse::Farewell;
use crate::store::{Pos, UserKey};
use crate::users::TokenDigest;

/// A connection, before or after login.
#[derive(Debug)]
pub(crate) struct Conn {
    /// What goes out at the end of the burst, in one piece.
    pub(crate) out: BytesMut,
    /// In the list of those that have something to do at the end of the burst.
    pub(crate) dirty: bool,
    /// GOAWAY was said; whatever comes is ignored.
    pub(crate) closing: bool,
    /// The driver was told to close.
    pub(crate) closed: bool,
    /// Bodies may be so long once LOGIN_OK goes out.
    pub(crate) new_max_frame: Option<u32>,
    /// When something was received last, or it was opened.
    pub(crate) last_rx: Millis,
    /// When the core looks at it next.
    pub(crate) timer: Option<Millis>,
    pub(crate) congested: bool,
    pub(crate) budget: Budget,
    pub(crate) session: Option<Box<Session>>,
}

/// A connection after LOGIN_OK.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: UserKey,
    pub(crate) device: DeviceUid,
    pub(crate) features: Vec<Feature>,
    /// What the client receives.
    pub(crate) max_frame: u32,
    pub(crate) keepalive_ms: u32,
    pub(crate) token: TokenDigest,
    pub(crate) token_expires: Option<Millis>,
    pub(crate) event_limit: u64,
    pub(crate) events_sent: u64,
    /// The log is looked at up to here.
    pub(crate) scan: Pos,
    /// The last visible entry that was sent, or where the backlog or the repeat began.
    pub(crate) prev: Pos,
    /// The highest position that an ACK may name.
    pub(crate) ack_limit: Pos,
    /// New entries are sent as they are made; `scan` is the head of the log.
    pub(crate) live: bool,
    /// A page of the log is on its way.
    pub(crate) reading: bool,
    /// Names the reads that still count.
    pub(crate) tag: u64,
    /// The head of the log when the page was asked for.
    pub(crate) read_head: Pos,
    /// The event limit holds an entry back.
    pub(crate) blocked: bool,
    /// NOTICE CREDIT_EXHAUSTED was sent for this limit.
    pub(crate) noticed: bool,
    /// The backlog ends with SYNCED.
    pub(crate) synced_owed: bool,
    /// PINGs that wait until the log was sent up to a position.
    pub(crate) fences: VecDeque<Fence>,
    pub(crate) contents: Vec<ContentRequest>,
    /// Numbers the reads for CONTENT_GET.
    pub(crate) content_tag: u64,
}

/// A PING that came while entries were on their way.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) pos: Pos,
    pub(crate) reference: u32,
    pub(crate) data: Bytes,
}

/// A CONTENT_GET that waits for the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentRequest {
    pub(crate) tag: u64,
    pub(crate) reference: u32,
    pub(crate) pos: Pos,
    pub(crate) offset: u64,
}

impl Conn {
    pub(crate) fn new(now: Millis) -> Conn {
        Conn {
            out: BytesMut::new(),
            dirty: false,
            closing: false,
            closed: false,
            new_max_frame: None,
            last_rx: now,
            timer: None,
            congested: false,
            budget: Budget::default(),
            session: None,
        }
    }

    /// When the connection ends for want of traffic, of a LOGIN or of a valid token, whichever is first.
    pub(crate) fn deadline(&self) -> Millis {
        match &self.session {
            None => self.last_rx.plus(LOGIN_TIMEOUT_MS),
            Some(session) => {
                let silent = self.last_rx.plus(session.patience_ms());
                session
                    .token_expires
                    .map_or(silent, |expires| expires.min(silent))
            }
        }
    }

    //= spec/01-framing.md#requests-and-replies
    //# [FRM-020] Unless it ends the connection, the server MUST answer each request with exactly one reply that repeats
    //# its ref and has REPLY set.
    //= spec/01-framing.md#requests-and-replies
    //# [FRM-021] The reply MUST be the typed reply that the registry names for the request, or ERROR.
    /// Writes the reply to a request; `reference` 0 wants none.
    pub(crate) fn reply(&mut self, frame_type: FrameType, reference: u32, body: &impl Message) {
        if reference != 0 {
            put_frame(&mut self.out, Flags::REPLY, frame_type, reference, body);
        }
    }

    //= spec/01-framing.md#requests-and-replies
    //# [FRM-022] A frame that is an event MUST have ref 0 and REPLY clear.
    /// Writes an event that is no entry.
    pub(crate) fn event(&mut self, frame_type: FrameType, body: &impl Message) {
        put_frame(&mut self.out, Flags::NONE, frame_type, 0, body);
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-003] The sender of GOAWAY MUST close the connection after it and send no other frame.
    /// Says GOAWAY. Nothing is written after it.
    pub(crate) fn farewell(&mut self, farewell: &Farewell) {
        if !self.closing {
            self.event(FrameType::GOAWAY, &*farewell.0);
            self.closing = true;
        }
    }
}

impl Session {
    //= spec/10-control.md#keepalive
    //# [CTL-010] When nothing was received for 1.5 times the keepalive of LOGIN_OK, the server MUST send GOAWAY
    //# KEEPALIVE_TIMEOUT and close.
    //= spec/10-control.md#keepalive
    //# [CTL-011] Before that time has passed the server MUST NOT close for want of traffic.
    /// How long a silence may be.
    pub(crate) fn patience_ms(&self) -> u64 {
        u64::from(self.keepalive_ms) * 3 / 2
    }

    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// True if a page should be read now.
    pub(crate) fn wants_page(&self) -> bool {
        !self.live && !self.reading && !self.blocked
    }

    /// Another name for the reads from now on.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.tag += 1;
        self.tag
    }
}

/// Appends a whole frame.
pub(crate) fn put_frame(
    out: &mut BytesMut,
    flags: Flags,
    frame_type: FrameType,
    reference: u32,
    body: &impl Message,
) {
    let len = body.encoded_len();
    out.reserve(HEADER_LEN + len);
    out.put_slice(
        &Header {
            len: len as u32,
            flags,
            frame_type,
            reference,
        }
        .encode(),
    );
    body.encode_raw(out);
}

//= spec/02-errors-and-limits.md#budgets
//# [ERR-040] When a PONG or ERROR would be the 1,001st on a connection within 10 seconds of server time, the server
//# MUST send GOAWAY TOO_MANY_CONTROL_FRAMES in its place and close.
/// How many PONG and ERROR replies a connection caused lately.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Count by millisecond, within the window.
    spent: VecDeque<(Millis, u32)>,
    total: u32,
}

impl Budget {
    /// Spends one; false if that is one too many.
    pub(crate) fn spend(&mut self, now: Millis) -> bool {
        while let Some((time, count)) = self.spent.front()
            && time.plus(MUST_ANSWER_WINDOW_MS) <= now
        {
            self.total -= count;
            self.spent.pop_front();
        }
        match self.spent.back_mut() {
            Some((time, count)) if *time == now => *count += 1,
            _ => self.spent.push_back((now, 1)),
        }
        self.total += 1;
        self.total <= MUST_ANSWER_BUDGET
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use crate::api::Millis;

    #[test]
    fn the_window_of_the_budget_slides() {
        let mut budget = Budget::default();
        for n in 0..1000 {
            assert!(budget.spend(Millis(n * 9)), "{n}");
        }
        assert!(!budget.spend(Millis(9_999)));
        // The first two are out of the window by now, and one was spent in vain.
        assert!(budget.spend(Millis(10_009)));
        assert!(!budget.spend(Millis(10_009)));
    }
}
