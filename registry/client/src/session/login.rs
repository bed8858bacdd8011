//! Login by SASL with DIGEST-MD5: on each connection, before anything else.

use std::fmt;

use bytes::Bytes;
use common::Millis;
use common::digest_md5::{Answer, ChallengeError, DIGEST_URI, answer};
use zk_wire::{Decode, ErrorCode, OpCode, Sasl, SaslResponse, Xid};

use super::incoming::{UNASKED, decode_header};
use super::{DisconnectCause, LinkState, Session};

/// User who logs in.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct SaslUser {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// Prints no password.
impl fmt::Debug for SaslUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reason why a login fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The server does not accept the user or the password.
    #[error("the server refused user or password ({0})")]
    Refused(ErrorCode),
    /// The server has no SASL: no JAAS file with a section `Server`.
    #[error("the server has no SASL: it was started without a JAAS file with a section Server")]
    NoSasl,
    /// The server has another mechanism than DIGEST-MD5, such as Kerberos, or its challenge cannot be answered.
    #[error(
        "the server's challenge is not one of DIGEST-MD5 that can be answered: {0}; Kerberos is not supported"
    )]
    Challenge(&'static str),
    /// The server does not know the password: it may be another one than it should be.
    #[error("the server has not proved that it knows the password; it may be another one than it should be")]
    WrongServer,
}

/// Number of the requests of a login: not one that a call has.
const LOGIN: Xid = Xid(i32::MAX);

impl<C> Session<C> {
    /// Begins the login; a probe session is checked after it, any other one is used.
    pub(super) fn log_in(&mut self, now: Millis, probing: bool) {
        self.login_answer = None;
        self.send_login(now, Vec::new());
        self.link = LinkState::LoggingIn { until: now + self.ping_interval(), probing };
    }

    pub(super) fn handle_login_reply(
        &mut self,
        now: Millis,
        probing: bool,
        mut body: Bytes,
    ) -> Result<(), DisconnectCause> {
        let header = decode_header(&mut body)?;
        if header.xid != LOGIN {
            return Err(UNASKED);
        }
        if header.err != ErrorCode::OK {
            return Err(LoginError::Refused(header.err).into());
        }
        let token = SaslResponse::decode(&mut body, "SaslResponse")
            .map_err(|_| DisconnectCause::Protocol("a token of SASL cannot be read"))?
            .token;
        match (self.login_answer.take(), token) {
            (None, None) => Err(LoginError::NoSasl.into()),
            // It keeps clients that fail (`allowSaslFailedClients`).
            (Some(_), None) => Err(LoginError::Refused(ErrorCode::AUTH_FAILED).into()),
            (None, Some(challenge)) => {
                let answer = self.answer_to(&challenge)?;
                self.send_login(now, answer.token.clone());
                self.login_answer = Some(answer);
                Ok(())
            }
            (Some(answer), Some(proof)) => {
                answer.check(&proof).map_err(|_| LoginError::WrongServer)?;
                if probing {
                    self.check(now);
                } else {
                    self.identify(now);
                }
                Ok(())
            }
        }
    }

    fn answer_to(&mut self, challenge: &[u8]) -> Result<Answer, LoginError> {
        let cnonce = format!("{:016x}{:016x}", self.random.u64(..), self.random.u64(..));
        let Some(SaslUser { name, password }) = &self.config.sasl else {
            return Err(LoginError::Challenge("nobody has asked for it"));
        };
        answer(challenge, name, password, DIGEST_URI, &cnonce).map_err(|error| {
            LoginError::Challenge(match error {
                ChallengeError::TooLong => "it is too long",
                ChallengeError::Malformed(what)
                | ChallengeError::Twice(what)
                | ChallengeError::Missing(what)
                | ChallengeError::Unsupported(what) => what,
                _ => "user or password have letters that its charset has not",
            })
        })
    }

    fn send_login(&mut self, now: Millis, token: Vec<u8>) {
        self.put(now, LOGIN, OpCode::SASL, &Sasl { token: Some(token.into()) });
    }
}
