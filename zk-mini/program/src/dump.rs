//! `zk-mini dump`: prints the tree in a data directory, which it only reads.

use std::io::{self, Write};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use zk_mini::TreeFile;
use zk_mini::core::{Core, ImageNode, NodeKind};
use zk_wire::Acl;

use crate::error::CliError;
use crate::offline::{Dirs, print};

/// Print the tree in a data directory
///
/// Prints one line for each node: path, data, kind unless it is persistent, and ACL
/// unless it is open to all. Strings are quoted as in JSON; data that is not UTF-8
/// is {"base64":"…"}, absent data is null, empty data is "". Trees that differ in
/// any of this print differently; versions and times are in --json only. The
/// directory may be Apache ZooKeeper's. It is only read, and a server may be
/// running on it.
///
/// With --json, prints one object on each line. The first has zxid, nodes (their
/// number) and sessions (id, timeout_ms). Each further one is a node: path, data,
/// kind (persistent, ephemeral with owner, container, ttl with ttl_ms), acl (perms
/// as a number, scheme, id), czxid, mzxid, pzxid, ctime, mtime, version, aversion
/// and created_children. Session ids and zxids are hexadecimal strings, times are
/// milliseconds since 1970.
///
/// With --yaml, prints a tree that `zk-mini serve --load` reads: paths, data, kinds
/// and ACLs.
///
/// Status: 0; 1 if there is no tree to print, with the reason.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    dirs: Dirs,

    /// Print JSON, one object on each line, with all fields of a node
    #[arg(long)]
    json: bool,

    /// Print YAML, as `zk-mini serve --load` reads it
    #[arg(long, conflicts_with = "json")]
    yaml: bool,
}

pub(crate) fn dump(args: &DumpArgs) -> Result<ExitCode, CliError> {
    let core = args.dirs.recover()?.core;
    if args.yaml {
        let tree = TreeFile::from(&core).to_yaml().map_err(CliError::Unwritten)?;
        return print(|out| out.write_all(tree.as_bytes()));
    }
    print(|out| if args.json { print_json(&core, out) } else { print_lines(&core, out) })
}

fn print_lines(core: &Core, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# zxid {}, {} nodes", core.last_zxid(), core.node_count())?;
    for session in core.sessions() {
        writeln!(out, "# session {}, timeout {}", session.id, session.timeout)?;
    }
    core.image().nodes.iter().try_for_each(|node| {
        write!(out, "{} {}", string(&node.path), data(node))?;
        match node.kind {
            NodeKind::Persistent => {}
            NodeKind::Ephemeral(session) => write!(out, " ephemeral of {session}")?,
            NodeKind::Container => write!(out, " container")?,
            NodeKind::Ttl(ttl) => write!(out, " time to live {ttl}")?,
        }
        if *node.acl != [Acl::open()] {
            write!(out, " acl {}", acl(node))?;
        }
        writeln!(out)
    })
}

fn print_json(core: &Core, out: &mut dyn Write) -> io::Result<()> {
    let sessions = core.sessions();
    let sessions = sessions
        .iter()
        .map(|session| format!(r#"{{"id":"{}","timeout_ms":{}}}"#, session.id, session.timeout.0));
    let sessions = sessions.collect::<Vec<_>>().join(",");
    let (zxid, nodes) = (core.last_zxid(), core.node_count());
    writeln!(out, r#"{{"zxid":"{zxid}","nodes":{nodes},"sessions":[{sessions}]}}"#)?;
    core.image().nodes.iter().try_for_each(|node| print_object(node, out))
}

fn print_object(node: &ImageNode, out: &mut dyn Write) -> io::Result<()> {
    write!(out, r#"{{"path":{},"data":{}"#, string(&node.path), data(node))?;
    match node.kind {
        NodeKind::Persistent => write!(out, r#","kind":"persistent""#)?,
        NodeKind::Ephemeral(session) => write!(out, r#","kind":"ephemeral","owner":"{session}""#)?,
        NodeKind::Container => write!(out, r#","kind":"container""#)?,
        NodeKind::Ttl(ttl) => write!(out, r#","kind":"ttl","ttl_ms":{}"#, ttl.0)?,
    }
    let ImageNode { czxid, mzxid, pzxid, .. } = node;
    write!(out, r#","acl":{},"czxid":"{czxid}","mzxid":"{mzxid}","pzxid":"{pzxid}""#, acl(node))?;
    let (ctime, mtime, version, aversion) = (node.ctime.0, node.mtime.0, node.version.0, node.aversion.0);
    write!(out, r#","ctime":{ctime},"mtime":{mtime},"version":{version},"aversion":{aversion}"#)?;
    writeln!(out, r#","created_children":{}}}"#, node.created_children)
}

fn data(node: &ImageNode) -> String {
    let Some(data) = &node.data else { return "null".into() };
    match std::str::from_utf8(data) {
        Ok(text) => string(text),
        Err(_) => format!(r#"{{"base64":"{}"}}"#, STANDARD.encode(data)),
    }
}

fn acl(node: &ImageNode) -> String {
    let entry = |acl: &Acl| {
        let (perms, scheme, id) = (acl.perms.0, string(&acl.scheme), string(&acl.id));
        format!(r#"{{"perms":{perms},"scheme":{scheme},"id":{id}}}"#)
    };
    format!("[{}]", node.acl.iter().map(entry).collect::<Vec<_>>().join(","))
}

/// Quotes a string as in JSON; characters that a terminal does not show are escaped.
fn string(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Rust escapes it, JSON does not.
            '\'' => quoted.push(char),
            _ if char.escape_debug().len() == 1 => quoted.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_in_json_and_hidden_characters_escaped() {
        assert_eq!(string("/a b'c"), r#""/a b'c""#);
        assert_eq!(string("\"\\\n\r\t"), r#""\"\\\n\r\t""#);
        assert_eq!(string("\0\u{1b}\u{7f}\u{85}"), r#""\u0000\u001b\u007f\u0085""#);
        assert_eq!(string("é\u{202e}\u{e0001}"), r#""é\u202e\udb40\udc01""#);
    }
}
