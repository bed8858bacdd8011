//! The throttle of new connections.

use zk_mini::core::{Config, Note, Refusal, Throttle, ThrottleWeights};
use zk_wire::*;

use crate::driver::*;

/// Opens connections until one is refused, and returns the number of those with a session.
fn admitted(t: &mut Driver, credentials: Option<&Credentials>) -> usize {
    admitted_at(t, None, credentials)
}

/// Does so at a server of an ensemble, counted from 0.
fn admitted_at(t: &mut Driver, server: Option<usize>, credentials: Option<&Credentials>) -> usize {
    for count in 0.. {
        let conn = t.accept_at(server);
        let request = match credentials {
            Some(credentials) => ConnectRequest {
                session_id: credentials.id,
                password: credentials.password.clone(),
                ..connect_request(4_000)
            },
            None => connect_request(4_000),
        };
        t.frame(conn, encode(&request));
        if t.is_closed(conn) {
            assert_eq!(t.heard(conn).len(), 1, "without a word");
            assert!(matches!(t.notes.last(), Some(Note::Refused { reason: Refusal::Throttled, .. })));
            return count;
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn more_clients_at_a_time_than_tokens_are_refused_without_a_word() {
    let throttle = Throttle { tokens: 3, fill_time: 1_000, fill_count: 2, ..Throttle::default() };
    let mut t = Driver::with(Config { throttle, ..Config::default() });
    assert_eq!(admitted(&mut t, None), 3);
    assert_eq!(t.txns.len(), 3, "a refused client takes no zxid");
    t.stall(1_001);
    assert_eq!(admitted(&mut t, None), 2);
}

#[test]
fn sessions_have_weights_by_their_kind() {
    let weights = Some(ThrottleWeights { global: 4, local: 1, renew: 2 });
    let throttle = Throttle { tokens: 2, fill_time: 1_000, weights, ..Throttle::default() };
    let mut t = Driver::with(Config { throttle, ..Config::default() });
    assert_eq!(admitted(&mut t, None), 2);
    let mut t = Driver::with(Config { throttle, ..Config::default() });
    let a = t.connect(4_000);
    let credentials = t.credentials(a);
    assert_eq!(admitted(&mut t, Some(&credentials)), 2, "a session that exists needs half of it");
}

#[test]
fn each_server_of_an_ensemble_has_its_own_tokens_and_a_start_fills_them() {
    let throttle = Throttle { tokens: 3, fill_time: 1_000, fill_count: 2, ..Throttle::default() };
    let mut t = Driver::ensemble(Config { throttle, ..Config::default() }, 3);
    for server in [1, 0, 2] {
        assert_eq!(admitted_at(&mut t, Some(server), None), 3);
    }
    t.stall(1_001);
    assert_eq!(admitted_at(&mut t, Some(0), None), 2);
    t.core.stop_server(t.now, 0);
    t.core.start_server(t.now, 0);
    t.drain();
    assert_eq!(admitted_at(&mut t, Some(0), None), 3, "as a server that was just started");
    assert_eq!(admitted_at(&mut t, Some(1), None), 2);
    t.core.elect_server(t.now, 1).unwrap();
    t.drain();
    assert_eq!(admitted_at(&mut t, Some(1), None), 3);
}

#[test]
fn a_restart_fills_the_tokens() {
    let throttle = Throttle { tokens: 3, fill_time: 1_000, ..Throttle::default() };
    let mut t = Driver::with(Config { throttle, ..Config::default() });
    assert_eq!(admitted(&mut t, None), 3);
    t.core.restart(t.now);
    t.drain();
    assert_eq!(admitted(&mut t, None), 3);
}

#[test]
fn local_sessions_have_a_weight_of_their_own() {
    let weights = Some(ThrottleWeights { global: 4, local: 1, renew: 2 });
    let throttle = Throttle { tokens: 2, fill_time: 1_000, weights, ..Throttle::default() };
    let config = Config { throttle, local_sessions: true, ..Config::default() };
    let mut t = Driver::ensemble(config.clone(), 3);
    assert_eq!(admitted_at(&mut t, Some(0), None), 8);
    let mut t = Driver::with(config);
    assert_eq!(admitted(&mut t, None), 2, "a single server has none");
}
