//! `zk-mini explain`: who created, changed and deleted a node, and why.

use std::fmt::{self, Display};

use clap::Args;
use serde_json::Value;

use super::error::{ClientError, STATUSES};
use super::http::{HttpArgs, connect, encoded};
use super::output::{Output, Visible};
use super::session::{check, runtime};
use super::time::readable;

/// Say who created, changed and deleted a node, and why
///
/// The node need not exist any more: a line for each change, oldest first, with
/// time (UTC), zxid and reason, as far as the server's history reaches. Only
/// zk-mini keeps a history; it is asked over HTTP, at its ZooKeeper port.
///
/// JSON: {"path","exists","history":[{"zxid","time","what","session","client","xid",
/// "because"}]}; what is created, changed or deleted.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct ExplainArgs {
    /// The node
    path: String,

    #[command(flatten)]
    http: HttpArgs,
}

pub(crate) fn run(args: &ExplainArgs) -> Result<(), ClientError> {
    check(&args.path)?;
    runtime()?.block_on(async {
        let mut zk = connect(&args.http).await?;
        let path = encoded(&zk.apply(&args.path));
        let mut explanation = zk.json(&format!("/v1/explain?path={path}")).await?;
        zk.strip(&mut explanation);
        let mut out = Output::new(args.http.json);
        out.print(&explanation, Explanation { path: &args.path, fields: &explanation })?;
        out.flush()
    })
}

/// Explanation for people.
struct Explanation<'a> {
    path: &'a str,
    fields: &'a Value,
}

impl Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exists = self.fields["exists"] == true;
        write!(f, "{} {}", Visible(self.path), if exists { "exists" } else { "does not exist" })?;
        let history = self.fields["history"].as_array().map_or(&[][..], Vec::as_slice);
        if self.fields["is_cut"] == true {
            f.write_str("\n  … earlier changes are no longer in the history")?;
        } else if history.is_empty() && exists {
            f.write_str("\n  it was there when the history began, and has not changed since")?;
        } else if history.is_empty() {
            f.write_str("\n  nothing in the history has to do with it")?;
        }
        history.iter().try_for_each(|change| {
            let text = |name: &str| change[name].as_str().unwrap_or("?");
            let (time, zxid) = (readable(text("time")), text("zxid"));
            write!(f, "\n  {time}  {zxid:<6}  {}", Visible(text("because")))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_has_a_line_for_each_change() {
        let fields = json!({"exists": false, "history": [
            {"zxid": "0x5", "time": "2026-11-28T09:41:07.120Z", "because": "created by session 0x17"},
            {"zxid": "0x9", "time": "2026-11-28T09:41:09.000Z", "because": "deleted: session 0x17 has expired"},
        ]});
        let text = Explanation { path: "/a", fields: &fields }.to_string();
        let lines = [
            "/a does not exist",
            "  2026-11-28 09:41:07.120  0x5     created by session 0x17",
            "  2026-11-28 09:41:09.000  0x9     deleted: session 0x17 has expired",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        let fields = json!({"exists": true, "history": []});
        let text = Explanation { path: "/a", fields: &fields }.to_string();
        assert!(text.ends_with("it was there when the history began, and has not changed since"), "{text}");
    }
}
