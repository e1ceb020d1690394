//! Family control: PING, CREDIT, GOAWAY.

use tidewire_codec::limits::MAX_PING_DATA;
use tidewire_codec::{FrameType, proto};

use crate::api::ConnId;
use crate::conn::Fence;
use crate::core::Core;
use crate::refuse::{Handled, Refusal, check};

impl Core {
    //# [CTL-001]
    //# [CTL-003]
    //# [CTL-023]
    /// Answers PONG, but not before the entries that are on their way from the store.
    pub(crate) fn on_ping(&mut self, conn: ConnId, reference: u32, ping: proto::Ping) -> Handled {
        //# [CTL-002]
        let len = ping.data.len();
        check(len <= MAX_PING_DATA, || {
            Refusal::field("data").bound(MAX_PING_DATA as u64, len as u64)
        })?;
        if reference == 0 || !self.spend(conn) {
            return Ok(());
        }
        let Some(head) = self.user_of(conn).map(|user| user.head) else {
            return Ok(());
        };
        if let Some(session) = self.session_mut(conn)
            && !session.live
            && !session.blocked
        {
            session.fences.push_back(Fence {
                pos: head,
                reference,
                data: ping.data,
            });
            self.touch(conn);
            return Ok(());
        }
        self.reply(
            conn,
            FrameType::PONG,
            reference,
            &proto::Pong { data: ping.data },
        );
        Ok(())
    }

    /// Answers the PINGs whose entries have all been sent, or all of them if no entry can be sent now.
    pub(crate) fn release_fences(&mut self, conn: ConnId) {
        while let Some(session) = self.session_mut(conn)
            && let Some(fence) = session.fences.front()
            && (session.live || session.blocked || session.scan >= fence.pos)
            && let Some(fence) = session.fences.pop_front()
        {
            self.reply(
                conn,
                FrameType::PONG,
                fence.reference,
                &proto::Pong { data: fence.data },
            );
        }
    }

    //# [CTL-022]
    pub(crate) fn on_credit(&mut self, conn: ConnId, credit: &proto::Credit) {
        let Some(session) = self.session_mut(conn) else {
            return;
        };
        //# [CTL-021]
        if credit.event_limit <= session.event_limit {
            return;
        }
        session.event_limit = credit.event_limit;
        session.blocked = false;
        session.noticed = false;
        self.touch(conn);
    }

    //# [CTL-033]
    /// The client leaves: nothing is said to that.
    pub(crate) fn on_goaway(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.closing = true;
            self.touch(conn);
        }
        self.end_session(conn);
    }
}
