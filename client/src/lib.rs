#![doc = include_str!("../README.md")]

mod builder;
mod client;
mod clock;
mod driver;
pub mod engine;
mod entry;
mod error;
mod event;
mod groups;
mod ids;
mod message;
mod more;
pub mod store;
mod token;
mod tracker;
mod url;
mod wire;

pub use builder::Builder;
pub use client::{Client, Events, Queued};
pub use engine::{ClientState, Standing};
pub use entry::{Entry, ExpiredEntry, GroupEntry, Received, StatusEntry};
pub use error::{BuildError, ConnectError, Error, Refusal, Stop};
pub use event::{Event, Resumed};
pub use groups::{Group, GroupChanges, GroupInfo, Member, NewGroup, Pin};
pub use ids::{Conversation, DeviceId, GroupId, LocalId, Millis, MsgId, Pos};
pub use message::{MAX_LABEL, Message, Receipt, Receipts};
pub use more::{DeliveryState, Device, StatusCounts};
pub use store::{
    FileStore, HistoryCursor, HistoryEntry, HistoryQuery, MemoryStore, Store, StoreError,
};
pub use tidewire_codec::{Class, Code, Feature, Frame, FrameType, GroupFlags, Permissions, proto};
pub use token::{TokenError, TokenFuture, TokenSource};
pub use tracker::{MessageState, MessageStatus};
