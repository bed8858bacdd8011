//! The command line client of each release of Apache ZooKeeper prints the same for the same commands on zk-mini and on Apache
//! ZooKeeper.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod client;

use integration_tests::differential::servers::{self, Settings};
use integration_tests::ensemble::Release;
use zk_mini::core::Compat;

use client::Transcript;

const COMMANDS: &str = include_str!("commands.txt");
const TIME_TO_LIVE: &str = include_str!("time-to-live.txt");

#[track_caller]
fn assert_same_output(settings: Settings, script: &str) {
    let commands = client::commands(script);
    // One after the other, so that at most two JVMs run at a time.
    let real = {
        let server = servers::real(settings).unwrap();
        Transcript::record(settings.release(), server.addr(0), &commands)
    };
    let mini = {
        let server = servers::mini(settings).unwrap();
        Transcript::record(settings.release(), server.addr(), &commands)
    };
    // Some arguments end the client; the script must have none of them.
    let last = commands.last().expect("a script");
    assert!(real.answers(last), "the client has not reached {last:?}\n{real}");
    let differences = real.differences(&mini);
    assert!(differences.is_empty(), "the servers differ (- real, + zk-mini)\n{}", differences.join("\n"));
}

#[test]
fn the_java_client_prints_on_zk_mini_what_it_prints_on_apache_zookeeper_3_8() {
    assert_same_output(Settings::of(Compat::V3_8), COMMANDS);
}

#[test]
fn the_java_client_prints_on_zk_mini_what_it_prints_on_apache_zookeeper_3_9() {
    assert_same_output(Settings::of(Compat::V3_9), COMMANDS);
}

#[test]
fn the_java_client_prints_the_same_of_nodes_with_a_time_to_live() {
    assert_same_output(Settings { extended_types: true, ..Settings::of(Compat::V3_9) }, TIME_TO_LIVE);
}

#[test]
fn every_command_of_the_java_client_is_in_the_script() {
    let commands = client::commands(COMMANDS);
    let server = servers::mini(Settings::of(Compat::V3_9)).unwrap();
    // The client answers an unknown command with the list of known ones.
    let help = Transcript::record(Release::V3_9, server.addr(), &["help".into()]);
    let known: Vec<&str> = help.usage().collect();
    assert!(known.len() > 25, "not the list of commands: {known:?}\n{help}");
    for name in known {
        let is_typed = commands.iter().any(|command| command.split(' ').next() == Some(name));
        // `quit` would end the client.
        assert!(is_typed || name == "quit", "{name} is not in tests/zkcli/commands.txt");
    }
}
