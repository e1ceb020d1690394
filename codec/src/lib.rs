//! Tidewire frames as bytes and types.
//!
//! No sockets, no clock, no randomness, no standard library: bytes and seeds come in, bytes and values go out. The crate
//! does not judge what a field holds (that a key has 16 bytes, that a user exists), keeps no session and never closes a
//! connection; that is the server's core.
//!
//! A byte stream becomes values in steps, each of which yields a type that cannot be wrong in what the step checked:
//!
//! 1. [`Decoder`] cuts the stream into [`RawFrame`]s: header read, length within the limit, body opaque.
//! 2. [`Frame::decode`] checks the shape of the body and decodes it, or [`view`] borrows it without a copy.
//! 3. [`Frame::to_raw`] and [`RawFrame::encode_into`] go the other way.
//!
//! What went wrong is said by blame: [`DecodeError`] (the bytes), [`Violation`] (the peer broke a rule of the connection:
//! GOAWAY), [`PeerError`] (the peer's request cannot be served: ERROR), [`LocalError`] (our caller). [`error_code`] is
//! the one table from each of them to its [`Code`].
//!
//! # Features
//!
//! None is on by default.
//!
//! - `std`: turns on `std` in the dependencies.
//! - `tokio-util`: `tokio_codec::TidewireCodec`, for `tokio_util::codec::Framed`. Implies `std`.
//! - `serde`: `Serialize` and `Deserialize` for registries, header, frames and bodies.
//! - `arbitrary`: `Arbitrary` for frames and registries, and `fuzzing`, the bodies of the fuzz targets. Implies `std`.
//!
//! # Panics
//!
//! Nothing here panics, whatever the bytes.

#![no_std]
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod decoder;
pub mod dump;
mod error;
pub mod error_code;
mod frame;
#[cfg(feature = "arbitrary")]
pub mod fuzzing;
pub mod grease;
mod header;
mod message;
pub mod negotiate;
mod raw;
mod registry;
pub mod shapes;
#[cfg(feature = "tokio-util")]
pub mod tokio_codec;
pub mod view;
mod wire;

/// The bodies of the frames, generated from `spec/proto` by `cargo xtask generate`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::as_conversions,
    reason = "the code is prost's; the words are those of the proto files"
)]
#[rustfmt::skip]
#[path = "generated/tidewire.v1.rs"]
pub mod proto;

/// The code of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use decoder::{Decoder, Item};
pub use error::{DecodeError, DecodeErrorKind, FieldPath, LocalError, PeerError, Violation};
pub use error_code::Fault;
pub use frame::Frame;
pub use header::{Flags, Header, MAX_LEN, PREFACE};
pub use message::{MessagePrefix, MessageTail};
pub use raw::RawFrame;
pub use registry::{
    Class, Code, Direction, Family, Feature, FrameInfo, FrameType, GroupFlags, Kind, LoginPhase,
    Permissions, limits,
};
