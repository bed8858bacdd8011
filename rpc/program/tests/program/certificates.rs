//! An authority that issues certificates for tests, as files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// Authority whose certificates stand in a folder.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    /// Its own certificate.
    pub(crate) ca: String,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let text = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let mut authority = Self { issuer, folder: folder.to_owned(), ca: String::new() };
        authority.ca = authority.write(&format!("{name}.pem"), &text);
        authority
    }

    /// Issues a certificate for shop.test and for a URI. Returns its file and that of its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(vec!["shop.test".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names.push(SanType::URI("spiffe://test/shop".try_into().unwrap()));
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        (
            self.write(&format!("{name}.pem"), &certificate),
            self.write(&format!("{name}.key"), &key.serialize_pem()),
        )
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
