//! Snapshots as bytes in Apache ZooKeeper's format.

use zk_mini::{Snapshot, ZkMini};
use zk_wire::{Acl, Perms};

use crate::raw::{EPHEMERAL, Raw};

async fn filled() -> (ZkMini, Raw) {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    raw.create("/e", EPHEMERAL).await;
    let own = [Acl { perms: Perms::READ, scheme: "digest".into(), id: "a:b".into() }, Acl::open()];
    zk.create("/a/b", "x").parents().acl(&own).await.unwrap();
    zk.set("/a/b", "y").await.unwrap();
    zk.create("/c", "").container().await.unwrap();
    (zk, raw)
}

#[tokio::test]
async fn bytes_are_read_as_they_were_written() {
    let (zk, _raw) = filled().await;
    let snapshot = zk.snapshot();
    let bytes = snapshot.to_bytes().unwrap();
    assert!(bytes.starts_with(b"ZKSN\0\0\0\x02"));
    let read = Snapshot::from_bytes(bytes.clone()).unwrap();
    assert_eq!(read.to_bytes().unwrap(), bytes);
    assert_eq!(format!("{read:?}"), format!("{snapshot:?}"));
    let other = ZkMini::builder().in_memory().start().await.unwrap();
    other.restore(&read).await.unwrap();
    for path in ["/", "/a", "/a/b", "/c", "/e"] {
        assert_eq!((other.get(path), other.acl(path)), (zk.get(path), zk.acl(path)), "{path}");
    }
    assert_eq!(other.sessions()[0].id, zk.sessions()[0].id);
}

#[tokio::test]
async fn damaged_bytes_are_refused() {
    let (zk, _raw) = filled().await;
    let bytes = zk.snapshot().to_bytes().unwrap();
    for len in 0..bytes.len() {
        // It may end behind a seal: the parts behind it are optional.
        if let Ok(read) = Snapshot::from_bytes(bytes.slice(..len)) {
            assert_eq!(read.node_count(), zk.snapshot().node_count());
        }
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x10;
        let error = Snapshot::from_bytes(damaged).unwrap_err();
        assert!(error.to_string().contains("at byte"), "{error}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    Snapshot::from_bytes(longer).unwrap_err();
    let error = Snapshot::from_bytes(&b"\x1f\x8b\x08"[..]).unwrap_err();
    assert!(error.reason.contains("decompress"), "{error}");
}

#[tokio::test]
async fn whole_bytes_that_are_no_tree_are_refused() {
    let (zk, _raw) = filled().await;
    let bytes = zk.snapshot().to_bytes().unwrap();
    for (from, to, reason) in [
        ("/a/b", "/x/b", "before its parent"),
        ("/a/b", "/a/.", "component"),
        ("/a/b", "/c\0\0", "forbidden"),
        ("/a/b", "zookeeper", ""),
    ] {
        let mut changed = bytes.to_vec();
        let at = changed.windows(4).position(|window| window == from.as_bytes()).unwrap();
        changed[at..at + 4].copy_from_slice(&to.as_bytes()[..4]);
        seal(&mut changed);
        let error = Snapshot::from_bytes(changed).unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
    }
}

/// Writes the seals again: behind the nodes, the digest, and the zxid.
fn seal(bytes: &mut Vec<u8>) {
    const END: usize = 8 + 5;
    const DIGEST: usize = 8 + 12;
    bytes.truncate(bytes.len() - 8 - END - DIGEST - END);
    let sealed = bytes.len() - END;
    let sum = adler(&bytes[..sealed]);
    bytes[sealed..sealed + 8].copy_from_slice(&u64::from(sum).to_be_bytes());
}

fn adler(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    high << 16 | low
}
