//! Keys of `zoo.cfg` about SASL and required authentication.

/// Beginning of the keys that name providers of schemes.
const PROVIDER: &str = "authProvider.";

/// Provider of the scheme `sasl`.
const SASL: &str = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";

/// Providers that every server has.
const BUILT_IN: [&str; 2] = [
    "org.apache.zookeeper.server.auth.DigestAuthenticationProvider",
    "org.apache.zookeeper.server.auth.IPAuthenticationProvider",
];

/// Keys that were set; all others keep ZooKeeper's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessKeys {
    pub(crate) has_sasl_provider: bool,
    pub(crate) super_users: Vec<String>,
    pub(crate) super_password: Option<String>,
    /// User for whom every other one is taken, too.
    pub(crate) any_user: Option<String>,
    pub(crate) allow_failed: bool,
    /// Section of the JAAS file.
    pub(crate) section: Option<String>,
    requires_sasl: bool,
    is_enforced: bool,
    schemes: Vec<String>,
}

impl AccessKeys {
    /// Sets an entry. Returns false for a key that is not about access, or that has no effect here.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> bool {
        match key {
            "sessionRequireClientSASLAuth" => self.requires_sasl = is_true(value),
            "enforce.auth.enabled" => self.is_enforced = is_true(value),
            "enforce.auth.schemes" => {
                self.schemes = value.split(',').map(|scheme| scheme.trim().to_owned()).collect();
            }
            "allowSaslFailedClients" => self.allow_failed = is_true(value),
            "SASLAuthenticationProvider.superPassword" => self.super_password = Some(value.into()),
            "letAnySaslUserDoX" => self.any_user = Some(value.into()),
            "sasl.serverconfig" => self.section = Some(value.into()),
            key if key == "superUser" || key.starts_with("superUser.") => self.super_users.push(value.into()),
            key if key.starts_with(PROVIDER) && value == SASL => self.has_sasl_provider = true,
            key => return key.starts_with(PROVIDER) && BUILT_IN.contains(&value),
        }
        true
    }

    /// Returns true if authentication is enforced, and no scheme is named.
    pub(crate) fn lacks_schemes(&self) -> bool {
        self.is_enforced && !self.requires_sasl && self.schemes.is_empty()
    }

    /// Returns the schemes of which a client must have an identity.
    pub(crate) fn required(&self) -> Vec<String> {
        if self.requires_sasl {
            vec!["sasl".into()]
        } else if self.is_enforced {
            self.schemes.clone()
        } else {
            Vec::new()
        }
    }
}

/// Parses a switch that ZooKeeper does not start with unless it is `true` or `false`.
pub(crate) fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        value if value.eq_ignore_ascii_case("true") => Ok(true),
        value if value.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err("true or false"),
    }
}

/// Parses a switch as ZooKeeper reads a Java property: any value but `true` is false.
fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}
