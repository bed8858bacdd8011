//! Zxids and ids as text: `0x…`, lower case, not padded.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zk_wire::{SessionId, Zxid};

/// A zxid or an id of a session. Its text is `0x` with hexadecimal digits, written in lower case without leading zeros, read in any
/// case with or without them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Hex(pub(crate) i64);

/// Text that is no zxid or id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no id; an id is 0x with 1 to 16 hexadecimal digits, such as 0x1a2b")]
pub(crate) struct NotHex(String);

impl From<Zxid> for Hex {
    fn from(zxid: Zxid) -> Self {
        Self(zxid.0)
    }
}

impl From<SessionId> for Hex {
    fn from(id: SessionId) -> Self {
        Self(id.0)
    }
}

impl From<Hex> for Zxid {
    fn from(hex: Hex) -> Self {
        Self(hex.0)
    }
}

impl From<Hex> for SessionId {
    fn from(hex: Hex) -> Self {
        Self(hex.0)
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl FromStr for Hex {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let not_hex = || NotHex(text.chars().take(40).collect());
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or_else(not_hex)?;
        // Rust's parser would accept a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(not_hex());
        }
        let significant = digits.trim_start_matches('0');
        if digits.is_empty() || significant.len() > 16 {
            return Err(not_hex());
        }
        let value = if significant.is_empty() {
            0
        } else {
            u64::from_str_radix(significant, 16).map_err(|_| not_hex())?
        };
        Ok(Self(value.cast_signed()))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Hex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id as text, such as \"0x1a2b\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Hex, E> {
                text.parse().map_err(|error: NotHex| E::custom(error))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl utoipa::PartialSchema for Hex {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^0[xX][0-9a-fA-F]+$"))
            .examples(["0x1a2b"])
            .into()
    }
}

impl utoipa::ToSchema for Hex {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_short_and_read_leniently() {
        assert_eq!(Hex(0).to_string(), "0x0");
        assert_eq!(Hex(0x1A2B).to_string(), "0x1a2b");
        assert_eq!(Hex(-1).to_string(), "0xffffffffffffffff");
        for (text, value) in [("0x0", 0), ("0X00000000000000000001A2b", 0x1A2B), ("0xffffffffffffffff", -1)] {
            assert_eq!(text.parse(), Ok(Hex(value)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in ["", "0x", "1a", "0x+1", "0x-1", "0x10000000000000000", "0xg", "0x1 ", "-0x1"] {
            let error = text.parse::<Hex>().unwrap_err().to_string();
            assert!(error.contains("such as 0x1a2b"), "{text}: {error}");
        }
    }
}
