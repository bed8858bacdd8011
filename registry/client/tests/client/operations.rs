//! Every operation, against zk-mini in memory.

use std::collections::BTreeSet;
use std::time::Duration;

use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, EventType, Expected, ServersError, Version};
use zk_mini::{NodeKind, On, Then, ZkMini};

use crate::support::{client_of, server, soon};

fn open() -> [Acl; 1] {
    [Acl::open()]
}

async fn make(client: &Client, path: &str, data: &'static str) {
    client.create(path, data, CreateMode::Persistent).await.unwrap();
}

#[tokio::test]
async fn a_node_lives_from_create_to_delete() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    let created = client.create("/a", "one", CreateMode::Persistent).await.unwrap();
    assert_eq!(created.path, "/a");
    assert_eq!(client.exists("/a").await.unwrap(), Some(created.stat));
    assert_eq!(client.get("/a").await.unwrap(), ("one".into(), created.stat));

    let stat = client.set("/a", "two", Expected::Exactly(Version(0))).await.unwrap();
    assert_eq!(stat.version, Version(1));
    let error = client.set("/a", "x", Expected::Exactly(Version(0))).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::BAD_VERSION));
    assert_eq!(error.to_string(), "setData /a: version does not match (-103)");
    assert!(!error.is_retryable() && !error.may_have_been_applied());

    client.sync("/a").await.unwrap();
    client.delete("/a", Expected::Exactly(Version(1))).await.unwrap();
    assert_eq!(client.exists("/a").await.unwrap(), None);
    assert_eq!(client.get("/a").await.unwrap_err().code(), Some(ErrorCode::NO_NODE));
}

#[tokio::test]
async fn a_tree_is_deleted_with_all_that_comes_meanwhile_and_the_root_is_not() {
    let zk = server().await;
    zk.create("/app/b/c", "").parents().await.unwrap();
    zk.create("/app/a", "").await.unwrap();
    zk.create("/apple", "").await.unwrap();
    let client = client_of(&zk).connect().await.unwrap();
    let late = zk.fault(On::delete("/app").nth(2), Then::delay(Duration::from_millis(50)));
    let (deleted, ()) = tokio::join!(client.delete_recursive("/app"), async {
        zk.wait_for(|_| late.fired() == 1, Duration::from_secs(20)).await.unwrap();
        zk.create("/app/new", "").await.unwrap();
        zk.advance(Duration::from_millis(50)).await;
    });
    deleted.unwrap();
    assert!(zk.get("/app").is_none() && zk.get("/apple").is_some());

    let code = |deleted: Result<(), Error>| deleted.unwrap_err().code();
    assert_eq!(code(client.delete_recursive("/app").await), Some(ErrorCode::NO_NODE));
    assert_eq!(code(client.delete_recursive("/").await), Some(ErrorCode::BAD_ARGUMENTS));
    zk.create("/apple/pie", "").await.unwrap();
    let below = client_of(&zk).chroot("/apple").connect().await.unwrap();
    assert_eq!(code(below.delete_recursive("/").await), Some(ErrorCode::BAD_ARGUMENTS));
    assert!(zk.get("/apple/pie").is_some());
}

#[tokio::test]
async fn a_sequential_create_returns_the_name_that_the_server_chose() {
    let zk = server().await;
    let client = client_of(&zk).chroot("/app").connect().await.unwrap();
    client.ensure_path("/").await.unwrap();
    for (path, expected) in [("/n-", "/n-0000000000"), ("/", "/0000000001")] {
        let created = client.create(path, "", CreateMode::EphemeralSequential).await.unwrap();
        assert_eq!(created.path, expected);
        assert_eq!(created.stat.ephemeral_owner, client.credentials().unwrap().id);
    }
    let (children, stat) = client.children("/").await.unwrap();
    assert_eq!(children.len(), 2);
    assert_eq!(stat.num_children, 2);
}

#[tokio::test]
async fn an_invalid_chroot_is_refused_before_anything_is_sent() {
    for chroot in ["//", "a", "/a//b", "/.."] {
        let error = Client::builder().chroot(chroot).connect().await.unwrap_err();
        assert!(matches!(error, Error::Servers(ServersError::BadChroot { .. })), "{chroot}: {error}");
    }
}

#[tokio::test]
async fn a_chroot_is_invisible() {
    let zk = server().await;
    let client = client_of(&zk).servers("ignored:1/top/").chroot("/below").connect().await.unwrap();
    let error = client.create("/a", "", CreateMode::Persistent).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NO_NODE), "{error}");
    client.ensure_path("/").await.unwrap();

    let (none, mut watch) = client.exists_and_watch("/a").await.unwrap();
    assert_eq!(none, None);
    let created = client.create("/a", "x", CreateMode::Persistent).await.unwrap();
    assert_eq!(created.path, "/a");
    let event = soon(watch.changed()).await.unwrap();
    assert_eq!((event.event, &*event.path), (EventType::NODE_CREATED, "/a"));
    assert!(zk.get("/top/below/a").is_some());

    let (_, _, mut watch) = client.children_and_watch("/").await.unwrap();
    client.delete("/a", Expected::Any).await.unwrap();
    assert_eq!(soon(watch.changed()).await.unwrap().path, "/");
}

#[tokio::test]
async fn missing_parents_are_created_and_existing_ones_left_alone() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    make(&client, "/a", "kept").await;
    client.ensure_path("/a/b/c/d").await.unwrap();
    client.ensure_path("/a/b/c/d").await.unwrap();
    client.ensure_path("/").await.unwrap();
    assert_eq!(client.get("/a").await.unwrap().0, "kept");
    assert!(client.exists("/a/b/c/d").await.unwrap().is_some());
}

#[tokio::test]
async fn a_path_is_made_of_containers_and_with_the_acl_of_its_owner() {
    let zk = server().await;
    let client = client_of(&zk).chroot("/app").auth("digest", "me:secret").connect().await.unwrap();
    let acl = [Acl::creator_only(), Acl::read_only()];
    client.ensure_path_with("/a/b", CreateMode::Container, &acl).await.unwrap();
    for path in ["/app", "/app/a", "/app/a/b"] {
        let snapshot = zk.snapshot();
        let node = snapshot.nodes().iter().find(|node| node.path == path).unwrap();
        assert!(matches!(node.kind, NodeKind::Container), "{path}");
        assert_eq!(zk.acl(path).unwrap()[0].scheme, "digest");
    }
    // For others nothing can be created there, which does not matter to what exists.
    let other = client_of(&zk).connect().await.unwrap();
    other.ensure_path("/app/a/b").await.unwrap();
    assert_eq!(other.ensure_path("/app/a/c").await.unwrap_err().code(), Some(ErrorCode::NO_AUTH));

    let error = client.ensure_path_with("/e", CreateMode::Ephemeral, &open()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::BAD_ARGUMENTS), "{error}");
}

#[tokio::test]
async fn a_watch_tells_one_change_and_repeats_it() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    make(&client, "/a", "1").await;
    let (data, _, mut watch) = client.get_and_watch("/a").await.unwrap();
    assert_eq!(data, "1");
    client.set("/a", "2", Expected::Any).await.unwrap();
    client.delete("/a", Expected::Any).await.unwrap();
    for _ in 0..2 {
        assert_eq!(soon(watch.changed()).await.unwrap().event, EventType::NODE_DATA_CHANGED);
    }
}

#[tokio::test]
async fn watches_on_one_node_are_all_told() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    make(&client, "/a", "").await;
    let (_, _, mut data) = client.get_and_watch("/a").await.unwrap();
    let (_, mut exists) = client.exists_and_watch("/a").await.unwrap();
    let (_, _, mut children) = client.children_and_watch("/a").await.unwrap();
    drop(client.get_and_watch("/a").await.unwrap());
    client.delete("/a", Expected::Any).await.unwrap();
    for watch in [&mut data, &mut exists, &mut children] {
        assert_eq!(soon(watch.changed()).await.unwrap().event, EventType::NODE_DELETED);
    }
}

#[tokio::test]
async fn a_private_node_needs_the_identity_of_its_acl() {
    let zk = server().await;
    let (owner, other) = (client_of(&zk).connect().await.unwrap(), client_of(&zk).connect().await.unwrap());
    owner.add_auth("digest", "me:secret").await.unwrap();
    owner.create_with_acl("/p", "x", CreateMode::Persistent, &[Acl::creator_only()]).await.unwrap();
    assert_eq!(other.get("/p").await.unwrap_err().code(), Some(ErrorCode::NO_AUTH));
    assert_eq!(owner.acl("/p").await.unwrap().0[0].scheme, "digest");
    owner.set_acl("/p", &open(), Expected::Any).await.unwrap();
    assert_eq!(other.get("/p").await.unwrap().0, "x");
    owner.set_acl("/p", &[Acl::creator_only(), Acl::read_only()], Expected::Any).await.unwrap();
    assert_eq!(other.get("/p").await.unwrap().0, "x");
    let refused = other.set("/p", "y", Expected::Any).await;
    assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::NO_AUTH));
    owner.set("/p", "y", Expected::Any).await.unwrap();
}

#[tokio::test]
async fn an_identity_that_no_server_knows_is_an_error_of_connect_and_names_the_scheme() {
    let zk = server().await;
    let builder = client_of(&zk).auth("digest", "me:secret").auth("kerberos", "me");
    let error = soon(builder.connect()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::AUTH_FAILED));
    assert_eq!(
        error.to_string(),
        "auth kerberos: authentication failed (-115); the server does not know the scheme, or refuses the identity: check \
         both, and the authentication providers of the server"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn invalid_paths_and_requests_that_are_too_large_are_not_sent() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    let error = client.get("a").await.unwrap_err();
    assert!(matches!(error, Error::InvalidPath { op: "getData", .. }));
    assert_eq!(error.to_string(), "getData \"a\": path does not begin with \"/\"");

    let error = client.set("/a", vec![0; 1 << 20], Expected::Any).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_048_575, .. }), "{error}");
    // The largest allowed request arrives: header, path, length of the data, version.
    make(&client, "/a", "").await;
    let overhead = 8 + 4 + 2 + 4 + 4;
    client.set("/a", vec![0; 1_048_575 - overhead], Expected::Any).await.unwrap();
    assert!(client.set("/a", vec![0; 1_048_576 - overhead], Expected::Any).await.is_err());
}

#[tokio::test]
async fn many_calls_run_at_once() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let client = client.clone();
        calls.spawn(
            async move { client.create("/n-", "", CreateMode::PersistentSequential).await.unwrap().path },
        );
    }
    let paths: BTreeSet<String> = soon(calls.join_all()).await.into_iter().collect();
    assert_eq!(paths.len(), 500);
}

#[tokio::test]
async fn many_nodes_are_read_in_their_order_each_with_its_own_answer() {
    let zk = server().await;
    let client = client_of(&zk).chroot("/app").connect().await.unwrap();
    client.ensure_path("/").await.unwrap();
    let paths: Vec<_> = (0..300).map(|n| format!("/{n}")).collect();
    for path in paths.iter().step_by(2) {
        client.create(path, path.clone(), CreateMode::Persistent).await.unwrap();
    }
    let answers = client.get_all(&paths).await;
    assert_eq!(answers.len(), paths.len());
    for (n, (path, answer)) in paths.iter().zip(answers).enumerate() {
        match answer {
            Ok((data, _)) => assert_eq!((n % 2, data.as_ref()), (0, path.as_bytes())),
            Err(error) => {
                assert_eq!(
                    (n % 2, error.to_string()),
                    (1, format!("getData {path}: node does not exist (-101)"))
                );
            }
        }
    }
    let answers = client.get_all(&["/0".into(), "not a path".into(), "/2".into()]).await;
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_err(Error::code)).collect();
    assert!(matches!(kinds[..], [Ok(_), Err(None), Ok(_)]), "{answers:?}");
    client.close().await.unwrap();
    let answers = client.get_all(&paths).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Closed { .. }))));
}

#[tokio::test]
async fn an_error_says_what_is_missing_or_out_of_range() {
    let zk = server().await;
    let client = client_of(&zk).chroot("/none").connect().await.unwrap();
    let error = client.create("/a", "", CreateMode::Persistent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "create2 /a: node does not exist (-101); its parent, or the client's chroot, is missing: create that first, as \
         `ensure_path` does"
    );
    let ttl = |millis| CreateMode::PersistentWithTtl(Duration::from_millis(millis));
    let error = client.create("/a", "", ttl(1)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNIMPLEMENTED));
    assert!(error.to_string().ends_with("zookeeper.extendedTypesEnabled=true"), "{error}");

    let zk = ZkMini::builder().in_memory().manual_clock().extended_types(true).start().await.unwrap();
    let client = client_of(&zk).connect().await.unwrap();
    for out_of_range in [0, u64::MAX] {
        let error = client.create("/a", "", ttl(out_of_range)).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::BAD_ARGUMENTS), "{error}");
        assert!(error.to_string().ends_with("1 ms or more, and at most 34 years"), "{error}");
    }
    client.create("/a", "", ttl(1)).await.unwrap();
}
