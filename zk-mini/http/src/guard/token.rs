//! The secret that lets others than local programs in.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// Secret that clients send as `Authorization: Bearer`.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Token(Vec<u8>);

/// A token that no client could send.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the token must be one word of visible ASCII characters, such as `openssl rand -hex 32` prints")]
#[non_exhaustive]
pub struct InvalidToken;

impl Token {
    /// Takes a token, without the line end of the file that it may come from.
    pub(crate) fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim_ascii();
        let is_sendable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sendable { Ok(Self(text.into())) } else { Err(InvalidToken) }
    }

    /// Returns true if one of the `Authorization` headers carries the token. Others may be for the AdminServer's commands.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = |value: &[u8]| {
            let (scheme, token) = value.split_at_checked(SCHEME.len())?;
            let is_bearer = scheme.eq_ignore_ascii_case(SCHEME);
            is_bearer.then(|| token.trim_ascii().ct_eq(&self.0).into())
        };
        headers.get_all(AUTHORIZATION).iter().any(|value| given(value.as_bytes()).unwrap_or(false))
    }
}

const SCHEME: &[u8] = b"Bearer ";

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_recognised_whole() {
        let token = Token::new("s3cret\n").unwrap();
        let is_in = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            token.is_in(&headers)
        };
        assert!(is_in(&["Bearer s3cret"]) && is_in(&["bearer  s3cret "]));
        assert!(
            is_in(&["Digest super:secret", "Bearer s3cret"]),
            "beside the credentials of an admin command"
        );
        assert!(!is_in(&[]));
        for value in [
            "",
            "s3cret",
            "Basic s3cret",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3crets",
            "Bearer S3CRET",
        ] {
            assert!(!is_in(&[value]), "{value}");
        }
    }

    #[test]
    fn a_token_is_one_visible_word_and_is_not_shown() {
        for text in ["", " \n", "two words", "päss", "a\0b"] {
            assert_eq!(Token::new(text), Err(InvalidToken), "{text:?}");
        }
        assert!(!format!("{:?}", Token::new("s3cret")).contains("s3cret"));
    }
}
