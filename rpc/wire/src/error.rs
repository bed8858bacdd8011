//! What can be wrong with bytes, frames and payloads.

use crate::Format;

/// Bytes that are not a frame of this protocol.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The length prefix names more than the configured limit.
    #[error("frame of {len} bytes is over the limit of {max}; raise max_frame on both sides to allow it")]
    TooLong {
        /// What the length prefix says.
        len: usize,
        /// The limit that was configured.
        max: usize,
    },
    /// The frame ends before the field does.
    #[error("frame ends inside its {what}")]
    Truncated {
        /// The field.
        what: &'static str,
    },
    /// A text field is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// The field.
        what: &'static str,
    },
    /// The first frame does not begin with [`crate::MAGIC`]: the peer speaks something else.
    #[error("not a hello of this protocol; the peer speaks something else")]
    BadMagic,
    /// A frame kind below 128 that this version does not know.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
}

/// A frame that cannot be written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body is over the limit that the receiver named.
    #[error("frame of {len} bytes is over the receiver's limit of {max}")]
    TooLong {
        /// What the body would take.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A text field is longer than its length byte can say.
    #[error("{what} has {len} bytes; at most 255 are possible")]
    FieldTooLong {
        /// The field.
        what: &'static str,
        /// Its length.
        len: usize,
    },
}

/// A value that does not fit its payload format, or bytes that are not the value asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// JSON said no.
    #[error("as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// postcard said no.
    #[error("as postcard: {0}")]
    Postcard(#[from] postcard::Error),
    /// The value is nested deeper than [`crate::MAX_DEPTH`]; JSON's own decoder may say so as [`Self::Json`].
    #[error("nested too deep: at most {} levels are allowed", crate::MAX_DEPTH)]
    TooDeep,
    /// The payload announces far more elements than it has bytes, which only elements without bytes such as `()` can be.
    #[error("more elements than a payload of this length can have")]
    TooMany,
    /// A format that this version cannot read or write.
    #[error("payload format {0} is unknown; use json or postcard")]
    UnknownFormat(Format),
}
