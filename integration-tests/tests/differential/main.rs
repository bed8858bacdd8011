//! The same scripts on zk-mini and on Apache ZooKeeper 3.8 and 3.9. `ci/differential` runs longer ones by hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

#[allow(dead_code, reason = "the tests of zk-mini use the rest")]
#[path = "../../../zk-mini/tests/shell/raw.rs"]
mod raw;
#[allow(dead_code, reason = "the tests of zk-mini use the rest")]
#[path = "../../../zk-mini/tests/session_stories/mod.rs"]
mod session_stories;
#[allow(dead_code, reason = "the tests of zk-mini use the rest")]
#[path = "../../../zk-mini/tests/session_stories/wire.rs"]
mod session_wire;
mod sessions;

use std::fs;
use std::path::{Path, PathBuf};

use integration_tests::differential::servers::Settings;
use integration_tests::differential::{
    Coverage, Difference, Pair, Script, Subject, access, explore, runner, servers,
};
use zk_mini::core::Compat;

/// Number of random steps of a run in CI.
const STEPS: usize = 3_000;

#[track_caller]
fn assert_none(difference: Option<Difference>) {
    if let Some(difference) = difference {
        panic!(
            "the servers differ; keep this in tests/differential/scripts when it is mended:\n{difference}"
        );
    }
}

/// Returns the kept scripts, with those of one release line.
fn scripts(compat: Compat) -> Vec<(PathBuf, Script)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let files = |dir: &str| fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
    let mut kept: Vec<_> = files("scripts").collect();
    if compat == Compat::V3_8 {
        kept.extend(files("scripts/3.8"));
    }
    let mut paths: Vec<_> = kept.iter().map(fs::DirEntry::path).filter(|path| path.is_file()).collect();
    assert!(paths.len() > 18, "the kept scripts");
    paths.push(root.join("golden.script"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a script");
        let script = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, script)
    };
    paths.into_iter().map(read).collect()
}

#[track_caller]
fn assert_kept_scripts_are_answered_alike(compat: Compat) {
    let settings = Settings::of(compat);
    let (real, mini) = (servers::real(settings).unwrap(), servers::mini(settings).unwrap());
    let mut pair = Pair::connect([real.addr(0), mini.addr()], settings.compat).unwrap();
    for (path, script) in scripts(compat) {
        eprintln!("{}", path.display());
        assert_none(pair.compare(&script));
    }
}

#[test]
fn zk_mini_answers_the_kept_scripts_as_apache_zookeeper_3_8_does() {
    assert_kept_scripts_are_answered_alike(Compat::V3_8);
}

#[test]
fn zk_mini_answers_the_kept_scripts_as_apache_zookeeper_3_9_does() {
    assert_kept_scripts_are_answered_alike(Compat::V3_9);
}

/// Runs scripts without and with nodes that have a time to live, and asserts that together they reach every operation.
#[track_caller]
fn assert_random_scripts_are_answered_alike(compat: Compat) {
    let mut coverage = Coverage::default();
    for (seed, extended_types) in [(0, false), (4, true)] {
        let settings = Settings { compat, extended_types };
        let (real, mini) = (servers::real(settings).unwrap(), servers::mini(settings).unwrap());
        let mut pair = Pair::connect([real.addr(0), mini.addr()], settings.compat).unwrap();
        assert_none(explore(&mut pair, &mut runner(seed), STEPS).err().map(|difference| *difference));
        coverage.merge(pair.coverage());
    }
    let missing = coverage.missing();
    assert!(
        missing.is_empty(),
        "the random scripts do not reach {}; give them other seeds or weights, or more steps\n{coverage}",
        missing.join(", ")
    );
}

#[test]
fn zk_mini_answers_random_scripts_as_apache_zookeeper_3_8_does() {
    assert_random_scripts_are_answered_alike(Compat::V3_8);
}

#[test]
fn zk_mini_answers_random_scripts_as_apache_zookeeper_3_9_does() {
    assert_random_scripts_are_answered_alike(Compat::V3_9);
}

#[track_caller]
fn assert_kept_table(compat: Compat, kept: &str) {
    let real = servers::real(Settings { extended_types: true, ..Settings::of(compat) }).unwrap();
    let table = access::table(real.addr(0)).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("access-{compat:?}.txt"));
    fs::write(&file, &table).unwrap();
    assert!(table == kept, "the real server has another table; it is in {}", file.display());
}

#[test]
fn the_kept_table_of_permissions_is_that_of_apache_zookeeper_3_8() {
    assert_kept_table(Compat::V3_8, include_str!("../access/3.8.txt"));
}

#[test]
fn the_kept_table_of_permissions_is_that_of_apache_zookeeper_3_9() {
    assert_kept_table(Compat::V3_9, include_str!("../access/3.9.txt"));
}

#[test]
fn two_apache_zookeepers_agree() {
    let settings = Settings::of(Compat::V3_9);
    let (one, other) = (servers::real(settings).unwrap(), servers::real(settings).unwrap());
    let mut pair = Pair::connect([one.addr(0), other.addr(0)], settings.compat).unwrap();
    assert_none(explore(&mut pair, &mut runner(0), STEPS / 2).err().map(|difference| *difference));
}

#[test]
fn a_small_script_shows_a_server_with_another_setting() {
    let plain = Settings::of(Compat::V3_8);
    let extended = Settings { extended_types: true, ..plain };
    let (real, other) = (servers::real(plain).unwrap(), servers::real(extended).unwrap());
    let mut pair = Pair::connect([real.addr(0), other.addr(0)], plain.compat).unwrap();
    let difference = explore(&mut pair, &mut runner(0), STEPS).expect_err("nodes with a time to live");
    assert!(difference.script.steps.len() <= 4, "not small:\n{difference}");
    let shown = difference.to_string();
    assert!(shown.contains("error -6"), "another difference:\n{shown}");
}

#[test]
fn a_replayed_script_gives_the_same_transcript() {
    let mini = servers::mini(Settings::of(Compat::V3_9)).unwrap();
    let mut subject = Subject::connect(mini.addr()).unwrap();
    let (path, golden) = &scripts(Compat::V3_9)[0];
    assert!(path.ends_with("golden.script"));
    let first = subject.run(golden).unwrap();
    assert_eq!(subject.run(golden).unwrap().to_string(), first.to_string());
}
