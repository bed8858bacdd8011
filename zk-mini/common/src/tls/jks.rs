//! Java's key stores of the type JKS: a list of keys and certificates, sealed with SHA-1 and a password.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::asn1_rs::{Any, FromDer, OctetString, Sequence};

/// First bytes of a store.
pub(super) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

const SHA1_LEN: usize = 20;

/// Text that Java adds to the password before the bytes that it seals.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// Entries of a store.
#[derive(Debug, Default)]
pub(super) struct Jks {
    /// The first key, with its certificates.
    pub(super) own: Option<(PrivatePkcs8KeyDer<'static>, Vec<CertificateDer<'static>>)>,
    pub(super) trusted: Vec<CertificateDer<'static>>,
}

impl Jks {
    /// Opens a store. The error is a reason.
    pub(super) fn open(bytes: &[u8], password: &str) -> Result<Self, &'static str> {
        const CUT: &str = "it is cut off, or damaged";
        let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let (sealed, seal) = bytes.split_last_chunk::<SHA1_LEN>().ok_or(CUT)?;
        if sha1(&[&password, WHITENER, sealed]) != *seal {
            return Err("the password is wrong, or it is damaged");
        }
        let mut input = Input(sealed.strip_prefix(&MAGIC).ok_or(CUT)?);
        let version = input.number().ok_or(CUT)?;
        if !matches!(version, 1 | 2) {
            return Err("it has a version that is not known here");
        }
        let mut store = Self::default();
        for _ in 0..input.number().ok_or(CUT)? {
            let is_key = match input.number().ok_or(CUT)? {
                1 => true,
                2 => false,
                _ => return Err("it has an entry that is neither a key nor a certificate"),
            };
            input.text().and_then(|_| input.take(8)).ok_or(CUT)?;
            if is_key {
                let protected = input.sized().ok_or(CUT)?;
                let count = input.number().ok_or(CUT)?;
                // Read one by one: a wrong number ends with the input.
                let chain: Option<Vec<_>> = (0..count).map(|_| input.certificate(version)).collect();
                if store.own.is_none() {
                    store.own = Some((key(protected, &password)?.into(), chain.ok_or(CUT)?));
                }
            } else {
                store.trusted.push(input.certificate(version).ok_or(CUT)?);
            }
        }
        Ok(store)
    }
}

/// Rest of a store.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Takes bytes with their length before them.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(len.into())
    }

    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>> {
        if version == 2 {
            // Its kind, which is X.509.
            self.text()?;
        }
        Some(CertificateDer::from(self.sized()?.to_vec()))
    }
}

/// Returns the key in an entry: Java hides it with a stream of hashes of the password.
fn key(protected: &[u8], password: &[u8]) -> Result<Vec<u8>, &'static str> {
    const NO_KEY: &str = "its key is protected in a way that is not known here";
    let (_, info) = Sequence::from_der(protected).map_err(|_| NO_KEY)?;
    let (rest, _) = Any::from_der(&info.content).map_err(|_| NO_KEY)?;
    let (_, hidden) = OctetString::from_der(rest).map_err(|_| NO_KEY)?;
    let (salt, rest) = hidden.as_ref().split_first_chunk::<SHA1_LEN>().ok_or(NO_KEY)?;
    let (hidden, check) = rest.split_last_chunk::<SHA1_LEN>().ok_or(NO_KEY)?;
    let (mut key, mut mask) = (Vec::with_capacity(hidden.len()), *salt);
    for part in hidden.chunks(SHA1_LEN) {
        mask = sha1(&[password, &mask]);
        key.extend(part.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    }
    if sha1(&[password, &key]) == *check {
        Ok(key)
    } else {
        Err("its key has another password than the store")
    }
}

fn sha1(parts: &[&[u8]]) -> [u8; SHA1_LEN] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; SHA1_LEN];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
