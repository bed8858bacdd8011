//! `--tls-dev`: throw-away certificates in a directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use common::tls::{Authority, Issued};

/// Files in the directory. The first one is the authority's certificate; its key is kept nowhere.
const FILES: [&str; 4] = ["ca.pem", "server.pem", "client.pem", "client.key"];

/// Names of this machine, for the certificate of the server.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Reason why there are no throw-away certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error("--tls-dev: cannot write {}: {source}", file.display())]
    Write { file: PathBuf, source: io::Error },
    #[error(
        "--tls-dev: {} has {present} and not {missing}; name an empty directory, or one with all files of an earlier run",
        dir.display()
    )]
    Incomplete { dir: PathBuf, present: &'static str, missing: &'static str },
    #[error("--tls-dev: cannot make certificates: {0}")]
    Make(String),
}

/// Directory with certificates.
#[derive(Debug)]
pub(crate) struct DevFiles {
    dir: PathBuf,
}

impl DevFiles {
    /// Uses the certificates in a directory, or makes new ones.
    pub(crate) fn prepare(dir: &Path) -> Result<Self, DevError> {
        let unwritable = |file: &Path, source| DevError::Write { file: file.to_owned(), source };
        fs::create_dir_all(dir).map_err(|source| unwritable(dir, source))?;
        // People copy the paths to other directories.
        let dir = dir.canonicalize().map_err(|source| unwritable(dir, source))?;
        let is_there = |name: &&&str| dir.join(name).exists();
        let (present, missing) = (FILES.iter().find(is_there), FILES.iter().find(|name| !is_there(name)));
        match (present, missing) {
            (Some(present), Some(missing)) => return Err(DevError::Incomplete { dir, present, missing }),
            (Some(_), None) => {}
            (None, _) => {
                let texts = make().map_err(DevError::Make)?;
                for (name, text) in FILES.iter().zip(texts) {
                    let file = dir.join(name);
                    write(&file, &text).map_err(|source| unwritable(&file, source))?;
                }
            }
        }
        Ok(Self { dir })
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join(FILES[0])
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.dir.join(FILES[1])
    }

    /// Prints the paths, and how clients use them with a server on this port.
    pub(crate) fn tell(&self, port: u16) {
        let [ca, _, client, key] = FILES.map(|name| self.dir.join(name).display().to_string());
        let text = format!(
            "certificates for clients of this server, valid for localhost, 127.0.0.1 and ::1:\n\
             \x20 ca      {ca}\n\
             \x20 client  {client} (certificate and key; the key alone: {key})\n\
             \x20 kazoo   KazooClient('localhost:{port}', use_ssl=True, ca='{ca}', certfile='{client}', keyfile='{key}')\n\
             \x20 Java    -Dzookeeper.client.secure=true\n\
             \x20         -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty\n\
             \x20         -Dzookeeper.ssl.trustStore.location={ca} -Dzookeeper.ssl.keyStore.location={client}\n\
             \x20 Rust, zk-mini ls -s   'localhost:{port}?ca={ca}&certfile={client}'\n"
        );
        // Nobody may read it; the server serves all the same.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Makes the contents of the files.
fn make() -> Result<[String; 4], String> {
    let made = || {
        let ca = Authority::new("zk-mini throw-away authority")?;
        Ok::<_, Box<dyn std::error::Error>>((ca.issue("localhost", &HOSTS)?, ca.issue("client", &[])?, ca))
    };
    let (server, client, ca) = made().map_err(|error| error.to_string())?;
    let both = |Issued { certificate, key }: &Issued| format!("{certificate}{key}");
    Ok([ca.certificate().to_owned(), both(&server), both(&client), client.key])
}

/// Writes a file that only its owner may read.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_once_and_a_directory_of_others_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let files = DevFiles::prepare(&dir.path().join("new")).unwrap();
        let ca = fs::read_to_string(files.ca()).unwrap();
        assert!(fs::read_to_string(files.server()).unwrap().contains("PRIVATE KEY"));
        let again = DevFiles::prepare(&dir.path().join("new")).unwrap();
        assert_eq!(fs::read_to_string(again.ca()).unwrap(), ca);
        fs::write(dir.path().join("ca.pem"), "mine").unwrap();
        let error = DevFiles::prepare(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has ca.pem and not server.pem"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("ca.pem")).unwrap(), "mine");
    }
}
