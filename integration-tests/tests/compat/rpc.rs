//! Recorded RPC clients get the same answers, and today's client understands the recorded server.

use integration_tests::compat::recording::Recording;
use integration_tests::compat::rpc::{RecordedServer, RunningService, converse, replay};
use integration_tests::compat::{recorded, text};
use rpc_client::Format;

#[test]
fn recorded_clients_get_the_recorded_answers() {
    for dir in recorded() {
        for name in ["json", "postcard", "python", "uncommon"] {
            let file = dir.join("rpc").join(format!("{name}.txt"));
            let recording: Recording = text(&file).parse().unwrap();
            let mut server = RunningService::start().unwrap();
            replay(&recording, &mut server).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

#[test]
fn the_client_understands_a_recorded_server() {
    for dir in recorded() {
        for (name, format) in [("json", Format::JSON), ("postcard", Format::POSTCARD)] {
            let file = dir.join("rpc").join(format!("{name}.txt"));
            let server = RecordedServer::start(text(&file).parse().unwrap()).unwrap();
            let held = converse(server.addr(), format, |act| server.act(act));
            let played = server.finish();
            played.and(held).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

#[test]
fn another_byte_is_found_on_either_side() {
    let text = text(&recorded()[0].join("rpc/json.txt"));
    // The end of "no such order", and of the argument "kept" in the request.
    let answer = text.replacen("6f72646572\n", "6f72646573\n", 1);
    let request = text.replacen("226b65707422\n", "226b65707522\n", 1);
    assert!(answer != text && request != text);

    let mut server = RunningService::start().unwrap();
    let error = replay(&answer.parse().unwrap(), &mut server).unwrap_err();
    assert!(error.contains("the server answers 12"), "{error}");

    let server = RecordedServer::start(request.parse().unwrap()).unwrap();
    // The client does not know that its request is not the recorded one: it is left without an answer.
    let held = converse(server.addr(), Format::JSON, |act| server.act(act));
    let error = server.finish().unwrap_err();
    assert!(held.is_err() && error.contains("the client sends 10"), "{error}");
}
