//! Access tokens: made here, shown once, kept as a digest.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How the text of a token begins, so that people and scanners for leaked secrets know one when they see it.
const PREFIX: &str = "twt_";
/// Random bytes in a token: twice the 128 bits that the protocol asks for.
const RANDOM_BYTES: usize = 32;

/// The text of a token. LOGIN carries its bytes. It has no `Display` and a `Debug` that hides it: no log can show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    //= spec/04-security.md#security
    //# [SEC-002] Tokens MUST hold at least 128 bits from a secure random source.
    /// A new one.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn generate() -> Result<Token, getrandom::Error> {
        Ok(Token(format!("{PREFIX}{}", random_text()?)))
    }

    /// The text, for whoever is to have it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the server keeps.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

//= spec/04-security.md#security
//# [SEC-003] The server MUST store tokens only as a digest.
/// SHA-256 of the bytes of a secret. A token is as random as its digest is long, so it needs no salt.
pub(crate) fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// 32 random bytes as text.
pub(crate) fn random_text() -> Result<String, getrandom::Error> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn tokens_differ_and_hide() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one, other);
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        assert!(!format!("{one:?}").contains(&one.reveal()[4..]));
    }
}
