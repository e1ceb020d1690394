//! The sixth proof: reports whose every text is hostile are read by a schema and by parsers.

use super::{Ground, Proof, Which};
use crate::report::{bears, texts};

/// Writes and reads them.
pub(super) fn prove(_: &Ground<'_>) -> Proof {
    let mut proof = Proof::new(Which::Hostile);
    let mut written = 0;
    let texts = texts();
    for text in &texts {
        match bears(text) {
            Ok(count) => written += count,
            Err(error) => {
                let shown: String = text.chars().take(20).collect();
                proof.fault(format!("{shown:?}: {error}"));
            }
        }
    }
    proof.figure("texts", texts.len());
    proof.figure("reports written and read again", written);
    proof
}
