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
    /// In place of a length stands the beginning of a TLS record: an alert, or a handshake.
    #[error("the peer speaks TLS")]
    Tls,
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
    /// A frame of a newer version than that of the connection.
    #[error("a frame of a newer version of the protocol than this connection's")]
    BeyondVersion,
    /// Metadata have a name that is not allowed.
    #[error("a name of metadata is empty or has other characters than a-z, 0-9, '-', '_' and '.'")]
    MetadataName,
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
    /// A field is longer than its length allows.
    #[error("{what} has {len} bytes; at most {max} are possible")]
    FieldTooLong {
        /// The field.
        what: &'static str,
        /// Its length.
        len: usize,
        /// Maximum length.
        max: usize,
    },
    /// A name of metadata that is not allowed.
    #[error("metadata cannot have the name {0:?}; use 1 to 255 characters of a-z, 0-9, '-', '_' and '.'")]
    MetadataName(String),
    /// Metadata for a receiver that takes none.
    #[error("the receiver speaks version 1 of the protocol, which has no metadata")]
    NoMetadata,
}
