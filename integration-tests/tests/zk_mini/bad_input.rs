//! The scenario of bad input on our server, and its memory.

use integration_tests::procfs;
use integration_tests::programs::ServeProcess;
use integration_tests::raw::RawClient;
use integration_tests::scenarios::bad_input;

#[test]
fn bad_input_disturbs_no_other_client() {
    let mut zk = ServeProcess::start();
    bad_input::bad_input_disturbs_no_other_client(zk.addr());
    assert!(zk.process.terminate().success(), "{}", zk.process);
    assert!(!zk.process.stderr().contains("panicked"), "{}", zk.process);
}

#[test]
fn a_frame_length_alone_takes_no_memory() {
    let zk = ServeProcess::start();
    let before = procfs::resident_bytes(zk.process.pid()).unwrap();
    let connections: Vec<RawClient> = (0..50)
        .map(|_| {
            let mut client = RawClient::with_session(zk.addr());
            client.send(&0xf_ffff_i32.to_be_bytes()); // a megabyte that is never sent
            client.send(&[0; 100]);
            client
        })
        .collect();
    RawClient::with_session(zk.addr()).assert_works();
    let after = procfs::resident_bytes(zk.process.pid()).unwrap();
    assert!(after < before + 10_000_000, "{} connections took {before} to {after} bytes", connections.len());
}
