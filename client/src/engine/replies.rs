//! Replies: each finds the request that it answers by its ref.

use tidewire_codec::{Class, Flags, Frame, FrameType, RawFrame, Violation, proto};

use super::live::Breach;
use super::outbox::Item;
use super::session::Pending;
use super::{Answer, Engine};
use crate::error::{Error, Refusal};
use crate::event::Event;
use crate::ids::{LocalId, MsgId};
use crate::message::Receipt;
use crate::store::Change;
use crate::store::records::{self, to_fields};
use crate::tracker::MessageState;

/// How long after an ERROR of class 5 without a time a request is repeated; doubles with each refusal.
const AGAIN_MS: u64 = 1_000;

impl Engine {
    pub(super) fn answered(&mut self, frame: &RawFrame) -> Result<(), Breach> {
        let pending = self
            .session
            .as_mut()
            .and_then(|session| session.pending.remove(&frame.reference));
        let Some(pending) = pending else {
            // Nobody waits for it: a sign of life.
            return Ok(());
        };
        let asked = pending.frame_type();
        let typed = asked.info().and_then(|info| info.reply);
        let is_error = frame.frame_type == FrameType::ERROR;
        if Some(frame.frame_type) != typed && (!is_error || asked == FrameType::LOGIN) {
            return Err(Violation::UnexpectedReply {
                frame_type: frame.frame_type,
            }
            .into());
        }
        let reply = frame.decode().map_err(Violation::MalformedFrame)?;
        match pending {
            Pending::Login => {
                if let Frame::LoginOk(ok) = reply {
                    return self.login_ok(ok);
                }
            }
            Pending::Item(id, _) => self.item_answered(id, reply),
            Pending::Sync => self.sync_answered(reply),
            Pending::Ping => {}
            Pending::Fence(ticket) => match reply {
                Frame::Error(error) => self.reply(ticket, Err(Error::Refused(error.into()))),
                _ => self.queue.push_fence(ticket),
            },
            Pending::Reauth(token) => self.reauth_answered(token, !is_error),
        }
        Ok(())
    }

    fn item_answered(&mut self, id: u64, reply: Frame) {
        let Frame::Error(error) = reply else {
            self.item_done(id, reply);
            return;
        };
        let refusal = Refusal::from(error);
        //= spec/02-errors-and-limits.md#error-and-goaway
        //# [ERR-005] A client MUST act on the class of a code that it does not know.
        if refusal.class() != Class::Retry {
            //= spec/02-errors-and-limits.md#error-and-goaway
            //# [ERR-048] A client MUST NOT repeat a SEND or GROUP_OP that was answered with an ERROR of class 4.
            if let Some(item) = self.outbox.remove(id, &mut self.changes) {
                self.item_failed(id, item, Error::Refused(refusal));
            }
            return;
        }
        //= spec/02-errors-and-limits.md#error-and-goaway
        //# [ERR-007] A client MUST wait at least retry_after_ms before it repeats what was refused with it.
        //= spec/02-errors-and-limits.md#error-and-goaway
        //# [ERR-008] A client MUST repeat a SEND that was refused with class 5 with the same idempotency key.
        let now = self.now;
        self.outbox.refused(id, &mut self.changes, |refusals| {
            let own = AGAIN_MS << refusals.min(6);
            now.plus(refusal.retry_after_ms.map_or(own, u64::from))
        });
    }

    fn item_done(&mut self, id: u64, reply: Frame) {
        let Some(item) = self.outbox.remove(id, &mut self.changes) else {
            return;
        };
        match (&item.frame, reply) {
            (Frame::Send(send), Frame::SendAck(ack)) => {
                let (receipt, states) = self.accepted(id, &item, send, &ack);
                if let Some(ticket) = item.ticket {
                    self.reply(ticket, Ok(Answer::Receipt(receipt.clone())));
                }
                self.tell(Event::Accepted { receipt, states });
            }
            (Frame::Reauth(reauth), reply) => {
                self.token = Some(reauth.token.clone());
                self.answer_frame(item.ticket, reply);
            }
            (_, reply) => self.answer_frame(item.ticket, reply),
        }
    }

    //= spec/30-send.md#ack
    //# [SND-055] A SEND_ACK MUST NOT move a client's position.
    fn accepted(
        &mut self,
        local: u64,
        item: &Item,
        send: &proto::Send,
        ack: &proto::SendAck,
    ) -> (Receipt, Vec<crate::tracker::MessageStatus>) {
        let id = MsgId(ack.msg_id);
        let told = MessageState::from_field(ack.state).unwrap_or(MessageState::Accepted);
        let online_only = send.delivery == i32::from(proto::Delivery::OnlineOnly);
        let mut states = Vec::new();
        let mut state = told;
        if let Some(target) = send.target.clone() {
            let conversation = target.into();
            let label = Some(item.label.clone());
            states = self.tracker.accepted(
                &conversation,
                id,
                label,
                told,
                online_only,
                &mut self.changes,
            );
            state = self
                .tracker
                .state_of(&conversation, id, None)
                .unwrap_or(told);
            if !self.config.manual_ack && !online_only && !ack.duplicate {
                let (user, group) = to_fields(&conversation);
                let body = self.own_copy(send, ack).encode_body();
                let frame_type = u32::from(FrameType::MESSAGE.0);
                self.changes.push(Change::Entry(records::Entry {
                    frame_type,
                    body,
                    user,
                    group,
                }));
            }
        }
        let receipt = Receipt {
            id,
            local: LocalId(local),
            label: item.label.clone(),
            duplicate: ack.duplicate,
            ttl: std::time::Duration::from_millis(ack.ttl_ms),
            state,
            code: refusal_code(ack.code),
        };
        (receipt, states)
    }

    /// What other devices get as an entry; the sending device has it from here.
    fn own_copy(&self, send: &proto::Send, ack: &proto::SendAck) -> Frame {
        let target = send
            .target
            .clone()
            .map(|target| crate::ids::Conversation::from(target).into());
        Frame::Message(proto::Message {
            msg_id: ack.msg_id,
            from: self.user.clone(),
            target,
            app_type: send.app_type,
            content_type: send.content_type.clone(),
            ttl_ms: ack.ttl_ms,
            receipts: send.receipts,
            reply_to: send.reply_to,
            thread: send.thread,
            replaces: send.replaces,
            priority: send.priority,
            content_len: u64::try_from(send.content.len()).unwrap_or(u64::MAX),
            content: send.content.clone(),
            ..proto::Message::default()
        })
    }

    /// It is out of the outbox, for good.
    pub(super) fn item_failed(&mut self, id: u64, item: Item, error: Error) {
        let label = item.label;
        if matches!(item.frame, Frame::Send(_)) || item.ticket.is_none() {
            self.tell(Event::Failed {
                local: LocalId(id),
                label,
                error: error.clone(),
            });
        }
        if let Some(ticket) = item.ticket {
            self.reply(ticket, Err(error));
        }
    }
}

fn refusal_code(field: u32) -> Option<tidewire_codec::Code> {
    tidewire_codec::Code::from_field(field).filter(|code| code.0 != 0)
}

/// The flags of a request.
pub(super) const REQUEST: Flags = Flags::NONE;
