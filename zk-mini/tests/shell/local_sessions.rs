//! Sessions that one server alone knows, by the handle of a test.

use std::time::Duration;

use zk_mini::ZkMini;

use crate::raw::Raw;

#[tokio::test]
async fn a_session_of_one_server_is_listed_and_expires_on_demand() {
    let zk = ZkMini::builder().servers(3).local_sessions(true).in_memory().start().await.unwrap();
    let mut raw = Raw { stream: Box::new(zk.server(1).unwrap().connect()) };
    raw.open_session(10_000).await;
    let listed = zk.sessions();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].timeout, Duration::from_secs(10));
    assert!(listed[0].conn.is_some());

    let session = zk.session(listed[0].id).unwrap();
    assert_eq!(session.info().unwrap().id, listed[0].id);
    assert_eq!(zk.all_sessions().ids(), [listed[0].id]);
    session.freeze();
    assert!(session.info().unwrap().frozen);
    session.thaw().await;
    assert!(session.expire().await);
    assert_eq!(raw.receive().await, None);
    assert!(zk.session(listed[0].id).is_none() && zk.sessions().is_empty());
}

#[tokio::test]
async fn the_connection_of_a_session_of_one_server_is_closed_on_demand() {
    let zk = ZkMini::builder().servers(3).local_sessions(true).in_memory().start().await.unwrap();
    let mut raw = Raw { stream: Box::new(zk.server(2).unwrap().connect()) };
    raw.open_session(10_000).await;
    assert_eq!(zk.all_sessions().disconnect().await, 1);
    assert_eq!(raw.receive().await, None);
    assert_eq!((zk.sessions().len(), zk.sessions()[0].conn), (1, None));
}
