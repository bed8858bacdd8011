//! Recognises the protocol of a connection by its first bytes: several protocols share a port.

use crate::report::four_letter::{Whitelist, WordRequest};
use crate::shell::security::Security;

/// Protocol that a connection begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// Not known yet: more bytes are needed.
    Incomplete,
    /// ZooKeeper's: the bytes are the length of a frame.
    Frame,
    /// A four-letter word.
    FourLetterWord(WordRequest),
    /// HTTP: the bytes are the beginning of a method.
    Http,
    /// TLS: the first byte is that of a handshake.
    Tls,
    /// Another protocol on an address that is for TLS only.
    NoTls,
}

/// First byte of a TLS handshake. As that of a length it means 352 MiB or more, which few servers accept.
const TLS_HANDSHAKE: u8 = 0x16;

impl Opening {
    /// Number of bytes that tell the protocol.
    pub(crate) const LEN: usize = 4;

    /// Recognises the protocol; HTTP only if the server has it. Four letters are a word, not a length, however long a frame
    /// may be.
    pub(crate) fn recognise(input: &[u8], words: &Whitelist, has_http: bool, security: Security) -> Self {
        if security != Security::Plain
            && let Some(first) = input.first()
        {
            match (*first, security) {
                (TLS_HANDSHAKE, _) => return Self::Tls,
                (_, Security::Tls) => return Self::NoTls,
                _ => {}
            }
        }
        let Some((first, rest)) = input.split_first_chunk() else { return Self::Incomplete };
        if has_http && Self::is_http(first) {
            return Self::Http;
        }
        words.request(first, rest).map_or(Self::Frame, Self::FourLetterWord)
    }

    /// Returns true if a connection that begins with these bytes speaks HTTP: a method, known or not, begins with capital letters. As
    /// the length of a frame they are over 1 GB, which no server accepts.
    pub(crate) fn is_http(first: &[u8; Self::LEN]) -> bool {
        let [rest @ .., last] = first;
        rest.iter().all(u8::is_ascii_uppercase) && (last.is_ascii_uppercase() || *last == b' ')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_may_be_incomplete() {
        let opening = |input: &[u8]| Opening::recognise(input, &Whitelist::default(), true, Security::Plain);
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

    #[test]
    fn tls_is_told_by_its_first_byte_where_it_is_wanted() {
        let opening =
            |input: &[u8], security| Opening::recognise(input, &Whitelist::default(), true, security);
        assert_eq!(opening(&[0x16], Security::Either), Opening::Tls);
        assert_eq!(opening(&[0x16, 3, 1, 2], Security::Tls), Opening::Tls);
        assert_eq!(opening(&[0x16, 3, 1, 2], Security::Plain), Opening::Frame, "TLS in TLS is none");
        for other in [&b"GET /"[..], b"ruok", &[0], &[0, 0, 0, 45]] {
            assert_eq!(opening(other, Security::Tls), Opening::NoTls);
        }
        assert_eq!(opening(&[0, 0, 0, 45], Security::Either), Opening::Frame);
        assert_eq!(opening(&[], Security::Tls), Opening::Incomplete);
    }

    #[test]
    fn http_is_told_by_its_method_if_the_server_has_it() {
        let opening =
            |input: &[u8], has| Opening::recognise(input, &Whitelist::default(), has, Security::Either);
        for request in [
            "GET / HTTP/1.1",
            "PUT /x",
            "POST /x",
            "HEAD /",
            "DELETE /x",
            "OPTIONS *",
            "PATCH /x",
            "PROPFIND /",
        ] {
            assert_eq!(opening(request.as_bytes(), true), Opening::Http, "{request}");
            assert_eq!(opening(request.as_bytes(), false), Opening::Frame, "{request}");
        }
        assert_eq!(opening(b"GET", true), Opening::Incomplete);
        assert_eq!(opening(b"SSH-2.0", true), Opening::Frame);
        assert_eq!(opening(b"get /", true), Opening::Frame, "methods are upper case");
    }
}
