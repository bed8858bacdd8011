//! Reading the fields of a record in place, without copies.

use std::borrow::Cow;

use crate::codec::{DecodeError, buffer_len, item_count, need};

/// Rest of a record that is read in place. Lengths and nulls follow the rules of [`Decode`](crate::Decode), and nulls
/// are returned to the caller. `what` names a field in an error.
///
/// ```
/// use zk_wire::Fields;
///
/// let mut fields = Fields::new(&[0, 0, 0, 2, b'/', b'a', 1]);
/// assert_eq!(fields.text("path")?.as_deref(), Some("/a"));
/// assert!(fields.boolean("watch")?);
/// # Ok::<(), zk_wire::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    left: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the front of `record`.
    #[must_use]
    pub fn new(record: &'a [u8]) -> Self {
        Self { left: record }
    }

    /// Returns what has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.left
    }

    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let left = self.left.len();
        let (taken, rest) =
            self.left.split_at_checked(count).ok_or(DecodeError::Truncated { what, needed: count, left })?;
        self.left = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let left = self.left.len();
        let (taken, rest) =
            self.left.split_first_chunk().ok_or(DecodeError::Truncated { what, needed: N, left })?;
        self.left = rest;
        Ok(*taken)
    }

    /// Reads a number of 32 bits.
    ///
    /// # Errors
    /// The record ends too early.
    pub fn int(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.chunk(what).map(i32::from_be_bytes)
    }

    /// Reads a number of 64 bits.
    ///
    /// # Errors
    /// The record ends too early.
    pub fn long(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.chunk(what).map(i64::from_be_bytes)
    }

    /// Reads a boolean; any byte but zero is `true`.
    ///
    /// # Errors
    /// The record ends too early.
    pub fn boolean(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        self.chunk(what).map(|[byte]| byte != 0)
    }

    /// Reads a buffer, or null.
    ///
    /// # Errors
    /// The record ends too early, or the length is impossible.
    pub fn buffer(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, DecodeError> {
        match buffer_len(self.int(what)?, what)? {
            Some(len) => self.take(len, what).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a string, or null. Invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// The record ends too early, or the length is impossible.
    pub fn text(&mut self, what: &'static str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer(what)?.map(|bytes| match str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }))
    }

    /// Reads a vector with `item` for each item, or null.
    ///
    /// # Errors
    /// The record ends too early, or an item cannot be read.
    pub fn vector<T>(
        &mut self,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.item_count(what)? else { return Ok(None) };
        (0..count).map(|_| item(self)).collect::<Result<_, _>>().map(Some)
    }

    /// Reads the number of items of a vector, or null. There are at least four bytes for each: a hostile count costs nothing.
    pub(crate) fn item_count(&mut self, what: &'static str) -> Result<Option<usize>, DecodeError> {
        let Some(count) = item_count(self.int(what)?) else { return Ok(None) };
        need(self.left.len(), count.saturating_mul(4), what)?;
        Ok(Some(count))
    }

    /// Returns the bytes of all that `read` takes.
    pub(crate) fn span(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<&'a [u8], DecodeError> {
        let all = self.left;
        read(self)?;
        Ok(&all[..all.len() - self.left.len()])
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::Decode;

    #[test]
    fn fields_read_in_place_equal_decoded_ones() {
        for record in [
            &[0xff; 4][..],
            &[0xff, 0xff, 0xff, 0xfe],
            &[0; 4],
            &[0; 3],
            &[0, 0, 0, 2, b'/', b'a', 9],
            &[0, 0, 0, 2, 0xff, b'a'],
            &[0, 0, 0, 9, b'a'],
            &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &[0, 0, 0, 1, 0, 0, 0, 1, b'x'],
        ] {
            let owned = || Bytes::from_static(record);
            let text = Fields::new(record).text("it").map(|text| text.map(|text| text.as_ref().into()));
            assert_eq!(text, Option::<bytestring::ByteString>::decode(&mut owned(), "it"));
            let buffer = Fields::new(record).buffer("it").map(|it| it.map(Bytes::from_static));
            assert_eq!(buffer, Option::<Bytes>::decode(&mut owned(), "it"));
            assert_eq!(Fields::new(record).int("it"), i32::decode(&mut owned(), "it"));
            assert_eq!(Fields::new(record).long("it"), i64::decode(&mut owned(), "it"));
            assert_eq!(Fields::new(record).boolean("it"), bool::decode(&mut owned(), "it"));
            let vector = Fields::new(record).vector("it", |item| item.int("it"));
            assert_eq!(vector, Option::<Vec<i32>>::decode(&mut owned(), "it"));
        }
    }
}
