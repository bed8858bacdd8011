//! How payloads are written: any serde type, JSON or postcard.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::PayloadError;
use crate::depth::{self, Failure};

/// A payload format, agreed on in the handshake for the whole connection.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Format(pub u8);

impl Format {
    /// Readable, any language; the default.
    pub const JSON: Self = Self(1);
    /// Compact and fast; both sides must have the same types.
    pub const POSTCARD: Self = Self(2);

    /// Whether this version can read and write it.
    pub fn is_known(self) -> bool {
        matches!(self, Self::JSON | Self::POSTCARD)
    }

    /// Appends `value` to `out`; after an error `out` may hold a part of it.
    ///
    /// # Errors
    /// The format cannot say it, or it is nested deeper than [`crate::MAX_DEPTH`].
    pub fn encode<T: Serialize + ?Sized>(self, value: &T, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        match self {
            Self::JSON => Ok(depth::serialize(value, &mut serde_json::Serializer::new(out))?),
            Self::POSTCARD => {
                let flavor = postcard::ser_flavors::ExtendFlavor::new(Appender(out));
                depth::serialize(value, &mut postcard::Serializer { output: flavor })?;
                Ok(())
            }
            other => Err(PayloadError::UnknownFormat(other)),
        }
    }

    /// Reads a value that takes up all of `payload`.
    ///
    /// # Errors
    /// The bytes are not such a value, or it is nested deeper than [`crate::MAX_DEPTH`].
    pub fn decode<T: DeserializeOwned>(self, payload: &[u8]) -> Result<T, PayloadError> {
        match self {
            Self::JSON => {
                let mut json = serde_json::Deserializer::from_slice(payload);
                let value = depth::deserialize(payload.len(), &mut json)?;
                json.end()?;
                Ok(value)
            }
            Self::POSTCARD => {
                let mut compact = postcard::Deserializer::from_bytes(payload);
                let value = depth::deserialize(payload.len(), &mut compact)?;
                match compact.finalize()? {
                    [] => Ok(value),
                    // postcard itself lets bytes be left over; they mean that the types differ.
                    _ => Err(postcard::Error::DeserializeBadEncoding.into()),
                }
            }
            other => Err(PayloadError::UnknownFormat(other)),
        }
    }
}

impl<E: Into<Self>> From<Failure<E>> for PayloadError {
    fn from(failure: Failure<E>) -> Self {
        match failure {
            Failure::TooDeep => Self::TooDeep,
            Failure::TooMany => Self::TooMany,
            Failure::Other(error) => error.into(),
        }
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

/// `Extend` by reference, which postcard asks for by value.
struct Appender<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Appender<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_few_bytes_do_not_announce_elements_without_end() {
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
