//! Bounds of a request's head. hyper has wider ones of its own, and answers beyond them without a body.

use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::error::ApiError;

/// Maximum length of a path with its query.
const MAX_TARGET: usize = 32 << 10;

/// Maximum length of all headers.
const MAX_HEADERS: usize = 32 << 10;

/// Maximum number of headers.
const MAX_HEADER_COUNT: usize = 100;

/// Checks the sizes, and that the target is decodable.
pub(super) fn check(parts: &Parts) -> Result<(), ApiError> {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > MAX_TARGET {
        let message = format!("the address has {} bytes; {MAX_TARGET} are allowed", target.len());
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, message));
    }
    let headers = &parts.headers;
    let len: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_HEADER_COUNT || len > MAX_HEADERS {
        let count = headers.len();
        let message = format!(
            "the request has {count} headers of {len} bytes; {MAX_HEADER_COUNT} headers and {MAX_HEADERS} bytes are allowed"
        );
        return Err(ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
    }
    match malformed_escape(target) {
        None => Ok(()),
        Some(escape) => Err(ApiError::bad_request(format!(
            "`{escape}` in the address is not percent-encoding: a % is followed by two hexadecimal digits, and %25 is the % itself"
        ))),
    }
}

/// Returns the first `%` that is not followed by two hexadecimal digits, with up to two characters behind it.
fn malformed_escape(target: &str) -> Option<String> {
    let rests = target.match_indices('%').map(|(at, _)| &target[at..]);
    rests
        .filter(|rest| {
            let digits = rest.as_bytes().get(1..3);
            !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
        .map(|rest| rest.chars().take(3).collect())
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_needs_two_digits() {
        for target in ["/", "/a%20b", "/%C3%BC?x=%2f", "/%25"] {
            assert_eq!(malformed_escape(target), None, "{target}");
        }
        for (target, escape) in
            [("/%", "%"), ("/a%2", "%2"), ("/%zz", "%zz"), ("/%2x/%20", "%2x"), ("/?q=100%&x", "%&x")]
        {
            assert_eq!(malformed_escape(target).as_deref(), Some(escape), "{target}");
        }
    }
}
