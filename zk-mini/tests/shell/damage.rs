//! Damage of one bit or one sector, anywhere in a log or a snapshot: it is noticed, or nothing is missing.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use tempfile::TempDir;
use zk_mini::core::Image;
use zk_mini::storage::{StorageError, recover};
use zk_mini::{Builder, ZkMini};

use crate::raw::{CREATE, Raw, SET_DATA, create, frame, request, set_data};

const SECTOR: usize = 512;

/// Content of a directory, with the offset of the last write to it: damage behind it may look like a crash.
struct Written {
    dir: TempDir,
    state: Image,
    last_log: PathBuf,
    last_group: usize,
}

fn server(dir: &Path) -> Builder {
    // A log is then as long as its content.
    let block = NonZeroU64::new(1).unwrap();
    ZkMini::builder().in_memory().seed(7).manual_clock().data_dir(dir).pre_alloc_size(block)
}

/// Returns the logs, or the snapshots, of a directory, oldest first.
fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("version-2")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.file_stem().is_some_and(|stem| stem == kind)).collect();
    let number =
        |file: &PathBuf| u64::from_str_radix(file.extension().unwrap().to_str().unwrap(), 16).unwrap();
    files.sort_unstable_by_key(number);
    files
}

/// Runs servers on a directory that create and change groups of nodes, with much data and little, some of it zeros.
async fn written(rng: &mut Rng) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let (mut last_log, mut last_group) = (PathBuf::new(), 0);
    for life in 0..3 {
        let zk = server(dir.path()).start().await.unwrap();
        let mut raw = Raw::with_session(&zk, 10_000).await;
        for group in 0..rng.usize(4..9) {
            last_log = files(dir.path(), "log").pop().unwrap();
            last_group = fs::metadata(&last_log).unwrap().len().try_into().unwrap();
            let path = format!("/n-{life}-{group}");
            let data = vec![rng.choice([0, 0, 1, 255]).unwrap(); rng.usize(0..2_500)];
            let mut frames = vec![request(1, CREATE, &create(&path, 0))];
            frames.extend((0..rng.i32(0..3)).map(|n| request(2 + n, SET_DATA, &set_data(&path, &data))));
            raw.write(&frames.iter().flat_map(|body| frame(body)).collect::<Vec<_>>()).await;
            for _ in &frames {
                assert_eq!(raw.reply().await.err, 0);
            }
        }
        drop(raw);
        zk.stop().await;
    }
    // A killed server leaves its log like this.
    let mut content = fs::read(&last_log).unwrap();
    content.resize(content.len() + rng.usize(0..2) * 4_096, 0);
    fs::write(&last_log, content).unwrap();
    let state = recover(dir.path(), None).unwrap().core.image();
    Written { dir, state, last_log, last_group }
}

/// Damages a file. Returns the first byte that may have changed, and a description.
fn damage(content: &mut [u8], rng: &mut Rng) -> (usize, String) {
    if rng.bool() {
        let (byte, bit) = (rng.usize(0..content.len()), rng.u8(0..8));
        content[byte] ^= 1 << bit;
        return (byte, format!("bit {bit} of byte {byte}"));
    }
    let sectors = content.len().div_ceil(SECTOR);
    let start = rng.usize(0..sectors) * SECTOR;
    let end = content.len().min(start + SECTOR);
    let kind = rng.choice(["zeros", "ones", "noise", "another sector"]).unwrap();
    let other = content[rng.usize(0..content.len().div_ceil(SECTOR)) * SECTOR..].to_vec();
    for (at, byte) in content[start..end].iter_mut().enumerate() {
        *byte = match kind {
            "zeros" => 0,
            "ones" => 255,
            "noise" => rng.u8(..),
            _ => other.get(at).copied().unwrap_or(0),
        };
    }
    (start, format!("{kind} from byte {start} to {end}"))
}

/// Tries `count` damages, a hundred to a directory. Returns the numbers of those that were noticed, harmless, and
/// like a crash.
async fn tried(count: usize, rng: &mut Rng) -> [usize; 3] {
    const BY_DIRECTORY: usize = 100;
    let mut seen = [0; 3];
    for round in 0..count {
        let Written { dir, state, last_log, last_group } = &written(rng).await;
        let all = [files(dir.path(), "log"), files(dir.path(), "snapshot")].concat();
        for _ in 0..BY_DIRECTORY.min(count - round * BY_DIRECTORY) {
            // Half of them are where it matters most.
            let file = if rng.bool() { last_log } else { &all[rng.usize(0..all.len())] };
            let whole = fs::read(file).unwrap();
            let mut content = whole.clone();
            let (byte, what) = damage(&mut content, rng);
            fs::write(file, content).unwrap();
            // A crash flips no single bit.
            let may_be_a_crash = file == last_log && byte + SECTOR > *last_group && !what.starts_with("bit");
            let case = format!("{what}, {} of {}, last write at {last_group}", file.display(), whole.len());
            match recover(dir.path(), None) {
                Err(StorageError::Log { file: named, .. }) => {
                    assert_eq!(&named, file, "{case}");
                    seen[0] += 1;
                }
                Err(_) => seen[0] += 1,
                Ok(recovery) if recovery.core.image() == *state => seen[1] += 1,
                Ok(recovery) => {
                    assert!(
                        may_be_a_crash && recovery.core.last_zxid() < state.last_zxid,
                        "{case}: {:?}",
                        recovery.torn
                    );
                    seen[2] += 1;
                }
            }
            fs::write(file, whole).unwrap();
        }
        if (round + 1) * BY_DIRECTORY >= count {
            break;
        }
    }
    seen
}

/// Tries more by hand with `DAMAGES=10000`.
#[tokio::test]
async fn one_bad_bit_or_sector_is_noticed_or_harmless_before_the_last_write() {
    let count = std::env::var("DAMAGES").map_or(1_000, |count| count.parse().unwrap());
    let [noticed, harmless, like_a_crash] = tried(count, &mut Rng::with_seed(7)).await;
    println!("{noticed} noticed, {harmless} harmless, {like_a_crash} as a crash may leave them");
    assert_eq!(noticed + harmless + like_a_crash, count);
    assert!(noticed > count / 4 && harmless > count / 10, "there were damages of all kinds");
}
