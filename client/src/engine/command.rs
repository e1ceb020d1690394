//! What an app can want, and what it is answered.

use bytes::Bytes;
use tidewire_codec::limits::IDEM_LEN;
use tidewire_codec::{Flags, Frame, proto};

use super::outbox::Item;
use super::{Engine, Phase};
use crate::error::{Error, Refusal, Stop};
use crate::ids::{Conversation, LocalId, MsgId, Pos};
use crate::message::{Message, Receipt};
use crate::tracker::MessageState;

/// Names an answer that somebody waits for. Made by the caller, not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Something that the app wants.
#[derive(Debug)]
pub enum Command {
    /// Send a message.
    Send {
        /// Answered once the outbox has it for good, with [`Answer::Local`].
        stored: Ticket,
        /// Answered once the server has it for good, with [`Answer::Receipt`].
        outcome: Option<Ticket>,
        /// The message.
        message: Box<Message>,
        /// Its idempotency key, random.
        key: [u8; IDEM_LEN],
    },
    /// Send another request. Answered with [`Answer::Frame`].
    Request {
        /// For the answer.
        ticket: Ticket,
        /// The request.
        frame: Box<Frame>,
        /// An idempotency key for types that need one.
        key: [u8; IDEM_LEN],
    },
    /// The app has stored everything up to here. With manual ACK only.
    Ack {
        /// For the answer.
        ticket: Ticket,
        /// Up to here.
        pos: Pos,
    },
    /// Answered once the server answered a PING and every event that came before was handed over.
    Fence(Ticket),
    /// How the client is. Answered with [`Answer::State`].
    State(Ticket),
    /// The state of an own message. Answered with [`Answer::MessageState`].
    MessageState {
        /// For the answer.
        ticket: Ticket,
        /// The conversation.
        conversation: Conversation,
        /// The message.
        id: MsgId,
        /// In a group: at this member.
        member: Option<String>,
    },
    /// The credential to use from the next LOGIN on.
    SetToken(Bytes),
    /// Nobody takes events any more.
    Deaf,
    /// End the session.
    Close,
}

/// What a command is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done.
    Done,
    /// The outbox has it under this name.
    Local(LocalId),
    /// The server has the message.
    Receipt(Receipt),
    /// The reply of the server.
    Frame(Frame),
    /// How the client is.
    State(ClientState),
    /// The state of an own message; `None` for one that is not followed here.
    MessageState(Option<MessageState>),
}

/// How a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientState {
    /// A session lives.
    pub connected: bool,
    /// The position of the newest entry that came.
    pub pos: Pos,
    /// Labels of the messages that wait to be accepted, in their order.
    pub outbox: Vec<String>,
    /// Connections that were tried.
    pub attempts: u64,
}

impl Engine {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Send {
                stored,
                outcome,
                message,
                key,
            } => self.command_send(stored, outcome, *message, key),
            Command::Request { ticket, frame, key } => self.command_request(ticket, *frame, key),
            Command::Ack { ticket, pos } => {
                let result = self.command_ack(pos);
                self.reply(ticket, result);
            }
            Command::Fence(ticket) => match &mut self.session {
                Some(session) if matches!(self.phase, Phase::Live) => {
                    session.fences.push_back(ticket)
                }
                _ => self.reply(ticket, Err(Error::NotConnected)),
            },
            Command::State(ticket) => {
                let state = ClientState {
                    connected: matches!(self.phase, Phase::Live),
                    pos: Pos(self.seen),
                    outbox: self.outbox.labels(),
                    attempts: self.attempts,
                };
                self.reply(ticket, Ok(Answer::State(state)));
            }
            Command::MessageState {
                ticket,
                conversation,
                id,
                member,
            } => {
                let state = self.tracker.state_of(&conversation, id, member.as_deref());
                self.reply(ticket, Ok(Answer::MessageState(state)));
            }
            Command::SetToken(token) => self.new_token(token),
            Command::Deaf => self.queue.deafen(),
            Command::Close => self.close(),
        }
    }

    fn command_send(
        &mut self,
        stored: Ticket,
        outcome: Option<Ticket>,
        message: Message,
        key: [u8; IDEM_LEN],
    ) {
        let check = self.may_queue().and_then(|()| {
            let limit = self.content_limit();
            let actual = message.body.content.len();
            match limit {
                Some(limit) if actual > limit => Err(Error::TooLarge { limit, actual }),
                _ => Ok(()),
            }
        });
        if let Err(error) = check {
            self.reply(stored, Err(error.clone()));
            if let Some(outcome) = outcome {
                self.reply(outcome, Err(error));
            }
            return;
        }
        //= spec/30-send.md#idempotency
        //# [SND-083] A client MUST give each message a key of its own.
        let body = proto::Send {
            idem: Bytes::copy_from_slice(&key),
            ..message.body
        };
        //= spec/30-send.md#idempotency
        //# [SND-030] A client MUST store the key with the message before it first sends it.
        let item = Item::new(body.into(), self.now, message.label, outcome);
        let id = self.outbox.add(item, &mut self.changes);
        self.reply(stored, Ok(Answer::Local(LocalId(id))));
    }

    fn command_request(&mut self, ticket: Ticket, frame: Frame, key: [u8; IDEM_LEN]) {
        if let Err(error) = self.may_queue() {
            self.reply(ticket, Err(error));
            return;
        }
        let frame = match frame {
            Frame::GroupOp(op) if !matches!(op.op, Some(proto::group_op::Op::Get(_))) => {
                proto::GroupOp {
                    idem: Bytes::copy_from_slice(&key),
                    ..op
                }
                .into()
            }
            frame => frame,
        };
        let item = Item::new(frame, self.now, String::new(), Some(ticket));
        self.outbox.add(item, &mut self.changes);
    }

    /// Room in the outbox, counting what came of it and was not taken by the app.
    fn may_queue(&self) -> Result<(), Error> {
        if let Phase::Stopped(stop) = &self.phase {
            return Err(Error::Stopped(stop.clone()));
        }
        if self.outbox.len() + self.queue.outcomes() >= self.config.outbox {
            return Err(Error::OutboxFull {
                limit: self.config.outbox,
            });
        }
        Ok(())
    }

    fn command_ack(&mut self, pos: Pos) -> Result<Answer, Error> {
        //= spec/30-send.md#ack
        //# [SND-053] A client MUST send ACK only for entries that it has stored.
        if !self.config.manual_ack {
            return Err(Error::Invalid(
                "this client acknowledges by itself".to_owned(),
            ));
        }
        if pos.0 > self.seen {
            return Err(Error::Invalid(format!(
                "no entry up to {pos} came, the newest is {}",
                self.seen
            )));
        }
        self.store_position(pos.0);
        Ok(Answer::Done)
    }

    /// Ends the session in order: GOAWAY, so that the server need not wait for a dead connection.
    fn close(&mut self) {
        if matches!(self.phase, Phase::Live) {
            let goaway = proto::Goaway {
                code: u32::from(tidewire_codec::Code::SHUTTING_DOWN.0),
                ..proto::Goaway::default()
            };
            self.put(&goaway.into(), Flags::NONE, 0);
            self.session_over(None::<Refusal>, false);
        }
        self.stop(Stop::Closed);
        // Whatever had stopped it before.
        self.phase = Phase::Stopped(Stop::Closed);
    }
}
