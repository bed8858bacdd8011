//! Names and values beside a payload, as they stand in a frame.

use std::fmt;

use crate::layout::Reader;
use crate::{DecodeError, EncodeError, ReplyWriter};

/// Maximum length of all names and values of one frame, with their lengths.
const MAX_LEN: usize = u16::MAX as usize;

/// Names and values beside the argument or the result of a call, in the order in which they were added.
///
/// A name is 1 to 255 characters of `a-z`, `0-9`, `-`, `_` and `.`. A value is any bytes. All of one frame have at most 65,535
/// bytes, counting one for each name and two for each value.
///
/// ```
/// use rpc_wire::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("tenant", "blue")?;
/// assert_eq!(metadata.get("tenant"), Some("blue"));
/// assert_eq!(metadata.get("user"), None);
/// # Ok::<(), rpc_wire::EncodeError>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Metadata(Vec<u8>);

/// [`Metadata`] that stand in a frame.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct MetadataRef<'a>(&'a [u8]);

impl Metadata {
    /// Returns true for a name that only this project's libraries set: `traceparent`, `tracestate`, and all that begin with
    /// `rpc.`.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        name.starts_with("rpc.") || matches!(name, "traceparent" | "tracestate")
    }

    /// Makes empty metadata.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a name, in place of all that it had.
    ///
    /// # Errors
    /// The name is not allowed, or the limit of bytes is reached.
    pub fn insert(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EncodeError> {
        let mut others = Self::new();
        for (other, value) in self.iter().filter(|(other, _)| *other != name) {
            others.push(other, value)?;
        }
        others.push(name, value)?;
        *self = others;
        Ok(())
    }

    /// Adds a value; a name may have several.
    ///
    /// # Errors
    /// The name is not allowed, or the limit of bytes is reached.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EncodeError> {
        let value = value.as_ref();
        if !is_name(name) {
            return Err(EncodeError::MetadataName(name.to_owned()));
        }
        let len = self.0.len() + 3 + name.len() + value.len();
        let (Ok(name_len), Ok(value_len), true) =
            (u8::try_from(name.len()), u16::try_from(value.len()), len <= MAX_LEN)
        else {
            return Err(EncodeError::FieldTooLong { what: "metadata", len, max: MAX_LEN });
        };
        self.0.push(name_len);
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(&value_len.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(())
    }

    /// Returns the first value of a name, if it is UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.as_ref().get(name)
    }

    /// Iterates over names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.as_ref().iter()
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the same metadata, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> MetadataRef<'_> {
        MetadataRef(&self.0)
    }
}

impl<'a> MetadataRef<'a> {
    /// Checks the bytes of a frame.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::rest_of(bytes);
        while !input.is_empty() {
            let name = input.text("metadata name")?;
            if !is_name(name) {
                return Err(DecodeError::MetadataName);
            }
            input.long("metadata value")?;
        }
        Ok(Self(bytes))
    }

    /// Returns the first value of a name, if it is UTF-8.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        let (_, value) = self.iter().find(|(found, _)| *found == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Iterates over names and values.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut input = Reader::rest_of(self.0);
        // The bytes were checked when they were decoded.
        std::iter::from_fn(move || Some((input.text("name").ok()?, input.long("value").ok()?)))
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns the length of all names and values, with their own lengths: the bytes that they take in a frame.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Returns a copy that can be kept.
    #[must_use]
    pub fn to_owned(self) -> Metadata {
        Metadata(self.0.to_vec())
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl ReplyWriter<'_> {
    /// Puts metadata before the payload, once. The payload that is already there moves.
    pub fn set_metadata(&mut self, metadata: MetadataRef<'_>) {
        self.put_metadata(metadata.as_bytes());
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for MetadataRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Returns true for a name that metadata may have.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_several_values_and_insert_replaces_them() {
        let mut metadata = Metadata::new();
        metadata.push("a", "1").unwrap();
        metadata.push("b", "2").unwrap();
        metadata.push("a", "3").unwrap();
        assert_eq!(metadata.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "a"]);
        metadata.insert("a", "4").unwrap();
        assert_eq!(metadata.iter().count(), 2);
        assert_eq!(metadata.get("a"), Some("4"));
    }

    #[test]
    fn a_bad_name_and_too_many_bytes_are_refused_and_change_nothing() {
        let mut metadata = Metadata::new();
        for name in ["", "Tenant", "a b", "ä", &"x".repeat(256)] {
            assert!(metadata.push(name, "").is_err(), "{name:?}");
        }
        assert!(metadata.push("a", vec![0; MAX_LEN]).is_err());
        assert!(metadata.is_empty());
        metadata.push("a", vec![0xff; MAX_LEN - 4]).unwrap();
        assert!(metadata.push("b", "").is_err());
        assert_eq!(metadata.get("a"), None, "not UTF-8");
    }

    #[test]
    fn values_are_not_printed() {
        let mut metadata = Metadata::new();
        metadata.push("authorization", "secret").unwrap();
        assert_eq!(format!("{metadata:?}"), r#"{"authorization"}"#);
    }
}
