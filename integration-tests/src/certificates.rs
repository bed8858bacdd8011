//! Certificates of a throw-away authority, as files that every client and server here can read.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, DnValue};
use tempfile::TempDir;
use zk_mini_common::tls::Authority;

/// Directory with certificates of one authority: `ca.pem`; `server.pem`, `client.pem` and `odd.pem`, each with its key behind it.
/// Dropping it removes them.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes an authority, and a server on loopback and two clients that have certificates of it: `CN=client`, and one with
    /// a name that is hard to write.
    ///
    /// # Panics
    /// If a certificate cannot be made or written.
    #[expect(clippy::unwrap_used, reason = "for tests")]
    pub fn new() -> Self {
        let (dir, ca) = (tempfile::tempdir().unwrap(), Authority::new("ca").unwrap());
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("ca.pem", ca.certificate());
        for (name, issued) in [
            ("server.pem", ca.issue("zk", &["127.0.0.1", "localhost"])),
            ("client.pem", ca.issue("client", &[])),
            ("odd.pem", ca.issue_with("a, \"b\" = #c+d; é ", &[], name_oddly)),
        ] {
            let issued = issued.unwrap();
            write(name, &format!("{}{}", issued.certificate, issued.key));
        }
        Self { dir }
    }

    /// Returns the path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the options of a connect string for a client with the certificate in `file`.
    pub fn options(&self, file: &str) -> String {
        format!("?ca={}&certfile={}", self.path("ca.pem").display(), self.path(file).display())
    }

    /// Returns the options of a connect string for a client without a certificate.
    pub fn anonymous(&self) -> String {
        format!("?ca={}", self.path("ca.pem").display())
    }

    /// Returns the options of Java's client for a client with the certificate in `file`.
    pub fn of_java(&self, file: &str) -> Vec<String> {
        let option = |key: &str, value: &str| format!("-Dzookeeper.{key}={value}");
        let path = |name: &str| self.path(name).display().to_string();
        vec![
            option("client.secure", "true"),
            option("clientCnxnSocket", "org.apache.zookeeper.ClientCnxnSocketNetty"),
            option("ssl.trustStore.location", &path("ca.pem")),
            option("ssl.keyStore.location", &path(file)),
        ]
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds parts to a name: one with a keyword, one that has none, and one whose text is not in UTF-8.
fn name_oddly(params: &mut CertificateParams) {
    params.distinguished_name.push(DnType::OrganizationName, "Example <1>");
    params.distinguished_name.push(DnType::CountryName, "DE");
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "007");
    params.distinguished_name.push(
        DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]),
        DnValue::Utf8String("uid".into()),
    );
}
