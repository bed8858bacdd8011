//! Options on who may authenticate with SASL, and who must authenticate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use zk_mini::{Builder, SaslUsers};

use crate::jaas::{self, BadJaas};
use crate::zoo_access::AccessKeys;

/// Section of a JAAS file with the users of a server.
const SECTION: &str = "Server";

/// Options of the commands that start a server.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Server options")]
pub(crate) struct AccessOptions {
    /// File with users of SASL, as Java reads it for Apache ZooKeeper (java.security.auth.login.config)
    ///
    /// The section `Server` has them:
    ///     Server {
    ///       org.apache.zookeeper.server.auth.DigestLoginModule required
    ///       user_bob="bobsecret";
    ///     };
    /// The mechanism is DIGEST-MD5. Kerberos is not supported.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    jaas: Option<PathBuf>,

    /// User of SASL; may be repeated. For tests: others on the machine can see the password, so prefer --jaas
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = user)]
    sasl_user: Vec<(String, String)>,

    /// User of SASL who may do everything; may be repeated
    #[arg(long, value_name = "NAME")]
    sasl_super_user: Vec<String>,

    /// Keep the connections of clients that fail to authenticate with SASL
    #[arg(long)]
    allow_sasl_failed_clients: bool,

    /// Schemes of which a client must have an identity, such as sasl,digest, before it may do anything
    #[arg(long, value_name = "SCHEMES", value_delimiter = ',')]
    require_auth: Vec<String>,
}

/// Reason why users cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("cannot read {}: {source}; --jaas takes a JAAS file", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{}: not UTF-8; --jaas takes a JAAS file", file.display())]
    NoText { file: PathBuf },
    #[error(
        "{option} is about users of SASL, and there are none: name them with --jaas FILE, or leave {option} out"
    )]
    NoUsers { option: &'static str },
    #[error("{}:{}: {}", file.display(), bad.line, bad.what)]
    Jaas { file: PathBuf, bad: BadJaas },
}

/// Settings of both sources, with the users read.
#[derive(Debug, Default)]
pub(crate) struct AuthSettings {
    users: Option<SaslUsers>,
    scheme: Option<bool>,
    super_users: Vec<String>,
    any_user: Option<String>,
    allow_failed: bool,
    required: Vec<String>,
    /// Remark for the log.
    pub(crate) remark: Option<&'static str>,
}

impl AccessOptions {
    /// Reads the users, and adds the keys of a `zoo.cfg`, if there is one. Options override keys.
    pub(crate) fn read(self, keys: Option<&AccessKeys>) -> Result<AuthSettings, AccessError> {
        let section = keys.and_then(|keys| keys.section.as_deref()).unwrap_or(SECTION);
        let mut users = self.jaas.as_deref().map(|file| read(file, section)).transpose()?;
        if !self.sasl_user.is_empty() {
            users.get_or_insert_default().extend(self.sasl_user.iter().cloned());
        }
        if users.is_none() {
            self.refuse_without_users()?;
        }
        let mut access = AuthSettings {
            super_users: self.sasl_super_user,
            allow_failed: self.allow_sasl_failed_clients,
            required: self.require_auth,
            ..AuthSettings::default()
        };
        if let Some(keys) = keys {
            access.add(keys, users.as_mut());
        }
        access.users = users;
        Ok(access)
    }

    fn refuse_without_users(&self) -> Result<(), AccessError> {
        let about_users = [
            (!self.sasl_super_user.is_empty(), "--sasl-super-user"),
            (self.allow_sasl_failed_clients, "--allow-sasl-failed-clients"),
        ];
        match about_users.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(AccessError::NoUsers { option }),
            None => Ok(()),
        }
    }
}

impl AuthSettings {
    fn add(&mut self, keys: &AccessKeys, users: Option<&mut SaslUsers>) {
        let has_provider = keys.has_sasl_provider;
        self.scheme = Some(has_provider);
        self.remark = match &users {
            Some(_) if !has_provider => Some(
                "the zoo.cfg has no authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider, so users can \
                 authenticate with SASL, but ACLs cannot name them",
            ),
            None if has_provider => Some(
                "the zoo.cfg has the provider of SASL, but nobody can authenticate: --jaas FILE names the users",
            ),
            _ => None,
        };
        if let (Some(users), Some(password)) = (users, &keys.super_password)
            && users.names().any(|name| name == "super")
        {
            users.insert("super", password);
        }
        self.super_users.extend(keys.super_users.iter().cloned());
        self.any_user.clone_from(&keys.any_user);
        self.allow_failed |= keys.allow_failed;
        if self.required.is_empty() {
            self.required = keys.required();
        }
    }

    /// Configures a server.
    pub(crate) fn apply(self, builder: Builder) -> Builder {
        let mut builder = builder.allow_sasl_failed_clients(self.allow_failed).require_auth(self.required);
        if let Some(users) = self.users {
            builder = builder.sasl_users(users);
        }
        if let Some(user) = self.any_user {
            builder = builder.let_any_sasl_user_do(user);
        }
        if let Some(known) = self.scheme {
            builder = builder.sasl_scheme(known);
        }
        self.super_users.into_iter().fold(builder, Builder::sasl_super_user)
    }
}

fn read(file: &Path, section: &str) -> Result<SaslUsers, AccessError> {
    let bytes = fs::read(file).map_err(|source| AccessError::Read { file: file.into(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| AccessError::NoText { file: file.into() })?;
    jaas::users(&text, section).map_err(|bad| AccessError::Jaas { file: file.into(), bad })
}

fn user(value: &str) -> Result<(String, String), &'static str> {
    let (name, password) = value.split_once(':').ok_or("NAME:PASSWORD")?;
    Ok((name.into(), password.into()))
}
