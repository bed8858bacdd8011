//! Failures of TLS in words.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// Returns the error with words in place of TLS's names, if it is one of TLS. `authorities` is their source.
pub(super) fn explained(error: io::Error, authorities: &str) -> io::Error {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return error };
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
        AlertDescription::NoApplicationProtocol => "the server speaks another protocol over TLS".to_owned(),
        alert => format!("the server refused the TLS handshake: {alert:?}"),
    }
}
