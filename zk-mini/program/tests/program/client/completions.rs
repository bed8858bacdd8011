//! Completions and manual pages.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::command;

const COMMANDS: [&str; 17] = [
    "acl",
    "completions",
    "create",
    "dump",
    "exec",
    "explain",
    "fsck",
    "get",
    "ls",
    "man",
    "rm",
    "serve",
    "set",
    "stat",
    "tail",
    "torture",
    "watch",
];

#[test]
fn each_shell_gets_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = command(&["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        for name in COMMANDS {
            assert!(script.contains(name), "{name} for {shell}");
        }
        assert!(!script.contains("replace-process"), "{shell} names a hidden command");
        if shell == "bash" {
            let mut bash =
                Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            let output = bash.wait_with_output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn bash_completes_a_command_and_its_options() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("zk-mini.bash");
    fs::write(&script, command(&["completions", "bash"]).output().unwrap().stdout).unwrap();
    let complete = |words: &str, last: &str| {
        let ask = format!(
            ". {}; COMP_WORDS=({words} {last}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _zk__mini zk-mini {last} x; echo \"${{COMPREPLY[*]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete("zk-mini", "wat").contains("watch"));
    assert!(complete("zk-mini watch", "--rec").contains("--recursive"));
}

#[test]
fn there_is_a_manual_page_for_the_program_and_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let output = command(&["man", pages.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut names: Vec<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<String> = COMMANDS.map(|name| format!("zk-mini-{name}.1")).to_vec();
    expected.push("zk-mini.1".into());
    expected.sort();
    assert_eq!(names, expected);
    let page = fs::read_to_string(pages.join("zk-mini-watch.1")).unwrap();
    assert!(page.contains("Print the changes of a node") && page.contains("recursive"), "{page}");
    let first = command(&["man"]).output().unwrap().stdout;
    assert_eq!(first, fs::read(pages.join("zk-mini.1")).unwrap());
}
