//! The RPC protocol as data: frames, status codes, payload formats.
//!
//! This crate owns the byte layouts of `PROTOCOL.md` and nothing else: no socket, no clock, no state of a
//! connection. A [`Frame`] borrows from the bytes that it was decoded from, so a payload is never copied
//! on its way in; on the way out [`ReplyWriter`] lets a reply be serialised straight into the buffer that
//! goes to the socket.
//!
//! ```
//! use rpc_wire::{CallId, DEFAULT_MAX_FRAME, Format, Frame, Request, split_frame};
//!
//! let mut payload = Vec::new();
//! Format::JSON.encode(&"hello", &mut payload)?;
//! let request = Request { id: CallId(1), method: "echo", time_left: None, more: false, payload: &payload };
//!
//! let mut out = Vec::new();
//! Frame::Request(request).encode(&mut out, DEFAULT_MAX_FRAME)?;
//!
//! let (body, rest) = split_frame(&out, DEFAULT_MAX_FRAME)?.expect("the frame is complete");
//! assert!(rest.is_empty());
//! let Frame::Request(decoded) = Frame::decode(body)? else { panic!("not a request") };
//! assert_eq!(Format::JSON.decode::<String>(decoded.payload)?, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod code;
mod depth;
mod error;
mod format;
mod frame;
mod layout;
mod shown;
mod status;

pub use code::Code;
pub use depth::MAX_DEPTH;
pub use error::{DecodeError, EncodeError, PayloadError};
pub use format::Format;
pub use frame::{CallId, Frame, GoAway, Hello, Message, Reply, Request};
pub use layout::{Ahead, BodyAndRest, HEADER_LEN, MAGIC, ReplyWriter, look_ahead, split_frame};
pub use shown::Shown;
pub use status::Status;

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;

/// The largest frame body that is accepted unless configured otherwise: 4 MiB.
pub const DEFAULT_MAX_FRAME: usize = 4 << 20;

/// The field of a server's entry in a registry that holds the identity of its process, the one that it says
/// hello with.
pub const INSTANCE_FIELD: &str = "instance";
