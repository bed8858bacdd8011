//! `zk-mini acl`: who may do what with a node.

use clap::Args;
use serde::Serialize;
use zk_client::{Acl, Version};

use super::error::{ClientError, STATUSES};
use super::node::{StatFields, Written};
use super::parse::{AclList, acl, acl_text, expected, version};
use super::session::{ServerArgs, with_session};

/// Print the ACL of a node, or set it
///
/// An entry is SCHEME:ID:PERMISSIONS, one on each line. The permissions are r (read
/// data, list children), w (set data), c (create children), d (delete children) and
/// a (set the ACL). The schemes are
///   world:anyone            everybody
///   digest:USER:HASH        who gives digest:USER:PASSWORD in ZK_AUTH
///   auth:                   every identity that you give yourself, as in auth::cdrwa
///   ip:ADDRESS[/BITS]       clients of this address
/// The ACL of a node says nothing about the nodes below it.
///
/// JSON: {"path","acl":[{"perms","scheme","id"}],"stat"}, perms as a number; with
/// --set {"path","stat"}.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = STATUSES)]
pub(crate) struct AclArgs {
    /// The node
    path: String,

    /// New ACL, in place of the whole present one
    #[arg(long, value_name = "SCHEME:ID:PERMISSIONS[,…]", value_parser = acl)]
    set: Option<AclList>,

    /// Version that the ACL must have: the aversion of `zk-mini stat`
    #[arg(long, value_name = "N", value_parser = version, requires = "set")]
    version: Option<Version>,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Node<'a> {
    path: &'a str,
    acl: Vec<Entry<'a>>,
    stat: StatFields,
}

#[derive(Serialize)]
struct Entry<'a> {
    perms: i32,
    scheme: &'a str,
    id: &'a str,
}

impl<'a> From<&'a Acl> for Entry<'a> {
    fn from(acl: &'a Acl) -> Self {
        Self { perms: acl.perms.0, scheme: &acl.scheme, id: &acl.id }
    }
}

pub(crate) fn run(args: &AclArgs) -> Result<(), ClientError> {
    with_session(&args.server, &args.path, async |session, out| {
        let path = &args.path;
        if let Some(AclList(acl)) = &args.set {
            let stat = session.ask(session.client.set_acl(path, acl, expected(args.version))).await?;
            let text = format_args!("version {}", stat.aversion);
            return out.print(&Written { path, stat: StatFields::from(&stat) }, text);
        }
        session.catch_up().await?;
        let (acl, stat) = session.read(|| session.client.acl(path)).await?;
        let text = acl.iter().map(acl_text).collect::<Vec<_>>().join("\n");
        let acl = acl.iter().map(Entry::from).collect();
        out.print(&Node { path, acl, stat: StatFields::from(&stat) }, text)
    })
}
