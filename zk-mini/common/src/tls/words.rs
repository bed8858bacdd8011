//! Failures of TLS in words.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// Returns a client's error with words in place of TLS's names, if it is one of TLS. `authorities` is their source.
pub(super) fn explained(error: io::Error, authorities: &str) -> io::Error {
    let Some(tls) = tls_error(&error) else { return error };
    let words = match tls {
        Error::InvalidCertificate(reason) => of_server(reason, authorities),
        Error::AlertReceived(alert) => of_client(*alert),
        Error::InvalidMessage(_) => {
            "the server does not speak TLS: give it a certificate, or connect without `tls`".to_owned()
        }
        _ => return error,
    };
    io::Error::new(error.kind(), words)
}

/// Says why a server's handshake failed; `None` if the connection was lost.
#[must_use]
pub fn refused_client(error: &io::Error) -> Option<RefusedClient> {
    let of_client = |why: &str| RefusedClient::Unauthenticated(format!("the client's certificate {why}"));
    Some(match tls_error(error)? {
        Error::NoCertificatesPresented => {
            RefusedClient::Unauthenticated("the client has no certificate".to_owned())
        }
        Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => of_client("has expired"),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                of_client("is not valid yet")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                of_client("was issued by none of the authorities in client_ca")
            }
            other => of_client(&format!("is refused: {other}")),
        },
        Error::AlertReceived(alert) => RefusedClient::Unauthenticated(match alert {
            AlertDescription::UnknownCA => {
                "the client does not know the CA of this server's certificate".to_owned()
            }
            AlertDescription::CertificateExpired => {
                "the client says that this server's certificate has expired".to_owned()
            }
            alert => format!("the client refuses this server's certificate: {alert:?}"),
        }),
        // Port scans, and clients without TLS.
        other => RefusedClient::NoHandshake(format!("no TLS handshake of this protocol: {other}")),
    })
}

/// Reason why a server refused a client's handshake, in words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefusedClient {
    /// One of the two does not trust the certificate of the other.
    Unauthenticated(String),
    /// It was no handshake that the server could answer.
    NoHandshake(String),
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn of_server(reason: &CertificateError, authorities: &str) -> String {
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("the server's certificate was issued by no authority in {authorities}")
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another server: it has not the expected name".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = presented.join(", ");
            let expected = expected.to_str();
            format!(
                "the server's certificate is for another server: it is for {presented}, not for {expected}"
            )
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}

fn of_client(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server demands a certificate of this client, and it has none".to_owned()
        }
        AlertDescription::CertificateExpired => {
            "the server says that this client's certificate has expired".to_owned()
        }
        AlertDescription::UnknownCA => {
            "the server does not know the authority that issued this client's certificate".to_owned()
        }
        // What Java says for most reasons, the lack of a certificate among them.
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "the server refuses this client's certificate, or the lack of one".to_owned()
        }
        AlertDescription::InternalError => {
            "the server cannot take the connection now: it is full, or it has failed; its log may say why"
                .to_owned()
        }
        AlertDescription::NoApplicationProtocol => "the server speaks another protocol over TLS".to_owned(),
        alert => format!("the server refused the TLS handshake: {alert:?}"),
    }
}
