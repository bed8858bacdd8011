//! Several reads in one request.

use zk_client::{Acl, CreateMode, Error, ErrorCode, Read};
use zk_mini::{On, Then};

use crate::support::{client_of, server};

#[tokio::test]
async fn every_read_has_its_own_result() {
    let zk = server().await;
    let client = client_of(&zk).chroot("/app").auth("digest", "me:secret").connect().await.unwrap();
    let other = client_of(&zk).chroot("/app").connect().await.unwrap();
    client.ensure_path("/a/b").await.unwrap();
    let created = client.create("/a/n", "one", CreateMode::Persistent).await.unwrap();
    client.create_with_acl("/p", "x", CreateMode::Persistent, &[Acl::creator_only()]).await.unwrap();

    let results =
        other.reads().children("/none").get("/a/n").children("/a").get("/p").get("/a/b").send().await;
    let results = results.unwrap();
    let [missing, data, names, private, empty] = &results[..] else { panic!("{results:?}") };
    assert_eq!(missing.clone().unwrap_err().to_string(), "getChildren /none: node does not exist (-101)");
    assert_eq!(*data.as_ref().unwrap(), Read::Data("one".into(), created.stat));
    let Ok(Read::Children(names)) = names else { panic!("{names:?}") };
    let mut names = names.clone();
    names.sort_unstable();
    assert_eq!(names, ["b", "n"]);
    assert_eq!(private.as_ref().unwrap_err().code(), Some(ErrorCode::NO_AUTH));
    assert!(matches!(empty, Ok(Read::Data(data, _)) if data.is_empty()));
    assert_eq!(client.reads().send().await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_invalid_path_sends_nothing_and_an_old_server_is_named_as_the_reason() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    let error = client.reads().get("/a").children("b").send().await.unwrap_err();
    assert!(matches!(&error, Error::InvalidPath { op: "getChildren", path, .. } if path == "b"), "{error}");

    let _old = zk.fault(On::op_named("multiRead").unwrap(), Then::fail(ErrorCode::UNIMPLEMENTED));
    let error = client.reads().get("/").send().await.unwrap_err();
    assert!(error.to_string().ends_with("need a server of version 3.6 or later"), "{error}");
}
