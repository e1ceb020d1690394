//! The fifth proof: adapters that lie get the verdict that is theirs.

use super::{Ground, Proof, Which};

/// Plays cases through adapters that lie.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    match ground.client {
        None => Proof::not_made(Which::Liars, "no client SDK is given: --client FILE"),
        Some(_) => Proof::not_made(Which::Liars, "no lying adapters are built in"),
    }
}
