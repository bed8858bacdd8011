//! The little of HTTP/1.1 that a status port needs: one GET, one answer, and the end. No I/O: bytes go in, bytes come out,
//! so it serves a runtime as well as a loop around `poll`.

/// Maximum number of bytes of a request; a longer one is refused.
pub const MAX_REQUEST: usize = 8 << 10;

/// Answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Status of HTTP, such as 200.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Content.
    pub body: String,
}

/// State of a request, by the bytes that have arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// More bytes are to come.
    Incomplete,
    /// The client wants to see this path, which is without the query.
    Get {
        /// Path, as it was sent.
        path: &'a str,
        /// Only the head is wanted.
        head: bool,
    },
    /// The request cannot be served.
    Bad(Answer),
}

impl Answer {
    /// Makes an answer of plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// Returns the answer for a path that does not exist.
    #[must_use]
    pub fn not_found() -> Self {
        Self::text(404, "there is nothing here; try /, /metrics or /health\n")
    }

    /// Returns the bytes to send; the connection is to be closed after them.
    #[must_use]
    pub fn encode(&self, head: bool) -> Vec<u8> {
        let Self { status, content_type, body } = self;
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Status",
        };
        let len = body.len();
        let mut out = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {len}\r\n\
             cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        );
        if !head {
            out.push_str(body);
        }
        out.into_bytes()
    }
}

/// Reads a request.
///
/// ```
/// use rpc_metrics::http::{Request, parse};
///
/// assert_eq!(parse(b"GET /metrics HTTP/1.1\r\nhost: a"), Request::Incomplete);
/// let request = parse(b"GET /metrics?x=1 HTTP/1.1\r\nhost: a\r\n\r\n");
/// assert_eq!(request, Request::Get { path: "/metrics", head: false });
/// ```
#[must_use]
pub fn parse(bytes: &[u8]) -> Request<'_> {
    let is_whole =
        bytes.windows(4).any(|end| end == b"\r\n\r\n") || bytes.windows(2).any(|end| end == b"\n\n");
    if !is_whole {
        return match bytes.len() > MAX_REQUEST {
            true => Request::Bad(Answer::text(431, "the request is too long\n")),
            false => Request::Incomplete,
        };
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().trim_end().split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method @ ("GET" | "HEAD")), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) => {
            let path = target.split(['?', '#']).next().unwrap_or_default();
            Request::Get { path, head: method == "HEAD" }
        }
        (Some(_), Some(_), Some("HTTP/1.1" | "HTTP/1.0"), None) => {
            Request::Bad(Answer::text(405, "only GET and HEAD are served here\n"))
        }
        _ => Request::Bad(Answer::text(400, "this is not a request of HTTP/1.1\n")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_methods_and_other_protocols_are_refused() {
        for (bytes, status) in [
            (&b"POST / HTTP/1.1\r\n\r\n"[..], 405),
            (b"GET / HTTP/2\r\n\r\n", 400),
            (b"\xff\xff\r\n\r\n", 400),
            (b"GET /\r\n\r\n", 400),
            (&[b'a'; MAX_REQUEST + 1], 431),
        ] {
            let Request::Bad(answer) = parse(bytes) else { panic!("{bytes:?}") };
            assert_eq!(answer.status, status);
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = Answer::text(200, "abc");
        let text = String::from_utf8(answer.encode(true)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("content-length: 3\r\n"));
        assert!(text.ends_with("\r\n\r\n"));
        assert!(answer.encode(false).ends_with(b"\r\n\r\nabc"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes));
        }
    }
}
