//! The server's side.

use super::directives::{Directives, Unreadable, quote};
use super::hash::{Exchange, QOP, Side, is_equal};

/// Maximum length of a client's token, as in Java.
const LONGEST: usize = 4_096;

/// Parameters of the server in one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Realm of the users.
    pub realm: &'a str,
    /// Digest URI that clients must name, in any case.
    pub uri: &'a str,
    /// Nonce of this exchange. It must be unpredictable, and is never used again.
    pub nonce: &'a str,
}

/// User who has proved the password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// Name of the user.
    pub user: String,
    /// Last token for the client, which proves the server.
    pub reply: Vec<u8>,
}

/// Reason why a token proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The token is longer than any honest one.
    #[error("the token is too long")]
    TooLong,
    /// The token is not a list of directives.
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    /// A directive occurs twice.
    #[error("the token has more than one {0}")]
    Twice(&'static str),
    /// A directive that is needed does not occur.
    #[error("the token has no {0}")]
    Missing(&'static str),
    /// A directive has another value than the challenge asks for.
    #[error("the token has another {0} than the challenge")]
    Mismatch(&'static str),
    /// `maxbuf` is not a number.
    #[error("maxbuf is not a number")]
    BadMaxBuf,
    /// There is no such user.
    #[error("there is no such user")]
    UnknownUser,
    /// The password is another one.
    #[error("wrong password")]
    WrongResponse,
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Syntax(what) => Self::Malformed(what),
            Unreadable::Twice(directive) => Self::Twice(directive),
        }
    }
}

impl Server<'_> {
    /// Returns the first token for the client.
    #[must_use]
    pub fn challenge(&self) -> Vec<u8> {
        let mut token = b"realm=".to_vec();
        quote(self.realm.as_bytes(), &mut token);
        token.extend_from_slice(b",nonce=");
        quote(self.nonce.as_bytes(), &mut token);
        token.extend_from_slice(b",charset=utf-8,algorithm=md5-sess");
        token
    }

    /// Verifies a client's token. The count of its uses of the nonce (`nc`) is not looked at, as in Java: it is always the first,
    /// and hashed as such. `password` returns the password of a user, if there is one of that name. An identity that
    /// the client wants to act for (`authzid`) is part of the proof, and has no other effect, as in ZooKeeper.
    ///
    /// # Errors
    /// [`Refusal`]: the client has not proved a password. It gets another nonce before it may try again.
    pub fn verify<'p>(
        &self,
        token: &[u8],
        password: impl FnOnce(&str) -> Option<&'p str>,
    ) -> Result<Verified, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        let directives = Directives::parse(token, false)?;
        let needed = |name| directives.get(name).ok_or(Refusal::Missing(name));
        let same = |name, is_same: bool| if is_same { Ok(()) } else { Err(Refusal::Mismatch(name)) };
        let charset = directives.get("charset");
        same("charset", charset.is_none_or(|charset| charset == b"utf-8"))?;
        let text = |bytes: &[u8]| match charset {
            Some(_) => String::from_utf8_lossy(bytes).into_owned(),
            None => bytes.iter().copied().map(char::from).collect(),
        };
        let is_number = |bytes| str::from_utf8(bytes).is_ok_and(|digits| digits.parse::<i32>().is_ok());
        if !directives.get("maxbuf").is_none_or(is_number) {
            return Err(Refusal::BadMaxBuf);
        }
        let user = text(needed("username")?);
        same("realm", directives.get("realm").is_some_and(|realm| text(realm) == self.realm))?;
        same("nonce", needed("nonce")? == self.nonce.as_bytes())?;
        let cnonce = needed("cnonce")?;
        same("qop", directives.get("qop").is_none_or(|qop| qop == QOP.as_bytes()))?;
        let uri = needed("digest-uri")?;
        same("digest-uri", uri.eq_ignore_ascii_case(self.uri.as_bytes()))?;
        let response = needed("response")?;
        let exchange = Exchange {
            user: &user,
            realm: self.realm,
            nonce: self.nonce.as_bytes(),
            cnonce,
            uri,
            authzid: directives.get("authzid"),
        };
        let password = password(&user).ok_or(Refusal::UnknownUser)?;
        if !is_equal(&exchange.proof(password, Side::Client), response) {
            return Err(Refusal::WrongResponse);
        }
        let reply = format!("rspauth={}", exchange.proof(password, Side::Server)).into_bytes();
        Ok(Verified { user, reply })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DIGEST_URI, REALM, answer};
    use super::*;

    const SERVER: Server<'_> = Server { realm: REALM, uri: DIGEST_URI, nonce: "n+/=" };

    /// Returns the token of an honest client with a part replaced. The proof stays that of the whole.
    fn verify(from: &str, to: &str) -> Result<String, Refusal> {
        let token = answer(&SERVER.challenge(), "bob", "secret", DIGEST_URI, "c").unwrap().token;
        let token = String::from_utf8(token).unwrap();
        assert!(token.contains(from), "{token} has {from}");
        let verified = SERVER.verify(token.replacen(from, to, 1).as_bytes(), |user| match user {
            "bob" | "\u{c3}\u{a9}" => Some("secret"),
            _ => None,
        })?;
        Ok(verified.user)
    }

    /// Verdicts of Apache ZooKeeper 3.9.5 on the same tokens.
    #[test]
    fn tokens_are_judged_as_apache_zookeeper_judges_them() {
        for (from, to) in [
            ("charset=utf-8,", ""),
            (",qop=auth", ""),
            ("qop=auth", "qop=\"auth\""),
            ("nc=00000001", "nc=7"),
            (",nc=00000001", ""),
            ("username=\"bob\"", "username=bob"),
            ("username=\"bob\"", "USERNAME=\"b\\ob\""),
            (",nc=", ",maxbuf=16,nc="),
            (",nc=", ",cipher=des,algorithm=md5-sess,stale=true,nc="),
        ] {
            assert_eq!(verify(from, to).as_deref(), Ok("bob"), "{from} {to}");
        }
        for (from, to, refusal) in [
            ("charset=utf-8", "charset=UTF-8", Refusal::Mismatch("charset")),
            (",qop=auth", ",qop=AUTH", Refusal::Mismatch("qop")),
            (",qop=auth", ",qop=auth-int", Refusal::Mismatch("qop")),
            ("realm=\"zk-sasl-md5\",", "", Refusal::Mismatch("realm")),
            ("zk-sasl-md5", "", Refusal::Mismatch("realm")),
            ("nonce=\"n", "nonce=\"m", Refusal::Mismatch("nonce")),
            ("zookeeper/zk", "zookeeper/localhost", Refusal::Mismatch("digest-uri")),
            ("username=\"bob\",", "", Refusal::Missing("username")),
            ("cnonce=\"c\",", "", Refusal::Missing("cnonce")),
            ("username=\"bob\"", "username=\"bob\",username=\"bob\"", Refusal::Twice("username")),
            ("username=\"bob\"", "username=\"zed\"", Refusal::UnknownUser),
            ("charset=utf-8,", "authzid=\"\",", Refusal::WrongResponse),
            ("response=", "response=0", Refusal::WrongResponse),
            (",nc=", ",maxbuf=x,nc=", Refusal::BadMaxBuf),
            (",nc=", ",maxbuf=99999999999,nc=", Refusal::BadMaxBuf),
        ] {
            assert_eq!(verify(from, to), Err(refusal), "{from} {to}");
        }
        // Another case of the URI is part of the proof, so its client has to hash it as it is.
        let token = answer(&SERVER.challenge(), "bob", "secret", "ZooKeeper/zk-SASL-md5", "c").unwrap().token;
        assert!(SERVER.verify(&token, |_| Some("secret")).is_ok());
    }

    #[test]
    fn a_token_that_is_too_long_is_not_read() {
        let token = [&b"x"[..]; LONGEST + 1].concat();
        assert_eq!(SERVER.verify(&token, |_| None), Err(Refusal::TooLong));
        assert_eq!(SERVER.verify(&token[1..], |_| None), Err(Refusal::Missing("username")));
    }

    #[test]
    fn without_a_charset_names_have_single_bytes() {
        let token = b"username=\"\xc3\xa9\",realm=\"zk-sasl-md5\",nonce=\"n+/=\",cnonce=c,nc=00000001,\
                      digest-uri=\"zookeeper/zk-sasl-md5\",response=x";
        let asked = SERVER.verify(token, |user| {
            assert_eq!(user, "\u{c3}\u{a9}");
            Some("secret")
        });
        assert_eq!(asked, Err(Refusal::WrongResponse));
    }
}
