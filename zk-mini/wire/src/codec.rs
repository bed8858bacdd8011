//! Primitives of the jute codec: big-endian integers, booleans of one byte, and buffers, strings and vectors behind
//! their length.
//!
//! Lengths are checked against the rest of the input before anything is allocated, so a hostile length costs nothing.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

/// Value that can be written in jute's format. Writing cannot fail; check the total with [`length`] before it is sent
/// or stored.
pub trait Encode {
    /// Appends the value to `out`.
    fn encode(&self, out: &mut BytesMut);
}

/// Value that can be read in jute's format.
pub trait Decode: Sized {
    /// Takes the value off the front of `input`. `what` names it in an error.
    ///
    /// # Errors
    /// [`DecodeError`] if the input is too short, or has a length or a null that is not allowed here.
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError>;
}

/// Reason why bytes are not the expected record. Fields are named `Record.field`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside the value.
    #[error("{what} needs {needed} bytes and only {left} are left")]
    Truncated {
        /// Field that is read.
        what: &'static str,
        /// Number of bytes that the field takes.
        needed: usize,
        /// Number of bytes that are left.
        left: usize,
    },
    /// Length that is negative or over a limit.
    #[error("{what} has the impossible length {len}")]
    BadLength {
        /// Field that is read.
        what: &'static str,
        /// Length as sent.
        len: i32,
    },
    /// Null where a value is required.
    #[error("{what} is null")]
    Null {
        /// Field that is read.
        what: &'static str,
    },
    /// Operation that is not allowed in a multi, or a result that no operation has.
    #[error("{what} has the unexpected type {op}")]
    UnexpectedType {
        /// Record that is read.
        what: &'static str,
        /// Op code as sent.
        op: i32,
    },
    /// Flags of a create that are not allowed in its record.
    #[error("{what} has the impossible flags {flags}")]
    BadFlags {
        /// Field that is read.
        what: &'static str,
        /// Flags as sent.
        flags: i32,
    },
    /// Bytes after the end of the record.
    #[error("{left} bytes are left after the record")]
    TrailingBytes {
        /// Number of bytes.
        left: usize,
    },
}

/// Decodes a whole record and refuses bytes after it. A server that accepts such bytes in requests, as Apache's does,
/// calls [`Decode::decode`].
///
/// # Errors
/// [`DecodeError`] from [`Decode::decode`], or [`DecodeError::TrailingBytes`].
pub fn decode_all<T: Decode>(mut input: Bytes) -> Result<T, DecodeError> {
    let value = T::decode(&mut input, "record")?;
    match input.len() {
        0 => Ok(value),
        left => Err(DecodeError::TrailingBytes { left }),
    }
}

/// Fails unless `needed` bytes are left.
pub(crate) fn need(left: usize, needed: usize, what: &'static str) -> Result<(), DecodeError> {
    if left < needed { Err(DecodeError::Truncated { what, needed, left }) } else { Ok(()) }
}

/// Returns the length of a buffer; `None` for null, which is -1.
pub(crate) fn buffer_len(len: i32, what: &'static str) -> Result<Option<usize>, DecodeError> {
    match len {
        -1 => Ok(None),
        _ => usize::try_from(len).map(Some).map_err(|_| DecodeError::BadLength { what, len }),
    }
}

/// Returns the number of items in a vector; `None` for null, which is -1. Other negative lengths read as empty, because
/// jute's loop does nothing for them. Each item takes at least four bytes: callers check that before they allocate.
pub(crate) fn item_count(len: i32) -> Option<usize> {
    if len == -1 { None } else { Some(usize::try_from(len).unwrap_or(0)) }
}

/// Takes a buffer as a slice, without a copy; `None` for null, which is -1.
fn take_buffer(input: &mut Bytes, what: &'static str) -> Result<Option<Bytes>, DecodeError> {
    Ok(take_len(input, what)?.map(|len| input.split_to(len)))
}

/// Takes the length of a buffer that is there as a whole; `None` for null, which is -1.
fn take_len(input: &mut Bytes, what: &'static str) -> Result<Option<usize>, DecodeError> {
    let Some(len) = buffer_len(i32::decode(input, what)?, what)? else { return Ok(None) };
    need(input.len(), len, what)?;
    Ok(Some(len))
}

/// Appends the length of a buffer, or the number of a vector's items.
///
/// A length over 31 bits is written as the largest one. That is safe because the frame or record around it is longer
/// still, and [`length`] refuses it as a whole.
pub fn put_len(len: usize, out: &mut BytesMut) {
    out.put_i32(length(len).unwrap_or(i32::MAX));
}

/// Returns a length as it is written, in 31 bits. Check each frame, record of a log and part of a snapshot with it
/// before it is sent or stored.
///
/// # Errors
/// [`TooLong`] if it does not fit. Lengths inside may be wrong then, so nothing of it can be used.
pub fn length(len: usize) -> Result<i32, TooLong> {
    i32::try_from(len).map_err(|_| TooLong { len })
}

/// Number of bytes or items that is too large for a length.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{len} is too long: lengths go up to {}", i32::MAX)]
pub struct TooLong {
    /// Number of bytes or items.
    pub len: usize,
}

macro_rules! integers {
    ($($int:ty, $put:ident, $get:ident;)*) => {$(
        impl Encode for $int {
            fn encode(&self, out: &mut BytesMut) {
                out.$put(*self);
            }
        }
        impl Decode for $int {
            fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
                need(input.len(), size_of::<Self>(), what)?;
                Ok(input.$get())
            }
        }
    )*};
}

integers! {
    i32, put_i32, get_i32;
    i64, put_i64, get_i64;
}

impl Encode for bool {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

/// Reads any byte but zero as `true`, as Java's `DataInput.readBoolean` does.
impl Decode for bool {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        need(input.len(), 1, what)?;
        Ok(input.get_u8() != 0)
    }
}

impl Encode for Option<Bytes> {
    fn encode(&self, out: &mut BytesMut) {
        self.as_deref().encode(out);
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut BytesMut) {
        Some(&**self).encode(out);
    }
}

impl Encode for Option<&[u8]> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            None => out.put_i32(-1),
            Some(bytes) => {
                put_len(bytes.len(), out);
                out.put_slice(bytes);
            }
        }
    }
}

impl Decode for Option<Bytes> {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        take_buffer(input, what)
    }
}

impl Encode for str {
    fn encode(&self, out: &mut BytesMut) {
        put_len(self.len(), out);
        out.put_slice(self.as_bytes());
    }
}

impl Encode for ByteString {
    fn encode(&self, out: &mut BytesMut) {
        str::encode(self, out);
    }
}

impl Decode for ByteString {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        Option::decode(input, what)?.ok_or(DecodeError::Null { what })
    }
}

impl Encode for Option<ByteString> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            None => out.put_i32(-1),
            Some(text) => text.encode(out),
        }
    }
}

/// Reads invalid UTF-8 as U+FFFD, as Java's `new String(bytes, UTF_8)` does.
impl Decode for Option<ByteString> {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        let Some(len) = take_len(input, what)? else { return Ok(None) };
        // Valid UTF-8, the common case, is not copied.
        let text = ByteString::try_from(input.slice(..len))
            .unwrap_or_else(|_| String::from_utf8_lossy(&input[..len]).into_owned().into());
        input.advance(len);
        Ok(Some(text))
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut BytesMut) {
        put_len(self.len(), out);
        for item in self {
            item.encode(out);
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut BytesMut) {
        self.as_slice().encode(out);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        Option::decode(input, what)?.ok_or(DecodeError::Null { what })
    }
}

impl<T: Encode> Encode for Option<Vec<T>> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            None => out.put_i32(-1),
            Some(items) => items.encode(out),
        }
    }
}

impl<T: Decode> Decode for Option<Vec<T>> {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        let Some(count) = item_count(i32::decode(input, what)?) else { return Ok(None) };
        // Before the allocation: a hostile count costs nothing.
        need(input.len(), count.saturating_mul(4), what)?;
        (0..count).map(|_| T::decode(input, what)).collect::<Result<_, _>>().map(Some)
    }
}

/// Declares records: the struct, and both directions of the codec, field by field in order.
macro_rules! records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $crate::codec::decoded_records! { $(#[$meta])* $name { $($(#[$field_meta])* $field: $type,)* } }
        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut bytes::BytesMut) {
                $(self.$field.encode(out);)*
                let _ = out;
            }
        }
    )*};
}
pub(crate) use records;

/// Declares records that have their own `Encode`.
macro_rules! decoded_records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }
        impl $crate::codec::Decode for $name {
            fn decode(input: &mut bytes::Bytes, _: &'static str) -> Result<Self, $crate::codec::DecodeError> {
                $(let $field = $crate::codec::Decode::decode(
                    input,
                    concat!(stringify!($name), ".", stringify!($field)),
                )?;)*
                let _ = input;
                Ok(Self { $($field,)* })
            }
        }
    )*};
}
pub(crate) use decoded_records;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode<T: Decode>(bytes: &'static [u8]) -> Result<T, DecodeError> {
        decode_all(Bytes::from_static(bytes))
    }

    #[test]
    fn lengths_follow_jute() {
        const NULL: &[u8] = &[0xff; 4];
        const MINUS_TWO: &[u8] = &[0xff, 0xff, 0xff, 0xfe];
        assert_eq!(decode::<Option<Bytes>>(NULL), Ok(None));
        assert_eq!(decode::<Option<Bytes>>(&[0; 4]), Ok(Some(Bytes::new())));
        assert_eq!(
            decode::<Option<Bytes>>(MINUS_TWO),
            Err(DecodeError::BadLength { what: "record", len: -2 })
        );
        assert_eq!(decode::<ByteString>(NULL), Err(DecodeError::Null { what: "record" }));
        assert_eq!(decode::<Option<Vec<i32>>>(NULL), Ok(None));
        assert_eq!(decode::<Option<Vec<i32>>>(MINUS_TWO), Ok(Some(vec![])));
        assert_eq!(decode::<Vec<i32>>(NULL), Err(DecodeError::Null { what: "record" }));
        assert_eq!(decode::<Vec<i32>>(MINUS_TWO), Ok(vec![]));
        assert_eq!(decode::<bool>(&[7]), Ok(true));
    }

    #[test]
    fn a_length_beyond_the_input_is_refused_before_allocation() {
        const HUGE: &[u8] = &[0x7f, 0xff, 0xff, 0xff, 0];
        assert!(matches!(decode::<Option<Bytes>>(HUGE), Err(DecodeError::Truncated { left: 1, .. })));
        assert!(matches!(decode::<Vec<i32>>(HUGE), Err(DecodeError::Truncated { left: 1, .. })));
    }

    #[test]
    fn invalid_utf_8_becomes_the_replacement_character() {
        assert_eq!(decode::<ByteString>(&[0, 0, 0, 2, b'/', 0xff]).unwrap(), "/\u{fffd}");
    }
}
