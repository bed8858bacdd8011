//! An authority that issues certificates for tests.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rpc_client::Pem;

/// Authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    text: String,
}

/// Certificate and key in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let text = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), text }
    }

    pub(crate) fn pem(&self) -> Pem {
        Pem::text(&self.text)
    }

    /// Issues a certificate for 127.0.0.1 and localhost.
    pub(crate) fn issue(&self, common_name: &str) -> Issued {
        self.issue_with(common_name, |_| {})
    }

    /// Issues one that expired long ago.
    pub(crate) fn issue_expired(&self) -> Issued {
        self.issue_with("old", |params| {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        })
    }

    pub(crate) fn issue_with(
        &self,
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let uri = format!("spiffe://test/{common_name}");
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

impl Issued {
    pub(crate) fn pems(&self) -> (Pem, Pem) {
        (Pem::text(&self.certificate), Pem::text(&self.key))
    }
}
