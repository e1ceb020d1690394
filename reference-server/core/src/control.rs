//! Family control: PING, CREDIT, GOAWAY.

use tidewire_codec::limits::MAX_PING_DATA;
use tidewire_codec::{FrameType, proto};

use crate::api::ConnId;
use crate::conn::Fence;
use crate::core::Core;
use crate::refuse::{Handled, Refusal, check};

impl Core {
    //= spec/10-control.md#ping
    //# [CTL-001] To PING the server MUST answer PONG with the same data.
    //= spec/10-control.md#ping
    //# [CTL-003] Every entry that was caused by a request whose reply was sent before a PING arrived MUST be sent
    //# before its PONG on each connection that may receive the entry at once.
    //= spec/10-control.md#flow-of-entries
    //# [CTL-023] At the event limit the server MUST go on to answer requests.
    /// Answers PONG, but not before the entries that are on their way from the store.
    pub(crate) fn on_ping(&mut self, conn: ConnId, reference: u32, ping: proto::Ping) -> Handled {
        //= spec/10-control.md#ping
        //# [CTL-002] To a PING with more than 32 bytes of data the server MUST answer ERROR INVALID_FIELD for data.
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

    //= spec/10-control.md#flow-of-entries
    //# [CTL-022] When CREDIT raises the limit, the server MUST go on with the entry after the last one sent.
    pub(crate) fn on_credit(&mut self, conn: ConnId, credit: &proto::Credit) {
        let Some(session) = self.session_mut(conn) else {
            return;
        };
        //= spec/10-control.md#flow-of-entries
        //# [CTL-021] A CREDIT that is not higher than the limit in force MUST be ignored.
        if credit.event_limit <= session.event_limit {
            return;
        }
        session.event_limit = credit.event_limit;
        session.blocked = false;
        session.noticed = false;
        self.touch(conn);
    }

    //= spec/10-control.md#end-of-a-connection
    //# [CTL-033] A client's GOAWAY MUST end the session without an answer.
    /// The client leaves: nothing is said to that.
    pub(crate) fn on_goaway(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.closing = true;
            self.touch(conn);
        }
        self.end_session(conn);
    }
}
