//! Transactions, and every mode of a create, inside and outside of one.

use std::time::Duration;

use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, Expected, OpResult, Version, connect_fn};
use zk_mini::ZkMini;

use crate::support::{client_of, server};

const MODES: [(CreateMode, bool); 7] = [
    (CreateMode::Persistent, false),
    (CreateMode::PersistentSequential, true),
    (CreateMode::Ephemeral, false),
    (CreateMode::EphemeralSequential, true),
    (CreateMode::Container, false),
    (CreateMode::PersistentWithTtl(Duration::from_secs(60)), false),
    (CreateMode::PersistentSequentialWithTtl(Duration::from_secs(60)), true),
];

async fn client_below(zk: &ZkMini, chroot: &str) -> Client {
    let client = client_of(zk).chroot(chroot).connect().await.unwrap();
    client.ensure_path("/").await.unwrap();
    client
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let zk = server().await;
    let client = client_below(&zk, "/app").await;
    let done = client.transaction();
    let done =
        done.create("/m-", "", CreateMode::PersistentSequential).create("/b", "1", CreateMode::Persistent);
    let done = done.check("/b", Expected::Any).set("/b", "2", Expected::Exactly(Version(0)));
    let results = done.delete("/m-0000000000", Expected::Any).commit().await.unwrap();
    let [OpResult::Created(first), OpResult::Created(second), checked, OpResult::Set(stat), deleted] =
        &results[..]
    else {
        panic!("{results:?}");
    };
    assert_eq!((first.as_str(), second.as_str()), ("/m-0000000000", "/b"));
    assert_eq!((checked, stat.version, deleted), (&OpResult::Checked, Version(1), &OpResult::Deleted));
    assert_eq!(client.get("/b").await.unwrap().0, "2");
    assert_eq!(client.children("/").await.unwrap().0, ["b"]);

    let refused =
        client.transaction().create("/c", "", CreateMode::Persistent).delete("/none", Expected::Any);
    let error = refused.check("/b", Expected::Any).commit().await.unwrap_err();
    assert_eq!(error.to_string(), "operation 1 of the transaction, delete /none: node does not exist (-101)");
    assert_eq!(error.code(), Some(ErrorCode::NO_NODE));
    assert!(!error.is_retryable() && !error.may_have_been_applied());
    assert_eq!(client.exists("/c").await.unwrap(), None);
}

#[tokio::test]
async fn an_invalid_path_in_a_transaction_sends_nothing() {
    let zk = server().await;
    let client = client_below(&zk, "/app").await;
    let bad = client.transaction().create("/a", "", CreateMode::Persistent).set("b", "", Expected::Any);
    let error = bad.delete("c/", Expected::Any).commit().await.unwrap_err();
    assert!(matches!(&error, Error::InvalidPath { op: "setData", path, .. } if path == "b"), "{error}");
    assert_eq!(client.children("/").await.unwrap().0, [""; 0]);
    assert_eq!(client.transaction().commit().await.unwrap(), [], "nothing to do is done");
    let big = client.transaction().set("/", vec![0; 1 << 20], Expected::Any).commit().await.unwrap_err();
    assert!(matches!(big, Error::TooLarge { op: "multi", .. }), "{big}");
}

#[tokio::test]
async fn nodes_of_a_transaction_can_have_an_acl() {
    let zk = server().await;
    let (owner, other) = (client_below(&zk, "/app").await, client_below(&zk, "/app").await);
    owner.add_auth("digest", "me:secret").await.unwrap();
    let private = [Acl::creator_only()];
    let creates = owner.transaction().create_with_acl("/p", "x", CreateMode::Persistent, &private);
    creates.create("/open", "x", CreateMode::Persistent).commit().await.unwrap();
    assert_eq!(other.get("/p").await.unwrap_err().code(), Some(ErrorCode::NO_AUTH));
    assert_eq!(other.get("/open").await.unwrap().0, "x");
    let error = other.transaction().create_with_acl("/q", "x", CreateMode::Persistent, &[]).commit().await;
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::INVALID_ACL));
}

#[tokio::test]
async fn every_mode_works_alone_and_in_a_transaction() {
    let zk = ZkMini::builder().in_memory().seed(7).manual_clock().extended_types(true).start().await.unwrap();
    let client = client_below(&zk, "/app").await;
    let own = client.credentials().unwrap().id;
    for (n, (mode, is_sequential)) in MODES.into_iter().enumerate() {
        assert_eq!(mode.is_sequential(), is_sequential);
        let created = client.create(&format!("/{n}-alone-"), "x", mode).await.unwrap();
        assert_eq!(created.path.len() > "/0-alone-".len(), is_sequential, "{created:?}");
        assert_eq!(mode.is_ephemeral(), created.stat.ephemeral_owner == own, "{mode:?}");
        let results =
            client.transaction().create(&format!("/{n}-together-"), "x", mode).commit().await.unwrap();
        let [OpResult::Created(path)] = &results[..] else { panic!("{results:?}") };
        assert_eq!(path.len() > "/0-together-".len(), is_sequential, "{path}");
        assert_eq!(client.get(path).await.unwrap().0, "x");
    }
}

#[tokio::test]
async fn a_node_with_a_time_to_live_goes_after_it() {
    let zk = ZkMini::builder().in_memory().seed(7).manual_clock().extended_types(true).start().await.unwrap();
    let client = client_of(&zk).connect().await.unwrap();
    client.create("/t", "", CreateMode::PersistentWithTtl(Duration::from_millis(1_500))).await.unwrap();
    let error = client.create("/t", "", CreateMode::PersistentWithTtl(Duration::MAX)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::BAD_ARGUMENTS));
    assert!(zk.get("/t").is_some());
    zk.advance(Duration::from_secs(3_600)).await;
    assert!(zk.get("/t").is_none());
}

#[tokio::test]
async fn without_extended_types_a_time_to_live_is_refused_and_the_connection_stays() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let connector = zk.connector();
    let via = connect_fn(move || std::future::ready(connector.connect()));
    let client = Client::builder().via(via).connect().await.unwrap();
    let error =
        client.create("/t", "", CreateMode::PersistentWithTtl(Duration::from_secs(1))).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNIMPLEMENTED));
    assert!(client.exists("/t").await.unwrap().is_none());
}
