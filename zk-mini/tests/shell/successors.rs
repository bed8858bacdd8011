//! Successive servers: their numbers, ids and passwords, and the answers to clients of the one before.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zk_mini::{Builder, ZkMini};

use crate::raw::{Raw, connect_request, resume_request};

fn repeatable() -> Builder {
    ZkMini::builder().in_memory().seed(7).manual_clock()
}

async fn start(builder: Builder) -> ZkMini {
    builder.start().await.unwrap()
}

/// Returns the id and the password in the answer to a handshake.
fn session_of(answered: &[u8]) -> (&[u8], &[u8]) {
    (&answered[8..16], &answered[20..36])
}

/// Opens and ends some sessions. Returns their ids and passwords.
async fn life(builder: Builder, sessions: usize) -> Vec<Vec<u8>> {
    let zk = start(builder).await;
    let mut given = Vec::new();
    for _ in 0..sessions {
        let mut raw = Raw::in_memory(&zk);
        given.push(raw.open_session(10_000).await);
        assert_eq!(raw.request(1, -11, b"").await.err, 0);
    }
    zk.stop().await;
    given
}

/// Asks a server for a session, as a client that has seen this zxid.
async fn resume_having_seen(zk: &ZkMini, answered: &[u8], zxid: i64) -> Option<Vec<u8>> {
    let mut raw = Raw::in_memory(zk);
    let mut request = resume_request(answered);
    request[4..12].copy_from_slice(&zxid.to_be_bytes());
    raw.send(&request).await;
    raw.receive().await
}

#[tokio::test]
async fn a_server_in_memory_tells_the_clients_of_the_one_before_that_their_sessions_are_gone() {
    let before = start(ZkMini::builder().in_memory()).await;
    let mut raw = Raw::in_memory(&before);
    let session = raw.open_session(10_000).await;
    let seen = raw.create("/a", 0).await.zxid;
    assert_eq!(seen, before.last_zxid().0);
    before.stop().await;

    // At once: less than a millisecond may have passed.
    let after = start(ZkMini::builder().in_memory()).await;
    let answer = resume_having_seen(&after, &session, seen).await.expect("an answer, not a close");
    assert_eq!(session_of(&answer), (&[0; 8][..], &[0; 16][..]));
    let mut new = Raw::in_memory(&after);
    let mut request = connect_request(10_000);
    request[4..12].copy_from_slice(&seen.to_be_bytes());
    new.send(&request).await;
    assert_ne!(session_of(&new.receive().await.unwrap()).0, [0; 8]);
    assert!(seen > 0 && i32::try_from(seen >> 32).is_ok(), "{seen:#x}");
}

#[tokio::test]
async fn zxids_begin_at_zero_with_a_seed_a_manual_clock_or_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let in_memory = || ZkMini::builder().in_memory();
    for builder in [in_memory().seed(7), in_memory().manual_clock(), in_memory().data_dir(dir.path())] {
        assert_eq!(start(builder).await.last_zxid().0, 0);
    }
}

#[tokio::test]
async fn in_memory_only_the_same_seed_gives_the_same_sessions() {
    let with = |seed| ZkMini::builder().in_memory().manual_clock().seed(seed);
    assert_eq!(life(with(1), 3).await, life(with(1), 3).await);
    let chance = || ZkMini::builder().in_memory().manual_clock();
    let mut passwords = BTreeSet::new();
    for builder in [with(1), with(2), chance(), chance()] {
        passwords.extend(life(builder, 1).await.iter().map(|answered| session_of(answered).1.to_vec()));
    }
    assert_eq!(passwords.len(), 4);
}

#[tokio::test]
async fn servers_on_a_directory_give_different_sessions_and_the_whole_run_repeats() {
    let run = async || {
        let dir = tempfile::tempdir().unwrap();
        let mut lives = Vec::new();
        for _ in 0..4 {
            lives.push(life(repeatable().data_dir(dir.path()), 3).await);
        }
        lives
    };
    let lives = run().await;
    let ids: BTreeSet<_> = lives.iter().flatten().map(|answered| session_of(answered).0.to_vec()).collect();
    assert_eq!(ids.len(), 4 * 3);
    assert_eq!(run().await, lives);
}

#[tokio::test]
async fn a_client_of_an_earlier_server_does_not_get_a_new_clients_session() {
    let dir = tempfile::tempdir().unwrap();
    let old = life(repeatable().data_dir(dir.path()), 3).await;
    let zk = start(repeatable().data_dir(dir.path())).await;
    let mut owners: Vec<_> = Vec::new();
    for _ in 0..3 {
        owners.push(Raw::with_session(&zk, 10_000).await);
    }
    for answered in &old {
        let answer = resume_having_seen(&zk, answered, 0).await.expect("an answer");
        assert_eq!(session_of(&answer).0, [0; 8]);
    }
    for owner in &mut owners {
        assert_eq!(owner.create("/mine-", 3).await.err, 0, "no other client has its session");
    }
}

/// Opens a session over a directory, and leaves it open for the next server.
async fn left_open(dir: &Path, private: bool) -> Vec<u8> {
    let zk = start(repeatable().data_dir(dir).private_sessions(private)).await;
    let answered = Raw::in_memory(&zk).open_session(10_000).await;
    zk.stop().await;
    answered
}

#[tokio::test]
async fn a_directory_keeps_the_secret_of_private_sessions_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let private = || ZkMini::builder().in_memory().data_dir(dir.path()).private_sessions(true);
    let zk = start(private()).await;
    let answered = Raw::in_memory(&zk).open_session(10_000).await;
    zk.stop().await;
    let file = dir.path().join("zk-mini.secret");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let zk = start(private()).await;
    drop(Raw::resumed(&zk, &answered).await);
    zk.stop().await;

    fs::write(&file, b"short").unwrap();
    let error = private().start().await.unwrap_err().to_string();
    assert!(error.contains("zk-mini.secret") && error.contains("32 bytes"), "{error}");
}

#[tokio::test]
async fn sessions_end_for_clients_when_their_kind_of_password_changes() {
    for before in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let answered = left_open(dir.path(), before).await;
        let other = start(repeatable().data_dir(dir.path()).private_sessions(!before)).await;
        let answer = resume_having_seen(&other, &answered, 0).await.expect("an answer");
        assert_eq!(session_of(&answer).0, [0; 8]);
        other.stop().await;
        let same = start(repeatable().data_dir(dir.path()).private_sessions(before)).await;
        drop(Raw::resumed(&same, &answered).await);
    }
}

#[tokio::test]
async fn by_default_a_directory_has_the_passwords_that_apache_zookeeper_makes() {
    let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (public, private) = (left_open(with.path(), false).await, left_open(without.path(), true).await);
    assert_eq!(session_of(&public).0, session_of(&private).0, "the same id");
    assert_ne!(session_of(&public).1, session_of(&private).1);
    // The seed of Java's generator is the id and this constant; 48 bits of a linear congruence follow.
    let id = u64::from_be_bytes(session_of(&public).0.try_into().unwrap());
    let first =
        ((id ^ 0xB341_5C00 ^ 0x5_DEEC_E66D) & 0xffff_ffff_ffff).wrapping_mul(0x5_DEEC_E66D).wrapping_add(11);
    let word = u32::try_from(first >> 16 & 0xffff_ffff).unwrap();
    assert_eq!(session_of(&public).1[..4], word.to_le_bytes());
}
