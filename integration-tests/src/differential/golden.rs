//! Recorder of exchanges for the golden frames of `zk-wire`, in the format that its `tests/wire/golden.rs` reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use zk_wire::{Decode, OpCode, ReplyHeader, Xid};

use super::script::{Action, Script};
use super::text::hex;
use super::{Subject, Transcript};

/// Runs a script, and writes the frames of each step behind a comment `#= NAME [malformed|lenient]` to `NAME.txt` in `dir`.
///
/// # Errors
/// If the script cannot be parsed, the server fails, or a file cannot be written.
pub fn record(subject: &mut Subject, version: &str, script: &str, dir: &Path) -> io::Result<Transcript> {
    let labels = labels(script);
    let script: Script = script.parse().map_err(io::Error::other)?;
    let mut frames: BTreeMap<usize, Vec<(bool, Vec<u8>)>> = BTreeMap::new();
    let transcript = subject.run_observed(&script, |step, received, frame| {
        frames.entry(step).or_default().push((received, frame.to_vec()));
    })?;
    for (index, label) in labels {
        let (name, reads) = label.split_once(' ').unwrap_or((label, ""));
        let step = &script.steps[index];
        let mut text = format!("# Recorded from Apache ZooKeeper {version}.\n# {step}\n");
        for (received, frame) in frames.get(&index).into_iter().flatten() {
            text.push_str(&kind(&step.action, *received, frame, reads));
            text.push('\n');
            text.push_str(&dump(frame));
        }
        fs::write(dir.join(format!("{name}.txt")), text)?;
    }
    Ok(transcript)
}

/// Returns the labels of a script by the index of their step.
fn labels(script: &str) -> BTreeMap<usize, &str> {
    let mut labels = BTreeMap::new();
    let mut step = 0;
    for line in script.lines().filter(|line| !line.is_empty()) {
        if let Some(label) = line.strip_prefix("#= ") {
            labels.insert(step, label);
        } else if !line.starts_with('#') {
            step += 1;
        }
    }
    labels
}

fn kind(action: &Action, received: bool, frame: &[u8], reads: &str) -> String {
    let header = ReplyHeader::decode(&mut frame.to_vec().into(), "header");
    let is_event = header.is_ok_and(|header| header.xid == Xid::NOTIFICATION);
    let is_connect =
        matches!(action, Action::Connect(_) | Action::Request { op: OpCode::CREATE_SESSION, .. });
    match (is_connect, received) {
        (true, true) => "connect response".into(),
        (true, false) => "connect request".into(),
        (false, true) if is_event => "event".into(),
        (false, true) => "reply".into(),
        (false, false) => format!("request {reads}").trim_end().into(),
    }
}

/// Formats sixteen bytes a line, in hexadecimal groups of four and as text.
fn dump(frame: &[u8]) -> String {
    let mut text = String::new();
    for line in frame.chunks(16) {
        let groups: Vec<_> = line.chunks(4).map(hex).collect();
        let printable = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
        let ascii: String = line.iter().map(printable).collect();
        text.push_str(&format!("  {:35} |{ascii}|\n", groups.join(" ")));
    }
    text
}
