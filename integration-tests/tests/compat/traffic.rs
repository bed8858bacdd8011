//! Recorded ZooKeeper clients get the same bytes.

use std::collections::BTreeSet;
use std::fs;

use integration_tests::compat::record::clients;
use integration_tests::compat::recording::{Line, Recording};
use integration_tests::compat::zookeeper::{Server, replay};
use integration_tests::compat::{recorded, text};

#[test]
fn recorded_clients_get_the_recorded_answers() {
    for dir in recorded() {
        let mut replayed = BTreeSet::new();
        for entry in fs::read_dir(dir.join("traffic")).unwrap() {
            let file = entry.unwrap().path();
            let recording: Recording = text(&file).parse().unwrap();
            let server = Server::in_memory().unwrap();
            replay(&recording, &server).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            server.stop();
            replayed.insert(file.file_stem().unwrap().to_string_lossy().into_owned());
        }
        let recorded: BTreeSet<_> = clients().map(String::from).collect();
        assert_eq!(replayed, recorded, "the clients whose traffic is in {}", dir.display());
    }
}

#[test]
fn an_answer_with_another_byte_is_found() {
    let file = recorded()[0].join("traffic/time.txt");
    let recording: Recording = text(&file).parse().unwrap();
    let answers = recording.lines.iter().enumerate().filter(|(_, line)| matches!(line, Line::Received(..)));
    for (index, answer) in answers {
        let mut changed = recording.clone();
        changed.lines[index] = with_other_byte(&answer.to_string());
        let server = Server::in_memory().unwrap();
        let error = replay(&changed, &server).unwrap_err();
        assert!(error.starts_with(&format!("frame {index}, ")), "{error}");
    }
}

#[test]
fn the_end_of_a_connection_that_never_began_is_an_error() {
    let recording: Recording = "0 closed\n".parse().unwrap();
    let server = Server::in_memory().unwrap();
    assert_eq!(replay(&recording, &server).unwrap_err(), "frame 0, 0 closed: no such connection");
}

/// The line with another last digit.
fn with_other_byte(line: &str) -> Line {
    let (digits, last) = line.split_at(line.len() - 1);
    format!("{digits}{}", if last == "0" { "1" } else { "0" }).parse().unwrap()
}
