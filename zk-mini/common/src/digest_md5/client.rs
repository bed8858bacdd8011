//! The client's side.

use super::directives::{Directives, Unreadable, quote};
use super::hash::{Exchange, NONCE_COUNT, QOP, Side, is_equal};

/// Maximum length of a server's token.
const LONGEST: usize = 2_048;

/// Answer of a client to a challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Token for the server.
    pub token: Vec<u8>,
    /// Proof that the server has to send.
    expected: String,
}

/// Reason why a client does not go on with a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The token is longer than any honest one.
    #[error("the server's token is too long")]
    TooLong,
    /// The token is not a list of directives.
    #[error("the server's token cannot be read: {0}")]
    Malformed(&'static str),
    /// A directive occurs twice.
    #[error("the server's token has more than one {0}")]
    Twice(&'static str),
    /// A directive that is needed does not occur.
    #[error("the server's token has no {0}")]
    Missing(&'static str),
    /// The server wants something that this client does not have: encryption inside SASL, another algorithm, another charset.
    #[error("the server asks for a {0} that is not supported")]
    Unsupported(&'static str),
    /// The server's charset has no such letters.
    #[error("user or password have characters that the server's charset has not")]
    Charset,
    /// The server does not know the password.
    #[error("the server has not proved that it knows the password")]
    WrongReply,
}

impl From<Unreadable> for ChallengeError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Syntax(what) => Self::Malformed(what),
            Unreadable::Twice(directive) => Self::Twice(directive),
        }
    }
}

/// Answers a challenge, in the first of the realms that it offers. `cnonce` is the client's nonce; it must be unpredictable.
///
/// # Errors
/// [`ChallengeError`]: this server's challenge cannot be answered.
pub fn answer(
    challenge: &[u8],
    user: &str,
    password: &str,
    uri: &str,
    cnonce: &str,
) -> Result<Answer, ChallengeError> {
    if challenge.len() > LONGEST {
        return Err(ChallengeError::TooLong);
    }
    let directives = Directives::parse(challenge, true)?;
    let algorithm = directives.get("algorithm").ok_or(ChallengeError::Missing("algorithm"))?;
    if algorithm != b"md5-sess" {
        return Err(ChallengeError::Unsupported("algorithm"));
    }
    let offers_auth =
        |offered: &[u8]| offered.split(|&byte| byte == b',').any(|one| one.trim_ascii() == QOP.as_bytes());
    if !directives.get("qop").is_none_or(offers_auth) {
        return Err(ChallengeError::Unsupported("qop"));
    }
    let nonce = directives.get("nonce").ok_or(ChallengeError::Missing("nonce"))?;
    let is_utf8 = match directives.get("charset") {
        None => false,
        Some(b"utf-8") => true,
        Some(_) => return Err(ChallengeError::Unsupported("charset")),
    };
    if !is_utf8 && [user, password].iter().any(|text| !text.is_ascii()) {
        return Err(ChallengeError::Charset);
    }
    let realm = directives.get("realm").unwrap_or_default();
    let realm = str::from_utf8(realm).map_err(|_| ChallengeError::Malformed("the realm is not UTF-8"))?;
    let (cnonce, uri) = (cnonce.as_bytes(), uri.as_bytes());
    let exchange = Exchange { user, realm, nonce, cnonce, uri, authzid: None };
    let mut token = Vec::new();
    if is_utf8 {
        token.extend_from_slice(b"charset=utf-8,");
    }
    for (name, value) in [
        ("username", user.as_bytes()),
        ("realm", realm.as_bytes()),
        ("nonce", nonce),
        ("cnonce", cnonce),
        ("digest-uri", uri),
    ] {
        if name == "realm" && value.is_empty() {
            continue;
        }
        token.extend_from_slice(name.as_bytes());
        token.push(b'=');
        quote(value, &mut token);
        token.push(b',');
    }
    let proof = exchange.proof(password, Side::Client);
    token.extend_from_slice(format!("nc={NONCE_COUNT},response={proof},qop={QOP}").as_bytes());
    Ok(Answer { token, expected: exchange.proof(password, Side::Server) })
}

impl Answer {
    /// Checks the server's last token, which proves that it knows the password.
    ///
    /// # Errors
    /// [`ChallengeError`]: it is another server, or somebody in between.
    pub fn check(&self, reply: &[u8]) -> Result<(), ChallengeError> {
        if reply.len() > LONGEST {
            return Err(ChallengeError::TooLong);
        }
        let directives = Directives::parse(reply, false)?;
        let proof = directives.get("rspauth").ok_or(ChallengeError::Missing("rspauth"))?;
        if is_equal(&self.expected, proof) { Ok(()) } else { Err(ChallengeError::WrongReply) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_to(challenge: &str) -> Result<String, ChallengeError> {
        let answer = answer(challenge.as_bytes(), "b\"ob", "s", "zookeeper/zk-sasl-md5", "c")?;
        Ok(String::from_utf8(answer.token).unwrap())
    }

    #[test]
    fn a_challenge_that_asks_for_something_else_is_not_answered() {
        use ChallengeError::{Malformed, Missing, TooLong, Twice, Unsupported};
        for (challenge, error) in [
            ("nonce=n".into(), Missing("algorithm")),
            ("algorithm=md5-sess".into(), Missing("nonce")),
            ("algorithm=md5,nonce=n".into(), Unsupported("algorithm")),
            ("algorithm=md5-sess,nonce=n,qop=\"auth-int,auth-conf\"".into(), Unsupported("qop")),
            ("algorithm=md5-sess,nonce=n,charset=x".into(), Unsupported("charset")),
            ("algorithm=md5-sess,nonce=n,nonce=m".into(), Twice("nonce")),
            ("algorithm=md5-sess,nonce=\"n".into(), Malformed("a quote that does not end")),
            ("x".repeat(LONGEST + 1), TooLong),
        ] {
            assert_eq!(reply_to(&challenge), Err(error), "{challenge}");
        }
    }

    #[test]
    fn names_are_quoted_and_an_empty_realm_is_left_out() {
        let token = reply_to("algorithm=md5-sess,nonce=n,qop=\"auth-int, auth\",charset=utf-8").unwrap();
        assert!(token.starts_with("charset=utf-8,username=\"b\\\"ob\",nonce=\"n\","), "{token}");
        let token = reply_to("algorithm=md5-sess,nonce=n,realm=r1,realm=r2").unwrap();
        assert!(token.starts_with("username=\"b\\\"ob\",realm=\"r1\","), "{token}");
    }

    #[test]
    fn letters_that_the_charset_has_not_are_not_sent() {
        let challenge = b"algorithm=md5-sess,nonce=n";
        assert_eq!(answer(challenge, "é", "s", "u", "c"), Err(ChallengeError::Charset));
        assert_eq!(answer(challenge, "b", "字", "u", "c"), Err(ChallengeError::Charset));
    }

    #[test]
    fn a_last_word_without_a_proof_is_refused() {
        let answer = answer(b"algorithm=md5-sess,nonce=n", "b", "s", "u", "c").unwrap();
        assert_eq!(answer.check(b""), Err(ChallengeError::Missing("rspauth")));
        assert_eq!(answer.check(b"rspauth=0"), Err(ChallengeError::WrongReply));
        assert_eq!(answer.check(&[b'x'; LONGEST + 1]), Err(ChallengeError::TooLong));
    }
}
