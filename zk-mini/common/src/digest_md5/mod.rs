//! DIGEST-MD5 (RFC 2831), the SASL mechanism in which a client proves a password without sending it, as Apache ZooKeeper and
//! its clients use it: quality of protection `auth`, algorithm `md5-sess`, one exchange a connection.
//!
//! The server sends a challenge ([`Server::challenge`]), the client answers it ([`answer`]), and the server's last word
//! ([`Verified::reply`]) proves that it knows the password, too ([`Answer::check`]). Nothing here has I/O or randomness:
//! nonces are parameters.
//!
//! MD5 is broken for signatures, and DIGEST-MD5 is obsolete (RFC 6331): somebody who listens can guess passwords
//! offline. It is what ZooKeeper has beside Kerberos; use it in networks that you trust, or inside TLS.
//!
//! ```
//! use zk_mini_common::digest_md5::{DIGEST_URI, REALM, Server, answer};
//!
//! let server = Server { realm: REALM, uri: DIGEST_URI, nonce: "unpredictable" };
//! let answer = answer(&server.challenge(), "bob", "secret", DIGEST_URI, "random").unwrap();
//! let verified = server.verify(&answer.token, |user| (user == "bob").then_some("secret")).unwrap();
//! assert_eq!(verified.user, "bob");
//! assert_eq!(answer.check(&verified.reply), Ok(()));
//! ```

mod client;
mod directives;
mod hash;
mod server;

pub use client::{Answer, ChallengeError, answer};
pub use server::{Refusal, Server, Verified};

/// Realm of ZooKeeper's servers.
pub const REALM: &str = "zk-sasl-md5";

/// Digest URI of ZooKeeper's servers and clients: the service and the realm, whatever the host.
pub const DIGEST_URI: &str = "zookeeper/zk-sasl-md5";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 2831, section 4.
    #[test]
    fn the_example_of_the_rfc_is_a_known_answer() {
        let challenge =
            b"realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\",algorithm=md5-sess,\
                          charset=utf-8";
        let answer =
            answer(challenge, "chris", "secret", "imap/elwood.innosoft.com", "OA6MHXh6VqTrRk").unwrap();
        let token = String::from_utf8(answer.token.clone()).unwrap();
        assert!(token.contains("response=d388dad90d4bbd760a152321f2143af7"), "{token}");
        let server =
            Server { realm: "elwood.innosoft.com", uri: "imap/elwood.innosoft.com", nonce: "OA6MG9tEQGm2hh" };
        // As the RFC prints the token, in another order than ours.
        let printed =
            b"charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",\
                        nc=00000001,cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\",\
                        response=d388dad90d4bbd760a152321f2143af7,qop=auth";
        let verified = server.verify(printed, |_| Some("secret")).unwrap();
        assert_eq!(verified.reply, b"rspauth=ea40f60335c427b5527b84dbabcdfffd");
        assert_eq!(answer.check(&verified.reply), Ok(()));
        assert_eq!(
            answer.check(b"rspauth=ea40f60335c427b5527b84dbabcdfffe"),
            Err(ChallengeError::WrongReply)
        );
    }

    fn server(nonce: &str) -> Server<'_> {
        Server { realm: REALM, uri: DIGEST_URI, nonce }
    }

    proptest! {
        #[test]
        fn who_knows_the_password_is_verified_and_nobody_else(
            user in "\\PC{1,12}", password in "\\PC{0,12}", other in "\\PC{0,12}", nonce in "[!-~&&[^\"\\\\]]{1,40}",
        ) {
            let server = server(&nonce);
            let answer = answer(&server.challenge(), &user, &password, DIGEST_URI, "cnonce").unwrap();
            let verified = server.verify(&answer.token, |name| (name == user).then_some(&*password)).unwrap();
            prop_assert_eq!(&verified.user, &user);
            prop_assert_eq!(answer.check(&verified.reply), Ok(()));
            if other != password {
                let refused = server.verify(&answer.token, |_| Some(&*other)).unwrap_err();
                prop_assert_eq!(refused, Refusal::WrongResponse);
            }
            let refused = Server { nonce: "another", ..server }.verify(&answer.token, |_| Some(&*password));
            prop_assert_eq!(refused.unwrap_err(), Refusal::Mismatch("nonce"));
        }

        #[test]
        fn hostile_bytes_are_refused_on_both_sides(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(server("n").verify(&bytes, |_| Some("secret")).is_err());
            prop_assert!(answer(&bytes, "bob", "secret", DIGEST_URI, "c").is_err());
        }

        #[test]
        fn a_changed_token_is_refused_or_proves_the_same_user(
            place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let server = server("nonce");
            let mut token = answer(&server.challenge(), "bob", "secret", DIGEST_URI, "cnonce").unwrap().token;
            let place = place.index(token.len());
            token[place] = byte;
            if let Ok(verified) = server.verify(&token, |user| (user == "bob").then_some("secret")) {
                prop_assert_eq!(verified.user, "bob");
            }
        }
    }
}
