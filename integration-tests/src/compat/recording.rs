//! Recordings: the frames of several connections as text, one a line, in the order of time.
//!
//! ```text
//! # comment
//! 0 > 000000000000000000000000
//! 0 < 0000000000007530
//! 1 < 12000000000000000001040d*
//! 0 close
//! 0 closed
//! ! advance 5000
//! ```
//!
//! `>` is a frame from the client and `<` one from the server, in hexadecimal and without its length. `*` stands for an end
//! that may differ. `close` is the client's end, `closed` the server's. `!` is an act of the test itself.

use std::fmt;
use std::str::FromStr;

use crate::differential::{hex, unhex};

/// Lines in the order of time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recording {
    /// All lines without the comments.
    pub lines: Vec<Line>,
}

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Line {
    /// A frame from the client of this connection.
    Sent(usize, Vec<u8>),
    /// A frame from the server.
    Received(usize, Expected),
    /// The client closed the connection.
    Close(usize),
    /// The server closed the connection.
    Closed(usize),
    /// An act of the test, such as `advance 5000`.
    Act(String),
}

/// A frame from the server, as far as a later one has to be the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    bytes: Vec<u8>,
    /// The frame may have any end after these bytes.
    open: bool,
}

impl Expected {
    /// Accepts only this frame.
    pub fn exactly(bytes: Vec<u8>) -> Self {
        Self { bytes, open: false }
    }

    /// Accepts each frame that begins with these bytes.
    pub fn beginning_with(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), open: true }
    }

    /// Returns the recorded bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether a later server may send this frame.
    pub fn accepts(&self, frame: &[u8]) -> bool {
        if self.open { frame.starts_with(&self.bytes) } else { frame == self.bytes }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", hex(&self.bytes), if self.open { "*" } else { "" })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(conn, frame) => write!(f, "{conn} > {}", hex(frame)),
            Self::Received(conn, frame) => write!(f, "{conn} < {frame}"),
            Self::Close(conn) => write!(f, "{conn} close"),
            Self::Closed(conn) => write!(f, "{conn} closed"),
            Self::Act(act) => write!(f, "! {act}"),
        }
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Recording {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parsed =
            lines.map(|(at, line)| line.parse().map_err(|error| format!("line {}: {error}", at + 1)));
        Ok(Self { lines: parsed.collect::<Result<_, _>>()? })
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        if let Some(act) = line.strip_prefix("! ") {
            return Ok(Self::Act(act.into()));
        }
        let unknown = || format!("{line:?} is no line of a recording");
        let (conn, what) = line.split_once(' ').ok_or_else(unknown)?;
        let conn = conn.parse().map_err(|_| unknown())?;
        Ok(match what.split_once(' ') {
            None if what == "close" => Self::Close(conn),
            None if what == "closed" => Self::Closed(conn),
            Some((">", frame)) => Self::Sent(conn, unhex(frame)?),
            Some(("<", frame)) => {
                let closed = frame.strip_suffix('*');
                let bytes = unhex(closed.unwrap_or(frame))?;
                Self::Received(conn, Expected { bytes, open: closed.is_some() })
            }
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_as_it_is_written() {
        let text = "0 > 00ff\n0 < 01*\n12 < \n0 close\n12 closed\n! advance 5000\n";
        let recording: Recording = text.parse().unwrap();
        assert_eq!(recording.to_string(), text);
        assert_eq!(recording.lines.len(), 6);
        let error = "# comment\n0 > 0g\n".parse::<Recording>().unwrap_err();
        assert_eq!(error, "line 2: \"0g\" is not hexadecimal");
    }

    #[test]
    fn one_other_byte_is_not_accepted() {
        let exact = Expected::exactly(vec![1, 2, 3]);
        assert!(exact.accepts(&[1, 2, 3]));
        assert!(![&[1, 2, 4][..], &[1, 2], &[1, 2, 3, 0]].iter().any(|frame| exact.accepts(frame)));
        let open = Expected::beginning_with(&[1, 2]);
        assert!(open.accepts(&[1, 2]) && open.accepts(&[1, 2, 9]));
        assert!(!open.accepts(&[1, 3, 9]) && !open.accepts(&[1]));
    }
}
