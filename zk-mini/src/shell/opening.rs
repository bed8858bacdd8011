//! Recognises the protocol of a connection by its first bytes: several protocols share a port.

use crate::report::four_letter::{Whitelist, WordRequest};

/// Protocol that a connection begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// Not known yet: more bytes are needed.
    Incomplete,
    /// ZooKeeper's: the bytes are the length of a frame.
    Frame,
    /// A four-letter word.
    FourLetterWord(WordRequest),
}

impl Opening {
    /// Recognises the protocol. Four letters are a word, not a length, however long a frame may be.
    pub(crate) fn recognise(input: &[u8], words: &Whitelist) -> Self {
        let Some((first, rest)) = input.split_first_chunk() else { return Self::Incomplete };
        words.request(first, rest).map_or(Self::Frame, Self::FourLetterWord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_may_be_incomplete() {
        let opening = |input: &[u8]| Opening::recognise(input, &Whitelist::default());
        assert_eq!(opening(b"ruo"), Opening::Incomplete);
        assert_eq!(opening(b"stm"), Opening::Incomplete);
        assert_eq!(
            opening(b"stmk\0\0\0\0\0\0\x01"),
            Opening::FourLetterWord(WordRequest::SetNothing),
            "the real server does not wait for the rest either"
        );
        assert_eq!(
            opening(b"stmk\0\0\0\0\0\0\x01\x3e"),
            Opening::FourLetterWord(WordRequest::SetTraceMask(0b1_0011_1110))
        );
        assert_eq!(opening(&[0, 0, 0, 45]), Opening::Frame);
    }
}
