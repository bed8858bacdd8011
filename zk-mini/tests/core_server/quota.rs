//! Quotas (rule 65).

use zk_mini::core::{Config, ConnId};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

fn put(t: &mut Driver, conn: ConnId, path: &str, data: &str) -> Result<(), ErrorCode> {
    t.call(conn, &create_with(path, data.as_bytes(), CreateMode::Persistent)).map(|_| ())
}

fn with_quota(config: Config, limits: &str) -> (Driver, ConnId) {
    let mut t = Driver::with(config);
    let a = t.connect(10_000);
    put(&mut t, a, "/a", "12345").unwrap();
    put(&mut t, a, "/a/b", "1").unwrap();
    put(&mut t, a, "/zookeeper/quota/a", "").unwrap();
    put(&mut t, a, "/zookeeper/quota/a/zookeeper_limits", limits).unwrap();
    put(&mut t, a, "/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0").unwrap();
    (t, a)
}

fn stats(t: &Driver) -> String {
    let node = t.core.node("/zookeeper/quota/a/zookeeper_stats").unwrap();
    String::from_utf8(node.data.unwrap().to_vec()).unwrap()
}

#[test]
fn quota_counts_change_without_a_version() {
    let (mut t, a) = with_quota(Config::default(), "count=1,bytes=1");
    assert_eq!(stats(&t), "count=2,bytes=6", "the node itself counts, and what was sent is replaced");
    let stat = |t: &Driver| t.core.node("/zookeeper/quota/a/zookeeper_stats").unwrap().stat;
    let before = stat(&t);
    put(&mut t, a, "/a/c", "123").unwrap();
    assert_eq!(stats(&t), "count=3,bytes=9", "limits are not enforced by default");
    t.call(a, &set_data("/a/c", b"1", -1)).unwrap();
    t.call(a, &set_data("/a", b"", -1)).unwrap();
    assert_eq!(stats(&t), "count=3,bytes=2");
    t.call(a, &delete("/a/b")).unwrap();
    put(&mut t, a, "/ab", "other").unwrap();
    assert_eq!(stats(&t), "count=2,bytes=1");
    let after = stat(&t);
    assert_eq!(Stat { data_length: before.data_length, ..after }, before);
    invariants::check(&t.core);
}

#[test]
fn a_quota_without_limits_is_not_counted() {
    let (mut t, a) = with_quota(Config::default(), "count=1,bytes=1");
    t.call(a, &delete("/zookeeper/quota/a/zookeeper_limits")).unwrap();
    put(&mut t, a, "/a/c", "123").unwrap();
    assert_eq!(stats(&t), "count=2,bytes=6");
}

#[test]
fn hard_limits_are_enforced_where_configured() {
    let limits = "count=-1,bytes=-1=;byteHardLimit=8;countHardLimit=3";
    let (mut t, a) = with_quota(Config { enforce_quota: true, ..Config::default() }, limits);
    assert_eq!(put(&mut t, a, "/a/c", "123"), Err(ErrorCode::QUOTA_EXCEEDED));
    put(&mut t, a, "/a/c", "12").unwrap();
    assert_eq!(put(&mut t, a, "/a/d", ""), Err(ErrorCode::QUOTA_EXCEEDED));
    let longer = set_data("/a/c", b"123", -1);
    assert_eq!(t.call(a, &longer), Err(ErrorCode::QUOTA_EXCEEDED));
    assert!(t.call(a, &set_data("/a/c", b"21", -1)).is_ok());
    let (mut t, a) = with_quota(Config::default(), limits);
    assert_eq!(put(&mut t, a, "/a/c", "123"), Ok(()));
}

#[test]
fn requests_that_crash_zookeeper_are_answered() {
    let (mut t, a) = with_quota(Config::default(), "count=1,bytes=1");
    t.call(a, &set_data("/zookeeper/quota/a/zookeeper_stats", b"garbage", -1)).unwrap();
    put(&mut t, a, "/a/c", "123").unwrap();
    assert_eq!(stats(&t), "garbage");
    let limit = "/zookeeper/quota/zookeeper_limits";
    assert_eq!(put(&mut t, a, limit, ""), Err(ErrorCode::BAD_ARGUMENTS));
    put(&mut t, a, "/zookeeper/zookeeper_limits", "").unwrap();
    t.call(a, &delete("/zookeeper/zookeeper_limits")).unwrap();
}
