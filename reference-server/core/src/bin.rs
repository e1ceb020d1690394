//! The compact binary form of what the core stores: varints and byte strings, read back without panics.

use crate::api::Millis;

/// Appends values.
pub(crate) trait Put {
    /// A number, 7 bits a byte, the lowest first.
    fn put_num(&mut self, value: u64);
    /// A length and bytes.
    fn put_blob(&mut self, value: &[u8]);
    /// 0 for absent, else the number plus 1.
    fn put_opt(&mut self, value: Option<u64>);
}

impl Put for Vec<u8> {
    fn put_num(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_blob(&mut self, value: &[u8]) {
        self.put_num(value.len() as u64);
        self.extend_from_slice(value);
    }

    fn put_opt(&mut self, value: Option<u64>) {
        self.put_num(value.map_or(0, |value| value.saturating_add(1)));
    }
}

/// Takes values off the front. `None` means that the bytes are not what they should be.
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    /// A number.
    pub(crate) fn num(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if *byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return Some(value);
            }
        }
        None
    }

    /// A number of 32 bits.
    pub(crate) fn num32(&mut self) -> Option<u32> {
        self.num().and_then(|value| u32::try_from(value).ok())
    }

    /// A point in time.
    pub(crate) fn time(&mut self) -> Option<Millis> {
        self.num().map(Millis)
    }

    /// An optional number.
    pub(crate) fn opt(&mut self) -> Option<Option<u64>> {
        self.num().map(|value| value.checked_sub(1))
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// So many bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// A big-endian number of 8 bytes, as in keys.
    pub(crate) fn be(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A length and bytes.
    pub(crate) fn blob(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.num()?).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// A string.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        self.blob()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// True if nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Put, Take};

    #[track_caller]
    fn check(value: u64, len: usize) {
        let mut bytes = Vec::new();
        bytes.put_num(value);
        bytes.put_opt(Some(value));
        assert_eq!(Take(&bytes).num(), Some(value));
        let mut take = Take(&bytes);
        assert_eq!(take.num(), Some(value));
        assert_eq!(take.opt(), Some(Some(value)));
        assert!(take.is_empty());
        for cut in 0..len {
            assert_eq!(Take(&bytes[..cut]).num(), None, "{value} cut at {cut}");
        }
    }

    #[test]
    fn numbers_come_back() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (1 << 35, 6), (u64::MAX - 1, 10)] {
            check(value, len);
        }
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let mut bytes = Vec::new();
        bytes.put_blob(b"hello");
        bytes.put_opt(None);
        let mut take = Take(&bytes);
        assert_eq!((take.text(), take.opt()), (Some("hello"), Some(None)));
        assert_eq!(Take(&bytes[..5]).blob(), None);
        assert_eq!(Take(&[0xFF; 20]).num(), None);
        assert_eq!(Take(b"\x02\xff\xfe").text(), None);
        assert_eq!(Take(&[]).byte(), None);
        assert_eq!(Take(&[1, 2, 3]).array::<4>(), None);
    }
}
