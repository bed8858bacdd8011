//! Commands that are no clients at all: the runner must stay sober with each of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use zk_mini_torture::{Error, Report, Torture, Verdict, days};

async fn run(script: &str, only: &[&str]) -> Report {
    let torture = Torture::new(["sh", "-c", script]).only(only.iter().copied());
    torture.ready_limit(Duration::from_millis(500)).run().await.unwrap()
}

/// Plays one day, which cannot be run, and returns the reason with the story.
async fn reason(script: &str, day: &str) -> String {
    let report = run(script, &[day]).await;
    let finding = report.findings.into_iter().next().unwrap();
    assert_eq!(finding.verdict, Verdict::NotRun, "{finding}");
    finding.to_string()
}

#[tokio::test]
async fn a_command_that_never_speaks_is_reported_with_the_end_of_its_standard_error() {
    let script = "for n in $(seq 100); do echo line $n >&2; done; sleep 60";
    let text = reason(script, "register-good-day").await;
    assert!(text.contains("alpha has not said one line that the contract knows"), "{text}");
    assert!(text.contains("standard error: line 100") && !text.contains("line 50"), "{text}");
}

#[tokio::test]
async fn a_command_that_ends_by_itself_is_reported_with_its_status() {
    let text = reason("echo no such option >&2; exit 3", "discover-good-day").await;
    assert!(text.contains("exit status: 3") && text.contains("standard error: no such option"), "{text}");
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_reported() {
    let report = Torture::new(["/no/such/command"]).only(["lock-good-day"]).run().await.unwrap();
    assert_eq!(report.findings[0].verdict, Verdict::NotRun);
    assert!(report.to_string().contains("the command cannot be started: No such file"), "{report}");
}

#[tokio::test]
async fn a_claim_without_a_node_is_not_believed() {
    let text = reason("echo '{\"registered\": true}'; sleep 60", "register-good-day").await;
    assert!(text.contains("alpha was not registered") && text.contains("alpha says: registered"), "{text}");
}

#[tokio::test]
async fn a_command_that_speaks_without_end_is_ended() {
    let text = reason("while :; do echo '{\"held\": false}'; done", "lock-good-day").await;
    assert!(text.contains("alpha was not the holder") || text.contains("was ended after"), "{text}");
}

#[tokio::test]
async fn output_that_is_no_claim_is_noise() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; printf '\\377\\n{\"held\"\\n'; sleep 60";
    let text = reason(script, "lock-good-day").await;
    assert!(text.contains("has not said one line that the contract knows"), "{text}");
}

#[tokio::test]
async fn a_role_that_is_not_played_is_not_judged() {
    let report = run("exit 77", &[]).await;
    assert_eq!(report.findings.len(), days().len());
    assert_eq!(report.named(Verdict::NotPlayed).count(), days().len());
    let one_role = r#"[ "$ZK_MINI_ROLE" = lock ] || exit 77; echo sorry >&2; exit 1"#;
    let report = run(one_role, &[]).await;
    assert!(report.named(Verdict::NotRun).all(|name| {
        report
            .findings
            .iter()
            .any(|finding| finding.day.name == name && finding.day.role == zk_mini_torture::Role::Lock)
    }));
    assert!(report.named(Verdict::NotRun).count() > 1, "{report}");
}

#[tokio::test]
async fn processes_that_the_command_has_started_end_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("sleep 300 & echo $! > {0}.new; mv {0}.new {0}; exit 3", file.display());
    reason(&script, "register-good-day").await;
    let pid = fs::read_to_string(&file).unwrap();
    let lives = || {
        let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z")
    };
    let gone = async {
        while lives() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the sleeper is killed");
}

#[tokio::test]
async fn a_wrong_name_and_an_empty_command_are_errors() {
    let unknown = Torture::new(["true"]).known(["no-such-day"]).run().await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no day \"no-such-day\": `zk-mini torture --list` names them all"
    );
    let empty = Torture::new(Vec::<String>::new()).run().await.unwrap_err();
    assert!(matches!(empty, Error::NoCommand));
}

#[test]
fn each_day_has_a_name_of_its_own_and_all_of_its_texts() {
    let mut names: Vec<_> = days().iter().map(|day| day.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for day in days() {
        assert!(![day.name, day.plays, day.requires, day.why].contains(&""), "{}", day.name);
    }
}

#[tokio::test]
async fn a_report_is_one_object_of_json() {
    let report = run("exit 77", &["kill-is-noticed"]).await;
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["days"][0]["name"], "register-good-day");
    assert_eq!(json["days"][1]["verdict"], "not played");
}
