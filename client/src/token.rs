//! Credentials, and where fresh ones come from.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// A fresh credential, or why there is none now.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<Bytes, TokenError>> + Send>>;

/// There is no credential now. The client asks again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(pub String);

/// Where a client gets a credential: when it starts without one, when the server refused the one it has, and before the
/// one it has ends.
///
/// A closure that returns a future will do:
///
/// ```
/// use tidewire_client::{Client, TokenError};
///
/// let builder = Client::builder("tls://chat.example:7402")
///     .token_source(|| async { Ok::<_, TokenError>("from my backend".into()) });
/// ```
pub trait TokenSource: Send + 'static {
    /// Begins to get one.
    fn token(&mut self) -> TokenFuture;
}

impl<F, R> TokenSource for F
where
    F: FnMut() -> R + Send + 'static,
    R: Future<Output = Result<Bytes, TokenError>> + Send + 'static,
{
    fn token(&mut self) -> TokenFuture {
        Box::pin(self())
    }
}
