//! The bytes of keys and values in the data folder, format version 1.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `log` | user (u64), position (u64) | length of meta (u32), meta, kind (1 inline, 2 shared), body or message id (u64) |
//! | `bodies` | message id (u64) | body |
//! | `idem` | time (u64), sequence (u64) | the core's record of one burst |
//! | `small` | the core's | the core's |
//! | `meta` | `version`, `now`, `bodies`, `idem`, `t` and user (u64) | format, last time, watermarks, cursor of the user |
//!
//! Numbers are big-endian, so that the order of keys is the order of numbers. All that belongs to one message is in one
//! entry: each further key costs as much as the message.

use bytes::{BufMut, Bytes, BytesMut};
use tidewire_core::store::{Body, Pos, StoreError, UserKey, Value};

/// What `meta` says under [`VERSION_KEY`].
pub(super) const FORMAT_VERSION: u64 = 1;
/// The format of the folder.
pub(super) const VERSION_KEY: &[u8] = b"version";
/// Server time of the last batch.
pub(super) const NOW_KEY: &[u8] = b"now";
/// Bodies below this message id are gone.
pub(super) const BODIES_KEY: &[u8] = b"bodies";
/// Idempotency records before this time are gone.
pub(super) const IDEM_KEY: &[u8] = b"idem";
/// First byte of the keys of cursors.
pub(super) const CURSOR_PREFIX: u8 = b't';

const INLINE: u8 = 1;
const SHARED: u8 = 2;

/// Two numbers in their order: keys of `log` and `idem`.
pub(super) fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&second.to_be_bytes());
    key
}

/// The numbers of [`pair`].
pub(super) fn split_pair(key: &[u8]) -> Result<(u64, u64), StoreError> {
    match key.as_chunks::<8>() {
        ([first, second], []) => Ok((u64::from_be_bytes(*first), u64::from_be_bytes(*second))),
        _ => Err(corrupt("a key is not 16 bytes long")),
    }
}

/// A key or value that is one number.
pub(super) fn number(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes: [u8; 8] = bytes
        .try_into()
        .map_err(|_| corrupt("a number is not 8 bytes long"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Key of an entry of a log.
pub(super) fn log_key(user: UserKey, pos: Pos) -> [u8; 16] {
    pair(user.0, pos.0)
}

/// Key of the cursor of a user.
pub(super) fn cursor_key(user: UserKey) -> [u8; 9] {
    let mut key = [CURSOR_PREFIX; 9];
    key[1..].copy_from_slice(&user.0.to_be_bytes());
    key
}

/// The value of a log entry as it is stored.
pub(super) fn encode_value(value: &Value) -> Result<Bytes, StoreError> {
    let meta_len = u32::try_from(value.meta.len())
        .map_err(|_| StoreError("meta of an entry is too long".into()))?;
    let body_len = if let Body::Inline(body) = &value.body {
        body.len()
    } else {
        8
    };
    let mut bytes = BytesMut::with_capacity(5 + value.meta.len() + body_len);
    bytes.put_u32(meta_len);
    bytes.put_slice(&value.meta);
    match &value.body {
        Body::Inline(body) => {
            bytes.put_u8(INLINE);
            bytes.put_slice(body);
        }
        Body::Shared(msg_id) => {
            bytes.put_u8(SHARED);
            bytes.put_u64(*msg_id);
        }
        Body::Gone => return Err(StoreError("a body that is gone cannot be stored".into())),
    }
    Ok(bytes.freeze())
}

/// Reads what [`encode_value`] wrote.
pub(super) fn decode_value(mut bytes: Bytes) -> Result<Value, StoreError> {
    let short = || corrupt("a log entry is cut off");
    if bytes.len() < 4 {
        return Err(short());
    }
    let meta_len = bytes
        .split_to(4)
        .iter()
        .fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
    if bytes.len() <= meta_len {
        return Err(short());
    }
    let meta = bytes.split_to(meta_len).to_vec();
    let kind = bytes.split_to(1);
    let body = match kind[0] {
        INLINE => Body::Inline(bytes),
        SHARED => Body::Shared(number(&bytes)?),
        _ => return Err(corrupt("a log entry is of an unknown kind")),
    };
    Ok(Value { meta, body })
}

/// What is on disk is not what this version writes.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError(format!("the data folder is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn keys_sort_as_their_numbers() {
        assert!(pair(1, u64::MAX) < pair(2, 0));
        assert!(pair(255, 255) < pair(256, 0));
        assert_eq!(split_pair(&pair(7, 9)).unwrap(), (7, 9));
        assert!(split_pair(&[0; 15]).is_err());
    }

    #[test]
    fn values_come_back() {
        for body in [
            Body::Inline(Bytes::new()),
            Body::Inline(Bytes::from_static(b"hello")),
            Body::Shared(77),
        ] {
            let value = Value {
                meta: vec![1, 2, 3],
                body,
            };
            assert_eq!(decode_value(encode_value(&value).unwrap()).unwrap(), value);
        }
        assert!(
            encode_value(&Value {
                meta: Vec::new(),
                body: Body::Gone
            })
            .is_err()
        );
    }

    #[test]
    fn every_prefix_of_a_shared_value_is_refused() {
        let whole = encode_value(&Value {
            meta: vec![9; 4],
            body: Body::Shared(1),
        })
        .unwrap();
        for len in 0..whole.len() {
            assert!(decode_value(whole.slice(..len)).is_err(), "{len}");
        }
    }
}
