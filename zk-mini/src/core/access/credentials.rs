//! Credentials: proofs of an identity, shown without a connection.

/// Credentials of somebody, as a client's `auth` request has them.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Scheme: `digest` or `ip`.
    pub scheme: &'a str,
    /// Proof: `USER:PASSWORD` for `digest`, nothing for `ip`.
    pub secret: Option<&'a [u8]>,
}

/// Shows the scheme, not the secret.
impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Reason why credentials do not give access to a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The credentials prove nothing.
    #[error("the credentials prove no identity: use the scheme `digest` with USER:PASSWORD, or `ip`")]
    NotAuthenticated,
    /// The node's ACL does not give all that is wanted.
    #[error("the ACL of the node does not give this identity all of the permissions")]
    NotAuthorized,
    /// The node does not exist.
    #[error("the node does not exist")]
    NoNode,
}
