//! The client of `zkCli.sh` with a script on its standard input, and its output by command.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use integration_tests::ensemble::{JVM_OPTIONS, Release};
use integration_tests::process::Process;

const MAIN_CLASS: &str = "org.apache.zookeeper.ZooKeeperMain";

/// Maximum time for a script. A hundred commands take a second; a busy machine takes longer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Answer of the client to a read of a missing node, which is put between two commands of the script.
const MARK: &str = "Node does not exist: /line/";

/// Returns the commands of a script, without its comments.
pub(crate) fn commands(script: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(String::from).collect()
}

/// Output of the client, without values that differ from run to run.
pub(crate) struct Transcript {
    /// Commands with their answers; the last entry is the end of the program.
    steps: Vec<(String, Vec<String>)>,
    /// Events of watches, in order. Another thread prints them, so they may appear anywhere between the answers.
    events: Vec<String>,
}

impl Transcript {
    /// Runs the commands with one client on a server.
    ///
    /// # Panics
    /// If the client is not installed or does not end.
    #[track_caller]
    pub(crate) fn record(release: Release, server: SocketAddr, commands: &[String]) -> Self {
        let jars = release.directory();
        assert!(jars.exists(), "{} is needed and missing: run ci/setup", jars.display());
        let dir = tempfile::tempdir().unwrap();
        let server = server.to_string();
        let typed = commands.iter().enumerate().map(|(n, command)| {
            let command = command.replace("@SERVER@", &server);
            format!("{command}\nstat /line/{n}\n")
        });
        let input = dir.path().join("input");
        fs::write(&input, typed.collect::<String>()).unwrap();

        // Both outputs in one pipe: an answer may be on either, and their order matters.
        let script = r#"input=$0; exec java "$@" 2>&1 <"$input""#;
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .arg(&input)
            .args(JVM_OPTIONS)
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=off");
        command.arg("-cp").arg(jars.join("*")).args([MAIN_CLASS, "-server", &server]).stdin(Stdio::null());
        command.env("TZ", "UTC").current_dir(dir.path());
        let mut client = Process::start(&mut command);
        let status = client.wait_for(TIMEOUT);
        let mut transcript = Self::parse(&client.stdout(), &server, commands);
        transcript.steps.push((format!("the end: {status}"), Vec::new()));
        transcript
    }

    fn parse(output: &str, server: &str, commands: &[String]) -> Self {
        let mut transcript = Self { steps: Vec::new(), events: Vec::new() };
        let mut answer = Vec::new();
        for line in output.lines() {
            if let Some(n) = line.strip_prefix(MARK).and_then(|n| n.parse::<usize>().ok()) {
                let answer = in_order(&commands[n], std::mem::take(&mut answer));
                transcript.steps.push((commands[n].clone(), answer));
            } else if line.starts_with("WatchedEvent state:Closed ") {
                // Printed by the thread of an ended session, at any time.
            } else if line.starts_with("WatchedEvent ") {
                transcript.events.push(line.into());
            } else if !line.is_empty() && line != "WATCHER::" && !line.starts_with("SLF4J: ") {
                answer.push(normalized(line, server));
            }
        }
        transcript.steps.push(("after the last answer".into(), answer));
        transcript
    }

    /// Returns true if the client has answered a command.
    pub(crate) fn answers(&self, command: &str) -> bool {
        self.steps.iter().any(|(answered, _)| answered == command)
    }

    /// Returns the names in the list of commands that the client prints.
    pub(crate) fn usage(&self) -> impl Iterator<Item = &str> {
        let lines = self.steps.iter().flat_map(|(_, answer)| answer);
        lines.filter_map(|line| line.strip_prefix('\t')?.split(' ').next())
    }

    /// Returns the differences from another transcript, as lines to print.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (n, (command, answer)) in self.steps.iter().enumerate() {
            match other.steps.get(n) {
                Some(step) if *step == (command.clone(), answer.clone()) => {}
                Some((_, theirs)) => differences.push(difference(command, answer, theirs)),
                None => differences.push(difference(command, answer, &["(nothing)".into()])),
            }
        }
        if self.events != other.events {
            differences.push(difference("events", &self.events, &other.events));
        }
        differences
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (command, answer) in &self.steps {
            writeln!(f, "> {command}")?;
            answer.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        writeln!(f, "events:")?;
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

fn difference(what: &str, ours: &[String], theirs: &[String]) -> String {
    let signed = |sign: &str, lines: &[String]| -> String {
        lines.iter().map(|line| format!("\n{sign} {line}")).collect()
    };
    format!("> {what}{}{}", signed("-", ours), signed("+", theirs))
}

/// Replaces addresses, times and session ids.
fn normalized(line: &str, server: &str) -> String {
    let line = line.replace(server, "SERVER");
    match line.split_once(" = ") {
        Some((name @ ("ctime" | "mtime"), time)) if !time.ends_with(" 1970") => format!("{name} = TIME"),
        Some((name @ "ephemeralOwner", owner)) if owner != "0x0" => format!("{name} = SESSION"),
        _ => line,
    }
}

/// Sorts two answers that the real server gives in the order of hashes.
fn in_order(command: &str, mut answer: Vec<String>) -> Vec<String> {
    match command.split(' ').next() {
        Some("whoami") => answer.sort(),
        Some("getEphemerals") => {
            for line in &mut answer {
                if let Some(paths) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                    let mut paths: Vec<&str> = paths.split(", ").collect();
                    paths.sort_unstable();
                    *line = format!("[{}]", paths.join(", "));
                }
            }
        }
        _ => {}
    }
    answer
}
