//! Check of clients' certificates. It is that of rustls, but for those of version 1, which have no extensions: rustls refuses all
//! of them, and Java accepts those that an authority has issued itself.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
};
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate, X509Version};

/// Verifier of clients' certificates.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    rustls: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    /// Adds to a verifier of rustls the certificates of version 1 that these authorities have issued.
    pub(super) fn new(
        rustls: Arc<dyn ClientCertVerifier>,
        authorities: Vec<CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { rustls, authorities, algorithms }
    }

    fn verify_version_1(
        &self,
        leaf: &X509Certificate<'_>,
        der: &[u8],
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let issuers = self.authorities.iter().filter_map(|der| parsed(der));
        let mut issuers =
            issuers.filter(|issuer| issuer.subject().as_raw() == leaf.issuer().as_raw() && may_issue(issuer));
        let Some(first) = issuers.next() else { return Err(CertificateError::UnknownIssuer) };
        let is_signed = |issuer: X509Certificate<'_>| self.is_signed(leaf, der, issuer.public_key());
        if !is_signed(first) && !issuers.any(is_signed) {
            return Err(CertificateError::BadSignature);
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < leaf.validity().not_before.timestamp() {
            return Err(CertificateError::NotValidYet);
        }
        if now > leaf.validity().not_after.timestamp() {
            return Err(CertificateError::Expired);
        }
        Ok(())
    }

    /// Returns true if a certificate has the signature of this key.
    fn is_signed(&self, leaf: &X509Certificate<'_>, der: &[u8], key: &SubjectPublicKeyInfo<'_>) -> bool {
        // The algorithm stands in the signed part, too. A signature is whole bytes: a count of unused bits would be a second
        // encoding of one whose last bit is 0.
        let signature = &leaf.signature_value;
        if leaf.signature_algorithm != leaf.tbs_certificate.signature || signature.unused_bits != 0 {
            return false;
        }
        let Some([_, algorithm, _]) = elements(der) else { return false };
        let fitting = self.algorithms.all.iter().filter(|known| *known.signature_alg_id() == *algorithm.data);
        verifies(key, fitting.copied(), leaf.tbs_certificate.as_ref(), &signature.data)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some(leaf) = version_1(end_entity) else {
            return self.rustls.verify_client_cert(end_entity, intermediates, now);
        };
        self.verify_version_1(&leaf, end_entity, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(leaf) = version_1(cert) else {
            return self.rustls.verify_tls12_signature(message, cert, dss);
        };
        let of_scheme = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let fitting = of_scheme.flat_map(|(_, algorithms)| algorithms.iter().copied());
        if verifies(leaf.public_key(), fitting, message, dss.signature()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(leaf) = version_1(cert) else {
            return self.rustls.verify_tls13_signature(message, cert, dss);
        };
        let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn offer_client_auth(&self) -> bool {
        self.rustls.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.rustls.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.rustls.root_hint_subjects()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rustls.supported_verify_schemes()
    }
}

/// Returns the certificate if it is one of version 1, without anything that came later.
fn version_1<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parsed(der).filter(|leaf| {
        let is_bare = leaf.extensions().is_empty()
            && leaf.tbs_certificate.issuer_uid.is_none()
            && leaf.tbs_certificate.subject_uid.is_none();
        leaf.version() == X509Version::V1 && is_bare
    })
}

fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .filter(|(rest, _)| rest.is_empty())
        .map(|(_, certificate)| certificate)
}

/// Returns true if this certificate may issue others. One of version 1 cannot say; constraints on names are not looked at here.
fn may_issue(issuer: &X509Certificate<'_>) -> bool {
    let usage = issuer.key_usage().map(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    let is_free = issuer.name_constraints().is_ok_and(|constraints| constraints.is_none());
    (issuer.version() == X509Version::V1 || issuer.is_ca()) && usage == Ok(true) && is_free
}

/// Returns the elements of a sequence; `None` if it is something else.
fn elements<const COUNT: usize>(der: &[u8]) -> Option<[Any<'_>; COUNT]> {
    let (_, sequence) = Any::from_der(der).ok()?;
    let mut elements = Vec::new();
    let mut rest = sequence.data;
    while !rest.is_empty() {
        let (after, element) = Any::from_der(rest).ok()?;
        elements.push(element);
        rest = after;
    }
    elements.try_into().ok()
}

/// Returns true if one of these algorithms verifies a signature of this key; those for other keys are left out.
fn verifies(
    key: &SubjectPublicKeyInfo<'_>,
    mut algorithms: impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let Some([of_key, _]) = elements(key.raw) else { return false };
    let bits = &key.subject_public_key.data;
    algorithms.any(|algorithm| {
        *algorithm.public_key_alg_id() == *of_key.data
            && algorithm.verify_signature(bits, message, signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
        NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SigningKey,
        date_time_ymd,
    };
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::{TlsAcceptor, TlsConnector};
    use x509_parser::asn1_rs::{BitString, Class, Sequence, ToDer};

    use super::*;
    use crate::tls::{Pem, ServerTlsConfig, TlsVersion};

    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
        der: CertificateDer<'static>,
    }

    impl Ca {
        fn new(name: &str) -> Self {
            Self::with(name, &PKCS_ECDSA_P256_SHA256, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            })
        }

        fn with(
            name: &str,
            algorithm: &'static rcgen::SignatureAlgorithm,
            change: impl FnOnce(&mut CertificateParams),
        ) -> Self {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let mut params = named(name);
            change(&mut params);
            let certificate = params.self_signed(&key).unwrap();
            let (pem, der) = (certificate.pem(), certificate.der().clone());
            Self { issuer: Issuer::new(params, key), pem, der }
        }

        /// Issues a certificate of version 1.
        fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
            self.issue_for(&KeyPair::generate().unwrap(), change)
        }

        fn issue_for(
            &self,
            key: &KeyPair,
            change: impl FnOnce(&mut CertificateParams),
        ) -> CertificateDer<'static> {
            let mut params = named("client");
            change(&mut params);
            let certificate = params.signed_by(key, &self.issuer).unwrap();
            self.signed(&without_extensions(certificate.der()))
        }

        fn signed(&self, [content, algorithm]: &[Vec<u8>; 2]) -> CertificateDer<'static> {
            let content = sequence(content);
            let signature =
                BitString::new(0, &self.issuer.key().sign(&content).unwrap()).to_der_vec().unwrap();
            sequence(&[content, algorithm.clone(), signature].concat()).into()
        }

        fn verifier(&self) -> ClientVerifier {
            trusting(&[&self.der])
        }
    }

    fn trusting(authorities: &[&CertificateDer<'static>]) -> ClientVerifier {
        let mut roots = RootCertStore::empty();
        authorities.iter().for_each(|authority| roots.add((*authority).clone()).unwrap());
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let rustls = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        ClientVerifier::new(
            rustls,
            authorities.iter().map(|authority| (*authority).clone()).collect(),
            algorithms,
        )
    }

    fn named(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn sequence(content: &[u8]) -> Vec<u8> {
        Sequence::new(content.into()).to_der_vec().unwrap()
    }

    /// Returns the fields that a certificate has in version 1, and the algorithm of its signature.
    fn without_extensions(certificate: &[u8]) -> [Vec<u8>; 2] {
        let [signed, algorithm, _] = elements(certificate).unwrap();
        let (mut kept, mut rest) = (Vec::new(), signed.data);
        while !rest.is_empty() {
            let (after, field) = Any::from_der(rest).unwrap();
            // The number of the version and the extensions have tags of their own.
            if field.class() == Class::Universal {
                kept.extend_from_slice(&rest[..rest.len() - after.len()]);
            }
            rest = after;
        }
        [kept, algorithm.to_der_vec().unwrap()]
    }

    fn check(verifier: &ClientVerifier, certificate: &CertificateDer<'_>) -> Result<(), CertificateError> {
        match verifier.verify_client_cert(certificate, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn one_of_version_1_that_an_authority_has_issued_itself_is_accepted() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
            let ca =
                Ca::with("ca", algorithm, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
            let certificate = ca.issue(|_| {});
            assert_eq!(version_1(&certificate).unwrap().version(), X509Version::V1);
            assert_eq!(check(&ca.verifier(), &certificate), Ok(()));
        }
        // Of two authorities with the same name, one has.
        let (one, other) = (Ca::new("ca"), Ca::new("ca"));
        let both = trusting(&[&one.der, &other.der]);
        assert_eq!(check(&both, &other.issue(|_| {})), Ok(()));
        assert_eq!(check(&both, &one.issue(|_| {})), Ok(()));
    }

    #[test]
    fn another_issuer_is_refused_also_one_of_the_same_name() {
        let ca = Ca::new("ca");
        assert_eq!(check(&ca.verifier(), &Ca::new("ca").issue(|_| {})), Err(CertificateError::BadSignature));
        assert_eq!(
            check(&ca.verifier(), &Ca::new("other").issue(|_| {})),
            Err(CertificateError::UnknownIssuer)
        );
        // Its own issuer, by that name.
        let own = Ca::new("client");
        assert_eq!(check(&ca.verifier(), &own.issue(|_| {})), Err(CertificateError::UnknownIssuer));
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let ca = Ca::new("ca");
        let verifier = ca.verifier();
        // Signatures whose last bit is 0 and whose last bit is 1: what follows the bytes of a bit string differs.
        let last_bit = |certificate: &CertificateDer<'_>| certificate[certificate.len() - 1] & 1;
        for bit in [0, 1] {
            let certificate = loop {
                let issued = ca.issue(|_| {});
                if last_bit(&issued) == bit {
                    break issued;
                }
            };
            for at in 0..certificate.len() {
                let mut changed = certificate.to_vec();
                changed[at] ^= 1;
                assert!(check(&verifier, &changed.into()).is_err(), "{at}");
            }
        }
        let certificate = ca.issue(|_| {});
        let longer = [&certificate[..], &[0]].concat();
        assert!(check(&verifier, &longer.into()).is_err());
    }

    #[test]
    fn its_time_is_checked() {
        let ca = Ca::new("ca");
        let expired = ca.issue(|params| params.not_after = date_time_ymd(2020, 1, 1));
        assert_eq!(check(&ca.verifier(), &expired), Err(CertificateError::Expired));
        let later = ca.issue(|params| params.not_before = date_time_ymd(3000, 1, 1));
        assert_eq!(check(&ca.verifier(), &later), Err(CertificateError::NotValidYet));
    }

    #[test]
    fn who_may_not_issue_has_not_issued() {
        let leaf = |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa;
        let no_ca = |params: &mut CertificateParams| params.is_ca = IsCa::NoCa;
        let no_signer = |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
        };
        let constrained = |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let permitted_subtrees = vec![GeneralSubtree::DnsName("example.org".to_owned())];
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
        };
        let changes: [&dyn Fn(&mut CertificateParams); 4] = [&leaf, &no_ca, &no_signer, &constrained];
        for (at, change) in changes.into_iter().enumerate() {
            let ca = Ca::with("ca", &PKCS_ECDSA_P256_SHA256, change);
            assert_eq!(
                check(&ca.verifier(), &ca.issue(|_| {})),
                Err(CertificateError::UnknownIssuer),
                "{at}"
            );
        }
    }

    #[test]
    fn an_authority_of_version_1_counts_as_one() {
        let ca = Ca::new("ca");
        let own = ca.signed(&without_extensions(&ca.der));
        let verifier = trusting(&[&own]);
        assert_eq!(check(&verifier, &ca.issue(|_| {})), Ok(()));
        assert_eq!(check(&verifier, &own), Ok(()), "one that is trusted itself");
        assert_eq!(check(&verifier, &Ca::new("ca").issue(|_| {})), Err(CertificateError::BadSignature));
    }

    #[test]
    fn extensions_do_not_hide_behind_the_number_of_the_version() {
        let ca = Ca::new("ca");
        let mut params = named("client");
        params.is_ca = IsCa::ExplicitNoCa;
        let certificate = params.signed_by(&KeyPair::generate().unwrap(), &ca.issuer).unwrap();
        let [signed, algorithm, _] = elements(certificate.der()).unwrap();
        let (after_version, _) = Any::from_der(signed.data).unwrap();
        let bad = ca.signed(&[after_version.to_vec(), algorithm.to_der_vec().unwrap()]);
        assert!(check(&ca.verifier(), &bad).is_err());
        assert_eq!(check(&ca.verifier(), certificate.der()), Ok(()), "and one of version 3 is as it was");
    }

    #[tokio::test]
    async fn a_handshake_proves_that_the_client_has_the_key() {
        let ca = Ca::new("ca");
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["zk.test".to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &ca.issuer).unwrap().pem();
        let (key, other_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let certificate = ca.issue_for(&key, |_| {});
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let server = ServerTlsConfig::new(Pem::text(&server), Pem::text(server_key.serialize_pem()));
            let server = server.client_ca(Pem::text(&ca.pem)).versions([version]).load().unwrap();
            for (key, is_own) in [(&key, true), (&other_key, false)] {
                let provider = Arc::new(ring::default_provider());
                let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
                let key = provider.key_provider.load_private_key(key).unwrap();
                // Without the check of rustls, which cannot read such a certificate.
                let own = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.clone()], key));
                let mut roots = RootCertStore::empty();
                roots.add(ca.der.clone()).unwrap();
                let client =
                    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                let client =
                    client.unwrap().with_root_certificates(roots).with_client_cert_resolver(Arc::new(own));
                let (near, far) = tokio::io::duplex(1 << 16);
                let name = ServerName::try_from("zk.test").unwrap();
                let (_, accepted) = tokio::join!(
                    TlsConnector::from(Arc::new(client)).connect(name, near),
                    TlsAcceptor::from(server.config(None)).accept(far),
                );
                assert_eq!(accepted.is_ok(), is_own, "{version:?}");
                if let Ok(stream) = accepted {
                    let known = stream.get_ref().1.peer_certificates().unwrap();
                    assert_eq!(crate::tls::subject(&known[0]).as_deref(), Some("CN=client"));
                }
            }
        }
    }
}
