//! Settings of access: who may authenticate how, and who must.

use std::sync::Arc;

use crate::builder::Builder;
use crate::core::{AuditRecord, SaslUsers};
use crate::error::Error;
use crate::shell::state::AuditSink;

/// Access.
impl Builder {
    /// Sets `skipACL`: access control lists are stored but not checked.
    pub fn skip_acl(mut self, skip: bool) -> Self {
        self.core.skip_acl = skip;
        self
    }

    /// Sets `DigestAuthenticationProvider.superDigest`, the digest id that has all permissions, such as
    /// `super:D/InIHSb7yEEbrWz8b9l71RjZJU=` for the password `test`. Unless set, no id has them.
    pub fn super_digest(mut self, id: impl Into<String>) -> Self {
        self.core.super_digest = Some(id.into());
        self
    }

    /// Adds a user who can authenticate with SASL, by the mechanism DIGEST-MD5, as `user_NAME="PASSWORD"` in the section
    /// `Server` of a JAAS file does; and knows the scheme `sasl` in ACLs. Unless set, the server has no SASL. Kerberos, the
    /// other mechanism of ZooKeeper, is not supported.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().sasl_user("bob", "secret").require_auth(["sasl"]).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sasl_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.core.sasl_users.get_or_insert_default().insert(name, password);
        self
    }

    /// Adds users, as [`sasl_user`](Self::sasl_user) does. With none at all, the server has SASL, and nobody can authenticate.
    pub fn sasl_users(mut self, users: SaslUsers) -> Self {
        self.core.sasl_users.get_or_insert_default().extend(users);
        self
    }

    /// Sets whether the scheme `sasl` is known in ACLs; unless set, it is if there are SASL users. Apache ZooKeeper knows it
    /// if its `authProvider` is configured, whether there are users or not.
    pub fn sasl_scheme(mut self, known: bool) -> Self {
        self.sasl_scheme = Some(known);
        self
    }

    /// Sets `superUser`: adds a SASL user who has all permissions.
    pub fn sasl_super_user(mut self, name: impl Into<String>) -> Self {
        self.core.sasl_super_users.push(name.into());
        self
    }

    /// Sets `letAnySaslUserDoX`: what ACLs allow this SASL user, they allow every other one, too. Unless set, they do not.
    pub fn let_any_sasl_user_do(mut self, name: impl Into<String>) -> Self {
        self.core.any_sasl_user = Some(name.into());
        self
    }

    /// Sets `allowSaslFailedClients`: a client that fails to authenticate with SASL keeps its connection, without the
    /// identity. It has no effect if SASL is [required](Self::require_auth).
    pub fn allow_sasl_failed_clients(mut self, allow: bool) -> Self {
        self.core.allow_sasl_failed_clients = allow;
        self
    }

    /// Sets `enforce.auth.schemes`: a connection must have an identity of one of these schemes before its first request;
    /// otherwise it gets "session closed: the server requires SASL authentication", code -124, and is closed. Its session lives
    /// on. `sessionRequireClientSASLAuth` is the same with `sasl`. Every connection has an identity of `ip`. Unless set, and
    /// with an empty list, connections need not authenticate.
    pub fn require_auth<S: Into<String>>(mut self, schemes: impl IntoIterator<Item = S>) -> Self {
        self.core.required_schemes = schemes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets `audit.enable`: `write` gets a record of each change that a client asks for, done or refused, and of each ephemeral node
    /// that goes with its session, before anybody hears of it; with a [`data_dir`](Self::data_dir), when it is durable. So it
    /// does of what is written without a session: by a [`Handle`](crate::Handle), and by HTTP. A
    /// [restore](crate::Handle::restore) and a [reset](crate::Handle::reset) replace the whole tree without a record. Of several
    /// [`servers`](Self::servers) each records the changes of its own clients, and one of them the ephemeral nodes. The function
    /// is called while the server is locked: it must be quick, and not use the server.
    pub fn audit(mut self, write: impl Fn(&AuditRecord) + Send + Sync + 'static) -> Self {
        self.audit = Some(AuditSink(Arc::new(write)));
        self.core.audit = true;
        self
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    fn has_tls(&self) -> bool {
        false
    }

    /// Checks these settings, and sets what follows from them.
    pub(super) fn check_access(&mut self) -> Result<(), Error> {
        let mut names = self.core.sasl_users.iter().flat_map(SaslUsers::names);
        if let Some(name) = names.find(|name| name.contains('@')) {
            return Err(Error::SaslUser { name: name.into() });
        }
        self.core.sasl_scheme = self.sasl_scheme.unwrap_or(self.core.sasl_users.is_some());
        let is_known = |scheme: &str| match scheme {
            "digest" | "ip" => true,
            "sasl" => self.core.sasl_scheme,
            "x509" => self.has_tls(),
            _ => false,
        };
        match self.core.required_schemes.iter().find(|scheme| !is_known(scheme)) {
            Some(scheme) => Err(Error::UnknownScheme { scheme: scheme.clone() }),
            None => Ok(()),
        }
    }
}
