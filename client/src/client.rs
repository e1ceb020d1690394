//! The handle of a client, and its stream of events.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tidewire_codec::{Frame, proto};
use tokio::sync::{mpsc, oneshot, watch};

use crate::builder::{Builder, random};
use crate::driver::{Ask, lock};
use crate::engine::{Answer, ClientState, Command, Standing, Ticket};
use crate::error::{ConnectError, Error, Refusal, Stop};
use crate::event::Event;
use crate::ids::{Conversation, LocalId, Millis, MsgId, Pos};
use crate::message::{Message, Receipt};
use crate::store::{HistoryEntry, HistoryQuery, Store, StoreError};
use crate::tracker::MessageState;

/// A client: one device of one user. Cheap to clone; all clones are the same client.
///
/// It connects, stays connected and keeps its promises by itself. It ends when it is [closed](Client::close), or when all
/// handles and the [`Events`] are dropped.
#[derive(Clone)]
pub struct Client {
    asks: mpsc::Sender<Ask>,
    standing: watch::Receiver<Standing>,
    store: Weak<Mutex<Box<dyn Store>>>,
    tickets: Arc<AtomicU64>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("standing", &*self.standing.borrow())
            .finish_non_exhaustive()
    }
}

/// A message that the outbox has for good.
#[derive(Debug)]
pub struct Queued {
    /// Its name in the outbox.
    pub local: LocalId,
    outcome: oneshot::Receiver<Result<Answer, Error>>,
    standing: watch::Receiver<Standing>,
}

impl Queued {
    /// Waits until the server has it for good. To let go of this changes nothing for the message.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Expired`], or [`Error::Stopped`], after which it is still in the outbox.
    pub async fn accepted(self) -> Result<Receipt, Error> {
        match self.outcome.await {
            Ok(Ok(Answer::Receipt(receipt))) => Ok(receipt),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(stopped(&self.standing)),
        }
    }
}

impl Client {
    /// Connects to a server as a new device that forgets when the process ends. Everything else is an option of the
    /// [builder](Client::builder).
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn connect(
        url: &str,
        token: impl Into<Bytes>,
    ) -> Result<(Client, Events), ConnectError> {
        Client::builder(url).token(token).connect().await
    }

    /// Options of a client for the server at this address: `tls://host:port`, `wss://host[:port][/path]`, or in the clear
    /// `tcp://host:port` and `ws://host[:port][/path]`, on this machine.
    #[must_use]
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn new(
        asks: mpsc::Sender<Ask>,
        standing: watch::Receiver<Standing>,
        store: Weak<Mutex<Box<dyn Store>>>,
    ) -> Client {
        Client {
            asks,
            standing,
            store,
            tickets: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Sends a message and waits until the server has it for good. Waits through cuts and restarts of the server; the
    /// message is there once, however often it is repeated.
    ///
    /// # Errors
    /// As [`enqueue`](Client::enqueue) and [`Queued::accepted`].
    pub async fn send(&self, message: Message) -> Result<Receipt, Error> {
        self.enqueue(message).await?.accepted().await
    }

    /// Puts a message into the outbox, connected or not. From then on it survives a restart of the app, where the client has
    /// a store that does.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::TooLarge`], [`Error::OutboxFull`], [`Error::Stopped`].
    pub async fn enqueue(&self, message: Message) -> Result<Queued, Error> {
        message.check()?;
        self.enqueue_unchecked(message).await
    }

    /// The same for a message that only the server is to judge.
    ///
    /// # Errors
    /// As [`enqueue`](Client::enqueue), but for what a server says as well.
    pub async fn enqueue_unchecked(&self, message: Message) -> Result<Queued, Error> {
        message.check_label()?;
        let key = key()?;
        let (stored, answer) = (self.ticket(), oneshot::channel());
        let (outcome, accepted) = (self.ticket(), oneshot::channel());
        let command = Command::Send {
            stored,
            outcome: Some(outcome),
            message: Box::new(message),
            key,
        };
        let answers = vec![(stored, answer.0), (outcome, accepted.0)];
        match self.ask(command, answers, answer.1).await? {
            Answer::Local(local) => Ok(Queued {
                local,
                outcome: accepted.1,
                standing: self.standing.clone(),
            }),
            _ => Err(self.stopped()),
        }
    }

    /// Sends a request of any type and waits for its reply. For what this crate has no method for; it is repeated after a
    /// cut as long as somebody waits.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutboxFull`], [`Error::Lost`], [`Error::Stopped`], and [`Error::Invalid`] for a frame that
    /// is no request of a client.
    pub async fn request(&self, frame: impl Into<Frame>) -> Result<Frame, Error> {
        let frame = frame.into();
        let is_request = frame.frame_type().info().is_some_and(|info| {
            info.kind == tidewire_codec::Kind::Request
                && info.direction == tidewire_codec::Direction::ClientToServer
                && !matches!(frame, Frame::Login(_) | Frame::Send(_))
        });
        if !is_request {
            return Err(Error::Invalid(format!(
                "{} is no request",
                frame.frame_type()
            )));
        }
        let key = key()?;
        let ticket = self.ticket();
        match self
            .call(
                ticket,
                Command::Request {
                    ticket,
                    frame: Box::new(frame),
                    key,
                },
            )
            .await?
        {
            Answer::Frame(frame) => Ok(frame),
            _ => Err(self.stopped()),
        }
    }

    /// Marks everything of a conversation up to a message as read. The senders learn it if it is `public`, the own other
    /// devices in any case.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn mark_read(
        &self,
        conversation: Conversation,
        up_to: MsgId,
        public: bool,
    ) -> Result<(), Error> {
        let scope = if public {
            proto::MarkScope::Public
        } else {
            proto::MarkScope::Private
        };
        let mark = proto::Mark {
            conversation: Some(conversation.into()),
            msg_id: up_to.0,
            scope: scope.into(),
            requires: Vec::new(),
        };
        self.request(mark).await.map(drop)
    }

    /// The credential to use from the next login on. Where the client waits for one it connects at once.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn set_token(&self, token: impl Into<Bytes>) -> Result<(), Error> {
        let ask = Ask::Engine(Command::SetToken(token.into()), Vec::new());
        self.asks.send(ask).await.map_err(|_| self.stopped())
    }

    /// The app has stored every entry up to here. Only with [`manual_ack`](Builder::manual_ack).
    ///
    /// # Errors
    /// [`Error::Invalid`] without `manual_ack`, or beyond what came; [`Error::Stopped`].
    pub async fn ack(&self, pos: Pos) -> Result<(), Error> {
        let ticket = self.ticket();
        self.call(ticket, Command::Ack { ticket, pos })
            .await
            .map(drop)
    }

    /// Waits until the server answered a PING and everything that it had sent before was handed over: what did not come
    /// by then had not happened. The events have to be taken meanwhile, by another task.
    ///
    /// # Errors
    /// [`Error::NotConnected`] without a session, or if it is lost meanwhile; [`Error::Stopped`].
    pub async fn fence(&self) -> Result<(), Error> {
        let ticket = self.ticket();
        self.call(ticket, Command::Fence(ticket)).await.map(drop)
    }

    /// How the client is.
    ///
    /// # Errors
    /// [`Error::Stopped`] once it is closed.
    pub async fn state(&self) -> Result<ClientState, Error> {
        let ticket = self.ticket();
        match self.call(ticket, Command::State(ticket)).await? {
            Answer::State(state) => Ok(state),
            _ => Err(self.stopped()),
        }
    }

    /// The state of an own message: the furthest that anybody is with it, or that of one member of a group. `None` for a
    /// message that this device does not follow; [`status`](Client::status) asks the server.
    ///
    /// # Errors
    /// [`Error::Stopped`] once the client is closed.
    pub async fn message_state(
        &self,
        conversation: Conversation,
        id: MsgId,
        member: Option<&str>,
    ) -> Result<Option<MessageState>, Error> {
        let ticket = self.ticket();
        let member = member.map(str::to_owned);
        match self
            .call(
                ticket,
                Command::MessageState {
                    ticket,
                    conversation,
                    id,
                    member,
                },
            )
            .await?
        {
            Answer::MessageState(state) => Ok(state),
            _ => Err(self.stopped()),
        }
    }

    /// What this device stored: what came and what it sent, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read, or is closed with the client.
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        let closed = || StoreError::Io("the client is closed".to_owned());
        let store = self.store.upgrade().ok_or_else(closed)?;
        let read = tokio::task::spawn_blocking(move || lock(&store).history(&query)).await;
        read.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
    }

    /// Waits for a session.
    ///
    /// # Errors
    /// [`ConnectError::Credential`] if another credential has to be [set](Client::set_token), [`ConnectError::Stopped`].
    pub async fn connected(&self) -> Result<(), ConnectError> {
        let mut standing = self.standing.clone();
        let settled = |standing: &Standing| {
            !matches!(standing, Standing::Connecting | Standing::TokenNeeded(None))
        };
        match standing.wait_for(settled).await.as_deref() {
            Ok(Standing::Connected) => Ok(()),
            Ok(Standing::TokenNeeded(Some(refusal))) => {
                Err(ConnectError::Credential(Refusal::clone(refusal)))
            }
            Ok(Standing::Stopped(stop)) => Err(ConnectError::Stopped(stop.clone())),
            Ok(_) | Err(_) => Err(ConnectError::Stopped(Stop::Closed)),
        }
    }

    /// Where the client stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Ends the session in order and waits until the store is free. What is in the outbox stays there. The credential stays
    /// good; [`logout`](Client::logout) tells the server that the user is gone.
    pub async fn close(&self) {
        let _ = self
            .asks
            .send(Ask::Engine(Command::Close, Vec::new()))
            .await;
        self.asks.closed().await;
    }

    /// With [`manual_clock`](Builder::manual_clock): time goes on, and what is due is done. Returns the time then.
    ///
    /// # Errors
    /// [`Error::Stopped`] once the client is closed.
    pub async fn advance(&self, by: Duration) -> Result<Millis, Error> {
        let (done, is_done) = oneshot::channel();
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.asks
            .send(Ask::Advance(ms, done))
            .await
            .map_err(|_| self.stopped())?;
        is_done.await.map_err(|_| self.stopped())
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    async fn call(&self, ticket: Ticket, command: Command) -> Result<Answer, Error> {
        let (sender, answer) = oneshot::channel();
        self.ask(command, vec![(ticket, sender)], answer).await
    }

    async fn ask(
        &self,
        command: Command,
        answers: Vec<(Ticket, oneshot::Sender<Result<Answer, Error>>)>,
        answer: oneshot::Receiver<Result<Answer, Error>>,
    ) -> Result<Answer, Error> {
        self.asks
            .send(Ask::Engine(command, answers))
            .await
            .map_err(|_| self.stopped())?;
        answer.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn stopped(&self) -> Error {
        stopped(&self.standing)
    }
}

fn stopped(standing: &watch::Receiver<Standing>) -> Error {
    Error::Stopped(match &*standing.borrow() {
        Standing::Stopped(stop) => stop.clone(),
        _ => Stop::Closed,
    })
}

fn key<const N: usize>() -> Result<[u8; N], Error> {
    random().map_err(|error| Error::Invalid(error.to_string()))
}

/// What a client tells its app, in order. Ends with the client.
///
/// An app that takes no events stops the flow of entries, not the session. One that wants none drops this.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(events: mpsc::Receiver<Event>) -> Events {
        Events { events }
    }

    /// The next event; `None` once the client is closed. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(cx)
    }
}
