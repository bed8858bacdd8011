//! SASL and required authentication (rules 22, 57, 78 to 83, 85).

use bytes::Bytes;
use common::digest_md5::{DIGEST_URI, answer};
use proptest::prelude::*;
use zk_mini::core::{Config, ConnId, Note, SaslRefusal, SaslUsers};
use zk_wire::*;

use crate::driver::*;

fn config() -> Config {
    let users = SaslUsers::from_iter([("super", "adminsecret"), ("bob", "bobsecret"), ("ann", "annsecret")]);
    Config { sasl_users: Some(users), sasl_scheme: true, ..Config::default() }
}

/// Sends a token, and returns the zxid, the code and the server's token.
fn token(t: &mut Driver, conn: ConnId, token: &[u8]) -> (i64, ErrorCode, Option<Bytes>) {
    let request = Sasl { token: Some(Bytes::copy_from_slice(token)) };
    let (zxid, err, body) = t.reply(conn, &request);
    (zxid, err, decode_all::<SaslResponse>(body).expect("an error has a body, too").token)
}

/// Returns the token of an honest client after the challenge.
fn answered(t: &mut Driver, conn: ConnId, user: &str, password: &str) -> Vec<u8> {
    let (zxid, err, challenge) = token(t, conn, b"");
    assert_eq!((zxid, err), (0, ErrorCode::OK));
    answer(&challenge.unwrap(), user, password, DIGEST_URI, "cnonce").unwrap().token
}

fn log_in(t: &mut Driver, conn: ConnId, user: &str, password: &str) -> (i64, ErrorCode, Option<Bytes>) {
    let answered = answered(t, conn, user, password);
    token(t, conn, &answered)
}

fn who(t: &mut Driver, conn: ConnId) -> Vec<(String, String)> {
    let info = t.call(conn, &WhoAmI {}).unwrap().client_info;
    info.iter().map(|info| (info.auth_scheme.to_string(), info.user.to_string())).collect()
}

fn sasl_acl(path: &str, scheme: &str, id: &str) -> Create {
    let acl = vec![Acl { perms: Perms::ALL, scheme: scheme.into(), id: id.into() }];
    Create { acl: Some(acl), ..create(path, CreateMode::Persistent) }
}

#[test]
fn a_user_who_proves_the_password_has_the_identity() {
    // 78
    let mut t = Driver::with(config());
    let a = t.connect(10_000);
    let (_, _, challenge) = token(&mut t, a, b"");
    let challenge = challenge.unwrap();
    let text = str::from_utf8(&challenge).unwrap();
    let nonce = text.strip_prefix("realm=\"zk-sasl-md5\",nonce=\"").unwrap();
    let nonce = nonce.strip_suffix("\",charset=utf-8,algorithm=md5-sess").unwrap();
    assert_eq!(nonce.len(), 40);
    let answer = answer(&challenge, "bob", "bobsecret", DIGEST_URI, "cnonce").unwrap();
    let (zxid, err, reply) = token(&mut t, a, &answer.token);
    assert_eq!((zxid, err), (0, ErrorCode::OK));
    assert_eq!(answer.check(&reply.unwrap()), Ok(()));
    let identities =
        [("ip", "127.0.0.1"), ("sasl", "bob")].map(|(scheme, user)| (scheme.into(), user.into()));
    assert_eq!(who(&mut t, a), identities);
}

#[test]
fn a_failure_is_answered_with_a_code_and_a_null_token_and_ends_the_connection() {
    // 79
    for (user, password) in [("bob", "wrong"), ("nobody", "bobsecret"), ("bob", "")] {
        let mut t = Driver::with(config());
        let a = t.connect(10_000);
        assert_eq!(log_in(&mut t, a, user, password), (0, ErrorCode::AUTH_FAILED, None), "{user}");
        assert!(t.is_closed(a));
        assert_eq!(t.core.sessions().len(), 1, "the session lives on");
        let reason = t.notes.iter().find_map(|note| match note {
            Note::NotAuthenticated { conn, reason } if *conn == a => Some(*reason),
            _ => None,
        });
        assert!(matches!(reason, Some(SaslRefusal::Answer(_))), "{reason:?}");
    }
}

#[test]
fn each_connection_has_one_exchange() {
    // 79
    let mut t = Driver::with(config());
    let a = t.connect(10_000);
    assert_eq!(log_in(&mut t, a, "bob", "bobsecret").1, ErrorCode::OK);
    assert_eq!(token(&mut t, a, b""), (0, ErrorCode::AUTH_FAILED, None));
    assert!(t.is_closed(a));
    // An answer belongs to the challenge of its own connection.
    let (b, c) = (t.connect(10_000), t.connect(10_000));
    let replayed = answered(&mut t, b, "bob", "bobsecret");
    answered(&mut t, c, "bob", "bobsecret");
    assert_eq!(token(&mut t, c, &replayed).1, ErrorCode::AUTH_FAILED);
    // An answer before the challenge proves nothing.
    let d = t.connect(10_000);
    assert_eq!(token(&mut t, d, &replayed), (0, ErrorCode::AUTH_FAILED, None));
}

#[test]
fn what_java_cannot_read_ends_the_connection_without_a_word() {
    // 22, 79
    let mut t = Driver::with(config());
    let a = t.connect(10_000);
    let mut answered = answered(&mut t, a, "bob", "bobsecret");
    answered.extend_from_slice(b",maxbuf=many");
    t.send(a, &Sasl { token: Some(answered.into()) });
    assert!(t.is_closed(a) && t.heard(a).len() == 3, "{:?}", t.heard(a));
    let b = t.connect(10_000);
    t.send(b, &Sasl { token: None });
    assert!(t.is_closed(b) && t.heard(b).len() == 2);
}

#[test]
fn clients_that_fail_may_stay_if_the_server_allows_it() {
    // 80
    let mut t = Driver::with(Config { allow_sasl_failed_clients: true, ..config() });
    let a = t.connect(10_000);
    assert_eq!(log_in(&mut t, a, "bob", "wrong"), (0, ErrorCode::OK, None));
    assert_eq!(token(&mut t, a, b""), (0, ErrorCode::OK, None), "there is no second exchange");
    assert_eq!(who(&mut t, a), [("ip".to_owned(), "127.0.0.1".to_owned())]);
}

#[test]
fn acls_of_the_scheme_name_users() {
    // 57, 81
    let mut t = Driver::with(config());
    let (a, b, admin) = (t.connect(10_000), t.connect(10_000), t.connect(10_000));
    t.call(a, &sasl_acl("/a", "sasl", "bob")).unwrap();
    assert_eq!(t.call(a, &get_data("/a", false)).unwrap_err(), ErrorCode::NO_AUTH);
    assert_eq!(t.call(a, &sasl_acl("/b", "auth", "")).unwrap_err(), ErrorCode::INVALID_ACL);
    assert_eq!(t.call(a, &sasl_acl("/b", "sasl", "a@b@c")).unwrap_err(), ErrorCode::INVALID_ACL);
    log_in(&mut t, b, "bob", "bobsecret");
    t.call(b, &get_data("/a", false)).unwrap();
    t.call(b, &sasl_acl("/c", "auth", "")).unwrap();
    let acl = t.call(b, &GetAcl { path: "/c".into() }).unwrap().acl;
    assert_eq!((&*acl[0].scheme, &*acl[0].id), ("sasl", "bob"));
    log_in(&mut t, a, "ann", "annsecret");
    assert_eq!(t.call(a, &get_data("/a", false)).unwrap_err(), ErrorCode::NO_AUTH, "another user");
    log_in(&mut t, admin, "super", "adminsecret");
    t.call(admin, &get_data("/a", false)).unwrap();
    // `super` is every SASL user, and nothing beyond that.
    t.call(a, &with_digest("/d")).unwrap();
    assert_eq!(t.call(admin, &get_data("/d", false)).unwrap_err(), ErrorCode::NO_AUTH);
}

fn with_digest(path: &str) -> Create {
    sasl_acl(path, "digest", "user:smGaoVKd/cQkjm7b88GyorAUz20=")
}

#[test]
fn a_super_user_may_do_everything() {
    // 82
    let mut t = Driver::with(Config { sasl_super_users: vec!["ann".into()], ..config() });
    let (a, ann) = (t.connect(10_000), t.connect(10_000));
    t.call(a, &with_digest("/d")).unwrap();
    log_in(&mut t, ann, "ann", "annsecret");
    t.call(ann, &get_data("/d", false)).unwrap();
    assert!(who(&mut t, ann).contains(&("super".into(), String::new())));
}

#[test]
fn without_the_provider_the_scheme_is_unknown_in_acls() {
    // 81
    let mut t = Driver::with(Config { sasl_scheme: false, ..config() });
    let a = t.connect(10_000);
    log_in(&mut t, a, "bob", "bobsecret");
    assert_eq!(t.call(a, &sasl_acl("/a", "sasl", "bob")).unwrap_err(), ErrorCode::INVALID_ACL);
    assert_eq!(t.call(a, &sasl_acl("/a", "auth", "")).unwrap_err(), ErrorCode::INVALID_ACL);
}

#[test]
fn a_connection_that_must_authenticate_gets_a_code_and_is_closed() {
    // 83
    let required = Config { required_schemes: vec!["sasl".into()], ..config() };
    let bodies: [(OpCode, &[u8]); 6] = [
        (OpCode::PING, b""),
        (OpCode::GET_DATA, b"\0\0\0\x01/\0"),
        (OpCode::CREATE, b""),
        (OpCode::CLOSE_SESSION, b""),
        (OpCode::SET_WATCHES, b""),
        (OpCode(999), b""),
    ];
    for (op, body) in bodies {
        let mut t = Driver::with(required.clone());
        let a = t.connect(4_000);
        t.advance(3_900);
        let refusal = (0, ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH, Bytes::new());
        assert_eq!(t.raw(a, op, body), refusal, "{op}");
        assert!(t.is_closed(a));
        assert_eq!(t.core.sessions().len(), 1, "the session lives on");
        t.advance(4_000);
        assert_eq!(t.core.sessions().len(), 0, "the request was no sign of life");
    }
    // Of the failures of SASL, too. Nobody stays.
    let mut t = Driver::with(Config { allow_sasl_failed_clients: true, ..required.clone() });
    let a = t.connect(10_000);
    let refusal = (0, ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH, None);
    assert_eq!(log_in(&mut t, a, "bob", "wrong"), refusal);
    assert!(t.is_closed(a));
    // Another scheme is not enough; the required one is.
    let b = t.connect(10_000);
    let digest = Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some(Bytes::from_static(b"u:p")) };
    assert_eq!(t.reply(b, &digest).1, ErrorCode::OK);
    assert_eq!(log_in(&mut t, b, "bob", "bobsecret").1, ErrorCode::OK);
    t.call(b, &get_data("/", false)).unwrap();
}

#[test]
fn any_of_several_schemes_is_enough_and_an_address_always_is_one() {
    // 83
    for (schemes, with_digest, allowed) in [
        (vec!["digest", "sasl"], false, false),
        (vec!["digest", "sasl"], true, true),
        (vec!["digest", "ip"], false, true),
    ] {
        let required_schemes = schemes.iter().map(|scheme| (*scheme).to_owned()).collect();
        let mut t = Driver::with(Config { required_schemes, ..config() });
        let a = t.connect(10_000);
        if with_digest {
            let auth = Some(Bytes::from_static(b"u:p"));
            t.reply(a, &Auth { auth_type: 0, scheme: Some("digest".into()), auth });
        }
        let got = t.reply(a, &get_data("/", false)).1;
        assert_eq!(got == ErrorCode::OK, allowed, "{schemes:?}");
    }
}

proptest! {
    #[test]
    fn hostile_tokens_prove_nothing(
        tokens in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
        allow_sasl_failed_clients in any::<bool>(),
    ) {
        let mut t = Driver::with(Config { allow_sasl_failed_clients, ..config() });
        let a = t.connect(10_000);
        for token in tokens {
            if t.is_closed(a) {
                break;
            }
            t.send(a, &Sasl { token: Some(token.into()) });
        }
        if !t.is_closed(a) {
            prop_assert_eq!(who(&mut t, a).len(), 1);
        }
    }
}

#[test]
fn what_acls_allow_one_user_they_may_allow_every_other_one() {
    // 85
    for (any, expected) in
        [(None, Err(ErrorCode::NO_AUTH)), (Some("ann"), Ok(())), (Some("bob"), Err(ErrorCode::NO_AUTH))]
    {
        let mut t = Driver::with(Config { any_sasl_user: any.map(String::from), ..config() });
        let (bob, digest) = (t.connect(10_000), t.connect(10_000));
        log_in(&mut t, bob, "bob", "bobsecret");
        let auth = Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("ann:annsecret".into()) };
        t.reply(digest, &auth);
        t.call(digest, &sasl_acl("/ann", "sasl", "ann")).unwrap();
        t.call(digest, &sasl_acl("/digest", "digest", "ann:x")).unwrap();
        assert_eq!(t.call(bob, &get_data("/ann", false)).map(drop), expected, "{any:?}");
        assert_eq!(
            t.call(bob, &get_data("/digest", false)).map(drop),
            Err(ErrorCode::NO_AUTH),
            "another scheme"
        );
        assert_eq!(
            t.call(digest, &get_data("/ann", false)).map(drop),
            Err(ErrorCode::NO_AUTH),
            "no SASL user"
        );
    }
}
