//! Payload formats: JSON or postcard, for any serde type.

use std::fmt;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::depth::{self, Failure};

/// A payload format, agreed on in the handshake for the whole connection.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Format(pub u8);

impl Format {
    /// JSON, the default: readable, and available in any language.
    pub const JSON: Self = Self(1);
    /// postcard: compact and fast. Both sides must have the same types.
    pub const POSTCARD: Self = Self(2);

    /// Returns true if this version can read and write the format.
    pub fn is_known(self) -> bool {
        matches!(self, Self::JSON | Self::POSTCARD)
    }

    /// Appends `value` to `out`. After an error `out` may hold a part of it.
    ///
    /// # Errors
    /// The format cannot express the value, the value is nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH), or the format
    /// is unknown.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        match self {
            Self::JSON => depth::serialize_json(value, out).map_err(|failure| self.explain(failure)),
            Self::POSTCARD => {
                let mut compact = postcard::Serializer { output: Appender(out) };
                depth::serialize(value, &mut compact).map_err(|failure| self.explain(failure))
            }
            other => Err(PayloadError::UnknownFormat(other)),
        }
    }

    /// Reads a value that takes up all of `payload`.
    ///
    /// # Errors
    /// The bytes are not a value of this type, the value is nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH) or has too
    /// many elements, or the format is unknown.
    pub fn decode<T: DeserializeOwned>(self, payload: &[u8]) -> Result<T, PayloadError> {
        match self {
            Self::JSON => {
                // One check of the whole text costs less than one of each string in it.
                let text = str::from_utf8(payload).map_err(|error| self.malformed(&error))?;
                let mut json = serde_json::Deserializer::from_str(text);
                let value = depth::deserialize(payload.len(), &mut json);
                let value = value.map_err(|failure| self.explain(failure))?;
                json.end().map_err(|error| self.malformed(&error))?;
                Ok(value)
            }
            Self::POSTCARD => {
                let mut compact = postcard::Deserializer::from_bytes(payload);
                let value = depth::deserialize(payload.len(), &mut compact);
                let value = value.map_err(|failure| self.explain(failure))?;
                match compact.finalize() {
                    Ok([]) => Ok(value),
                    // postcard itself accepts left-over bytes, but they mean that the types differ.
                    Ok(_) => Err(self.malformed(&"bytes are left over; both sides must have the same types")),
                    Err(error) => Err(self.malformed(&error)),
                }
            }
            other => Err(PayloadError::UnknownFormat(other)),
        }
    }

    fn explain(self, failure: Failure<impl fmt::Display>) -> PayloadError {
        match failure {
            Failure::TooDeep => PayloadError::TooDeep,
            Failure::TooMany => PayloadError::TooMany,
            Failure::Other(error) => self.malformed(&error),
        }
    }

    fn malformed(self, reason: &dyn fmt::Display) -> PayloadError {
        PayloadError::Malformed { format: self, reason: reason.to_string() }
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::JSON
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::JSON => f.write_str("json"),
            Self::POSTCARD => f.write_str("postcard"),
            Self(other) => write!(f, "{other}"),
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Appends what postcard writes, a slice at a time.
struct Appender<'a>(&'a mut Vec<u8>);

impl Flavor for Appender<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A value that cannot be written as a payload, or a payload that is not a value of the expected type.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The format cannot express the value, or the bytes are not a value of the expected type.
    #[error("as {format}: {reason}")]
    Malformed {
        /// The payload format.
        format: Format,
        /// Reason, for a human.
        reason: String,
    },
    /// The value is nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH). A decoder for JSON may report that as
    /// [`Malformed`](Self::Malformed).
    #[error("nested too deep: at most {} levels are allowed", crate::MAX_DEPTH)]
    TooDeep,
    /// The payload announces far more elements than it has bytes, as is possible with elements such as `()`.
    #[error("more elements than a payload of this length can have")]
    TooMany,
    /// A format that this version cannot read or write.
    #[error("payload format {0} is unknown; use json or postcard")]
    UnknownFormat(Format),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
    struct Sample {
        id: u64,
        name: Option<String>,
        bytes: Vec<u8>,
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(
            id: u64,
            name in proptest::option::of(".*"),
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let sample = Sample { id, name, bytes };
            for format in [Format::JSON, Format::POSTCARD] {
                let mut out = Vec::new();
                format.encode(&sample, &mut out).unwrap();
                prop_assert_eq!(&format.decode::<Sample>(&out).unwrap(), &sample);
            }
        }

        #[test]
        fn decode_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for format in [Format::JSON, Format::POSTCARD] {
                let _ = format.decode::<Sample>(&bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn json_is_what_serde_json_writes(
            texts in proptest::collection::vec("[a-z\\x00-\\x20\"\\\\é本]{0,3}([a-z0-9 ]{12,40}|\\PC{0,30})[\"\\\\\\n]{0,1}", 0..6),
            number: f64,
        ) {
            #[derive(serde::Serialize)]
            #[serde(tag = "t")]
            enum Tagged<'a> {
                A { text: &'a str, key: BTreeMap<&'a str, &'a str> },
            }
            #[derive(serde::Serialize)]
            struct All<'a> {
                texts: &'a [String],
                nested: BTreeMap<&'a str, Option<(&'a str, Tagged<'a>)>>,
                number: f64,
                #[serde(flatten)]
                flat: BTreeMap<&'a str, char>,
            }
            let tagged = |text| Tagged::A { text, key: BTreeMap::from([(text, text)]) };
            let nested = texts.iter().map(|text| (text.as_str(), Some((text.as_str(), tagged(text))))).collect();
            let flat = texts.iter().map(|text| (text.as_str(), '"')).collect();
            let all = All { texts: &texts, nested, number, flat };
            let mut out = b"before".to_vec();
            Format::JSON.encode(&all, &mut out).unwrap();
            prop_assert_eq!(&out[6..], &serde_json::to_vec(&all).unwrap()[..]);
        }
    }

    #[test]
    fn a_short_payload_cannot_announce_endless_elements() {
        // A length of 2^64 - 1, and nothing behind it.
        let endless = [[0xff; 9].as_slice(), &[1]].concat();
        let units = Format::POSTCARD.decode::<Vec<()>>(&endless);
        assert!(matches!(units, Err(PayloadError::TooMany)), "{units:?}");
        let nested = Format::POSTCARD.decode::<Vec<[(); 9]>>(&endless);
        assert!(matches!(nested, Err(PayloadError::TooMany)), "{nested:?}");
        let few = vec![(); 1_000];
        for format in [Format::JSON, Format::POSTCARD] {
            let mut out = Vec::new();
            format.encode(&few, &mut out).unwrap();
            assert_eq!(format.decode::<Vec<()>>(&out).unwrap(), few);
        }
    }

    #[test]
    fn json_is_utf_8_also_where_nobody_reads_it() {
        let sample: &[u8] = br#"{"id":1,"name":null,"bytes":[],"more":"?"}"#;
        assert!(Format::JSON.decode::<Sample>(sample).is_ok());
        let broken: Vec<u8> = sample.iter().map(|byte| if *byte == b'?' { 0xff } else { *byte }).collect();
        assert!(Format::JSON.decode::<Sample>(&broken).is_err());
    }

    #[test]
    fn left_over_bytes_are_an_error() {
        assert!(Format::JSON.decode::<u8>(b"7 8").is_err());
        assert!(Format::POSTCARD.decode::<u8>(&[7, 8]).is_err());
    }

    #[test]
    fn an_unknown_format_is_refused_by_name() {
        let error = Format(9).decode::<u8>(b"7").unwrap_err();
        assert_eq!(error.to_string(), "payload format 9 is unknown; use json or postcard");
    }
}
