//! Errors of bytes and frames.

/// Bytes that are not a frame of this protocol.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The length prefix names more than the configured limit.
    #[error("frame of {len} bytes is over the limit of {max}; raise max_frame on both sides to allow it")]
    TooLong {
        /// The length in the prefix.
        len: usize,
        /// The configured limit.
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
    /// The hello does not begin with [`MAGIC`](crate::MAGIC): the peer speaks another protocol.
    #[error("not a hello of this protocol; the peer speaks another one")]
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
        /// The length of the body.
        len: usize,
        /// The receiver's limit.
        max: usize,
    },
    /// A text field is longer than its length byte allows.
    #[error("{what} has {len} bytes; at most 255 are possible")]
    FieldTooLong {
        /// The field.
        what: &'static str,
        /// Its length.
        len: usize,
    },
}
