//! One connection, from LOGIN to its end.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tidewire_codec::FrameType;
use tidewire_codec::limits::{KEEPALIVE_DEFAULT_MS, MAX_FRAME_DEFAULT, MAX_INFLIGHT_DEFAULT};

use super::command::Ticket;
use crate::ids::Millis;

/// A request whose answer is still to come.
#[derive(Debug)]
pub(super) enum Pending {
    Login,
    /// An item of the outbox.
    Item(u64, FrameType),
    Sync,
    /// A sign of life.
    Ping,
    Fence(Ticket),
    /// With the token that is put under the session.
    Reauth(Bytes),
}

impl Pending {
    /// The type of the request.
    pub(super) fn frame_type(&self) -> FrameType {
        match self {
            Pending::Login => FrameType::LOGIN,
            Pending::Item(_, frame_type) => *frame_type,
            Pending::Sync => FrameType::SYNC,
            Pending::Ping | Pending::Fence(_) => FrameType::PING,
            Pending::Reauth(_) => FrameType::REAUTH,
        }
    }
}

/// A gap that is being closed.
#[derive(Debug)]
pub(super) struct Gap {
    /// The position before it.
    pub(super) after: u64,
    pub(super) stage: Stage,
    /// How often it was asked for.
    pub(super) asked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be asked for, not before then.
    Due(Millis),
    Asked,
    /// OK came: the entries follow, then SYNCED.
    Coming,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) pending: HashMap<u32, Pending>,
    next_ref: u32,
    pub(super) max_inflight: usize,
    /// Longest body that the server takes.
    pub(super) max_frame: usize,
    pub(super) keepalive_ms: u64,
    /// LOGGED frames that came.
    pub(super) received: u64,
    pub(super) event_limit: u64,
    /// The highest ACK on this connection; `None` before the first.
    pub(super) acked: Option<u64>,
    pub(super) synced: bool,
    pub(super) gap: Option<Gap>,
    pub(super) fences: VecDeque<Ticket>,
    pub(super) since: Millis,
    pub(super) last_sent: Millis,
    pub(super) last_heard: Millis,
}

impl Session {
    pub(super) fn new(now: Millis, event_limit: u64) -> Session {
        Session {
            pending: HashMap::new(),
            next_ref: 1,
            max_inflight: usize::try_from(MAX_INFLIGHT_DEFAULT).unwrap_or(usize::MAX),
            max_frame: usize::try_from(MAX_FRAME_DEFAULT).unwrap_or(usize::MAX),
            keepalive_ms: u64::from(KEEPALIVE_DEFAULT_MS),
            received: 0,
            event_limit,
            acked: None,
            synced: false,
            gap: None,
            fences: VecDeque::new(),
            since: now,
            last_sent: now,
            last_heard: now,
        }
    }

    //= spec/01-framing.md#requests-and-replies
    //# [FRM-024] A client MUST NOT reuse a ref on a connection while its request is unanswered.
    /// A ref for a request, which waits for its answer from now on.
    pub(super) fn expect_reply(&mut self, pending: Pending) -> u32 {
        // At most `max_inflight` are taken, so this ends.
        while self.next_ref == 0 || self.pending.contains_key(&self.next_ref) {
            self.next_ref = self.next_ref.wrapping_add(1);
        }
        let reference = self.next_ref;
        self.next_ref = self.next_ref.wrapping_add(1);
        self.pending.insert(reference, pending);
        reference
    }

    //= spec/02-errors-and-limits.md#sizes
    //# [ERR-037] A client MUST NOT have more unanswered requests than the server's max_inflight.
    /// How many requests may be sent now.
    pub(super) fn room(&self) -> usize {
        self.max_inflight.saturating_sub(self.pending.len())
    }

    /// A PING is on its way whose PONG would be a sign of life.
    pub(super) fn awaits_pong(&self) -> bool {
        self.pending
            .values()
            .any(|pending| matches!(pending, Pending::Ping | Pending::Fence(_)))
    }

    //= spec/10-control.md#keepalive
    //# [CTL-012] A client MUST send a frame at least once in each keepalive interval.
    /// When something has to be sent: after half an interval, so that a slow way does not matter.
    pub(super) fn ping_due(&self) -> Millis {
        self.last_sent.plus(self.keepalive_ms / 2)
    }

    //= spec/10-control.md#keepalive
    //# [CTL-035] A client SHOULD take a server from which nothing came for two keepalive intervals as gone and
    //# reconnect.
    /// When a server that stays silent counts as gone.
    pub(super) fn dead_at(&self) -> Millis {
        self.last_heard.plus(self.keepalive_ms.saturating_mul(2))
    }

    pub(super) fn deadline(&self) -> Millis {
        let gap = self.gap.as_ref().and_then(|gap| match gap.stage {
            // Without room it is asked for when an answer makes some.
            Stage::Due(at) if self.room() > 0 => Some(at),
            _ => None,
        });
        [Some(self.ping_due()), Some(self.dead_at()), gap]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.dead_at())
    }
}
