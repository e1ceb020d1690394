//! Family send: the way of a session from its resume position to the head of the log; SYNC and CONTENT_GET.

use tidewire_codec::view::MessageView;
use tidewire_codec::{Code, FrameType, proto};

use crate::api::{ConnId, Output, ReadLog};
use crate::conn::{Conn, ContentRequest};
use crate::core::{Core, before};
use crate::entry::{EntryKind, EntryMeta};
use crate::log::{Sent, send_entry};
use crate::refuse::{Handled, Refusal, check};
use crate::store::{Body, LogPage, Pos};

/// Tags of reads for CONTENT_GET have this bit.
const CONTENT_TAG: u64 = 1 << 63;

/// Room in a CONTENT body for everything but the bytes: three numbers, keys, the length.
const CONTENT_OVERHEAD: u32 = 64;

/// There is nothing to send of the entry; the page after it comes next.
fn pass_over(state: &mut Conn, pos: Pos) {
    if let Some(session) = state.session.as_deref_mut() {
        session.scan = pos;
    }
}

impl Core {
    /// A session starts at a position: it is up to date, or a page is read for it at the end of the burst.
    pub(crate) fn arrive(&mut self, conn: ConnId) {
        let Some(head) = self.user_of(conn).map(|user| user.head) else {
            return;
        };
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let Some(session) = state.session.as_deref_mut() else {
            return;
        };
        if session.scan >= head {
            session.live = true;
            //= spec/20-login.md#resume
            //# [LGN-024] After the last entry of the backlog the server MUST send SYNCED, also where the backlog is
            //# empty.
            //= spec/20-login.md#resume
            //# [LGN-026] The pos in SYNCED MUST be at least the head_pos of LOGIN_OK.
            if std::mem::take(&mut session.synced_owed) {
                let pos = session.scan.0;
                state.event(FrameType::SYNCED, &proto::Synced { pos });
            }
        }
        self.touch(conn);
        self.release_fences(conn);
    }

    pub(crate) fn on_page(&mut self, read: &ReadLog, page: LogPage) {
        if read.tag & CONTENT_TAG != 0 {
            self.on_content_page(read, &page);
            return;
        }
        let now = self.now;
        let Some(state) = self.conns.get_mut(&read.conn) else {
            return;
        };
        let congested = state.congested;
        let Some(session) = state.session.as_deref_mut() else {
            return;
        };
        if session.tag != read.tag || !session.reading {
            return;
        }
        session.reading = false;
        if congested {
            // The page is read again when there is room.
            return;
        }
        let end = page.end || page.entries.is_empty();
        for (pos, value) in page.entries {
            let Some(meta) = EntryMeta::decode(&value.meta) else {
                pass_over(state, pos);
                continue;
            };
            // A body that was forgotten belongs to a message whose time is over.
            let Body::Inline(tail) = value.body else {
                pass_over(state, pos);
                continue;
            };
            let deadline = match meta.kind {
                EntryKind::Message(message) => self.msgs.deadline_of(message.id, message.deadline),
                _ => now,
            };
            if send_entry(state, now, pos, &meta, deadline, &tail) == Sent::Blocked {
                break;
            }
        }
        //= spec/20-login.md#resume
        //# [LGN-025] SYNCED MUST come before any entry whose pos is above the pos in SYNCED.
        if let Some(session) = state.session.as_deref_mut()
            && end
            && !session.blocked
        {
            session.scan = session.scan.max(session.read_head);
            if std::mem::take(&mut session.synced_owed) {
                let pos = session.scan.0;
                state.event(FrameType::SYNCED, &proto::Synced { pos });
            }
        }
        self.arrive(read.conn);
    }

    //= spec/30-send.md#sync
    //# [SND-060] To SYNC the server MUST answer OK and then send every visible entry after after_pos again, ending with
    //# SYNCED.
    //= spec/30-send.md#sync
    //# [SND-064] SYNC MUST NOT change the state of any message or the cursor.
    pub(crate) fn on_sync(&mut self, conn: ConnId, reference: u32, sync: &proto::Sync) -> Handled {
        let Some(user) = self.user_of(conn) else {
            return Ok(());
        };
        let (head, trunc) = (user.head, user.trunc);
        let after = Pos(sync.after_pos);
        //= spec/30-send.md#sync
        //# [SND-061] A SYNC with after_pos above the head of the log MUST be answered with ERROR INVALID_FIELD for
        //# after_pos.
        check(after <= head, || {
            Refusal::field("after_pos").bound(head.0, after.0)
        })?;
        //= spec/30-send.md#sync
        //# [SND-062] A SYNC with after_pos below oldest_pos less 1 MUST be answered with ERROR INVALID_FIELD for
        //# after_pos with the lowest possible value in limit.
        check(after >= trunc, || {
            Refusal::field("after_pos").bound(trunc.0, after.0)
        })?;
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        if let Some(session) = self.session_mut(conn) {
            // Pages that were asked for before are for another position.
            session.next_tag();
            session.reading = false;
            session.live = false;
            session.blocked = false;
            session.synced_owed = true;
            session.scan = after;
            //= spec/30-send.md#sync
            //# [SND-063] The first entry after SYNC MUST have a prev_pos of at most after_pos.
            session.prev = after;
        }
        self.arrive(conn);
        Ok(())
    }

    //= spec/30-send.md#large-content
    //# [SND-072] To CONTENT_GET the server MUST answer CONTENT with bytes of the content from offset on, as many as the
    //# client's max_frame has room for.
    pub(crate) fn on_content_get(
        &mut self,
        conn: ConnId,
        reference: u32,
        get: &proto::ContentGet,
    ) -> Handled {
        let Some(user) = self.user_of(conn) else {
            return Ok(());
        };
        let (key, pos) = (user.key, Pos(get.pos));
        check(pos > user.trunc && pos <= user.head, || {
            Refusal::of(Code::UNKNOWN_MESSAGE)
        })?;
        if reference == 0 {
            return Ok(());
        }
        let Some(session) = self.session_mut(conn) else {
            return Ok(());
        };
        session.content_tag += 1;
        let tag = session.content_tag | CONTENT_TAG;
        session.contents.push(ContentRequest {
            tag,
            reference,
            pos,
            offset: get.offset.unwrap_or(0),
        });
        let read = ReadLog {
            conn,
            user: key,
            after: before(pos),
            max_entries: 1,
            max_bytes: 1,
            tag,
        };
        self.outputs.push_back(Output::ReadLog(read));
        Ok(())
    }

    fn on_content_page(&mut self, read: &ReadLog, page: &LogPage) {
        let Some(session) = self.session_mut(read.conn) else {
            return;
        };
        let Some(index) = session
            .contents
            .iter()
            .position(|request| request.tag == read.tag)
        else {
            return;
        };
        let request = session.contents.remove(index);
        match self.content(read.conn, request, page) {
            Ok(content) => self.reply(read.conn, FrameType::CONTENT, request.reference, &content),
            Err(refusal) => self.refuse(read.conn, request.reference, &refusal),
        }
    }

    fn content(
        &self,
        conn: ConnId,
        request: ContentRequest,
        page: &LogPage,
    ) -> Result<proto::Content, Refusal> {
        //= spec/30-send.md#large-content
        //# [SND-073] CONTENT_GET for a pos that is no visible MESSAGE of the own log MUST be answered with ERROR
        //# UNKNOWN_MESSAGE.
        let unknown = || Refusal::of(Code::UNKNOWN_MESSAGE);
        let session = self.session(conn).ok_or_else(unknown)?;
        let (pos, value) = page.entries.first().ok_or_else(unknown)?;
        let meta = EntryMeta::decode(&value.meta).ok_or_else(unknown)?;
        let (EntryKind::Message(message), Body::Inline(tail)) = (meta.kind, &value.body) else {
            return Err(unknown());
        };
        let hidden = meta.origin == session.device
            || self.msgs.deadline_of(message.id, message.deadline) <= self.now;
        check(*pos == request.pos && !hidden, unknown)?;
        let view = MessageView::decode(tail).map_err(|_| unknown())?;
        let whole = view.content.len() as u64;
        //= spec/30-send.md#large-content
        //# [SND-074] CONTENT_GET with an offset above the content's length MUST be answered with ERROR INVALID_FIELD
        //# for offset with limit and actual.
        check(request.offset <= whole, || {
            Refusal::field("offset").bound(whole, request.offset)
        })?;
        let room = session.max_frame.saturating_sub(CONTENT_OVERHEAD) as usize;
        let rest = view
            .content
            .get(request.offset as usize..)
            .unwrap_or_default();
        let part = &rest[..rest.len().min(room)];
        Ok(proto::Content {
            pos: pos.0,
            offset: request.offset,
            content_len: whole,
            content: tail.slice_ref(part),
        })
    }
}
