//! Mutual TLS: which clients a listener takes, and what the target hears of them.
//!
//! In: what a listener asks of its clients, and the certificates that a client showed. Out: a verifier
//! for the handshake, and header values. Always: in verify mode a client that has not shown a
//! certificate of the trust store never gets as far as a request.
//!
//! Source: "Mutual authentication with TLS in Application Load Balancer". P-521 keys, which AWS takes,
//! are unknown to the cryptography used here.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elbow_emulator::Timestamp;
use elbow_emulator::dataplane::ServedMutualTls;
use elbow_emulator::dataplane::settings::MutualTlsHeaders;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use super::tls::TlsError;

/// Certificates that a client may send, its own among them ("maximum client certificate chain depth").
const CHAIN_MAX: usize = 4;

/// The verifier of a listener; none where clients are not asked.
pub(crate) fn verifier(
    asked: &ServedMutualTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    match asked {
        ServedMutualTls::Off => Ok(None),
        ServedMutualTls::Passthrough => Ok(Some(Arc::new(TakeAnything {
            provider: Arc::clone(provider),
        }))),
        ServedMutualTls::Verify {
            authorities,
            ignore_expiry,
            advertise_names,
        } => {
            let mut roots = RootCertStore::empty();
            let read = CertificateDer::pem_slice_iter(authorities.as_bytes());
            // The control plane has judged them; what rustls cannot use vouches for nobody.
            roots.add_parsable_certificates(read.filter_map(Result::ok));
            let builder =
                WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
            let builder = if *advertise_names {
                builder
            } else {
                builder.clear_root_hint_subjects()
            };
            let inner = builder.build().map_err(TlsError::Authorities)?;
            Ok(Some(Arc::new(Verify {
                inner,
                ignore_expiry: *ignore_expiry,
            })))
        }
    }
}

/// Passthrough: a client may show what it likes, or nothing.
#[derive(Debug)]
struct TakeAnything {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for TakeAnything {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Verify: the usual rules, and AWS's two of its own.
#[derive(Debug)]
struct Verify {
    inner: Arc<dyn ClientCertVerifier>,
    ignore_expiry: bool,
}

impl ClientCertVerifier for Verify {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if intermediates.len() >= CHAIN_MAX {
            let error = CertificateError::ApplicationVerificationFailure;
            return Err(rustls::Error::InvalidCertificate(error));
        }
        let verify = |at| self.inner.verify_client_cert(end_entity, intermediates, at);
        match verify(now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) if self.ignore_expiry => verify(last_valid(end_entity).unwrap_or(now)),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The last moment at which a certificate is valid.
fn last_valid(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// What a target hears of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientIdentity {
    /// Passthrough: the chain, leaf first.
    Shown { chain: String },
    /// Verify.
    Verified {
        serial_number: String,
        issuer: String,
        subject: String,
        validity: String,
        leaf: String,
    },
}

impl ClientIdentity {
    /// From the certificates of a handshake, the leaf first.
    pub(crate) fn new(
        asked: &ServedMutualTls,
        certificates: &[CertificateDer<'_>],
    ) -> Option<Self> {
        let leaf = certificates.first()?;
        match asked {
            ServedMutualTls::Off => None,
            ServedMutualTls::Passthrough => Some(Self::Shown {
                chain: certificates.iter().map(|c| encoded(c)).collect(),
            }),
            ServedMutualTls::Verify { .. } => {
                let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
                let validity = parsed.validity();
                Some(Self::Verified {
                    serial_number: parsed
                        .raw_serial_as_string()
                        .replace(':', "")
                        .to_uppercase(),
                    issuer: name(parsed.issuer()),
                    subject: name(parsed.subject()),
                    validity: format!(
                        "NotBefore={};NotAfter={}",
                        time(validity.not_before.timestamp()),
                        time(validity.not_after.timestamp())
                    ),
                    leaf: encoded(leaf),
                })
            }
        }
    }

    /// Header names and values.
    pub(crate) fn headers<'a>(&'a self, names: &'a MutualTlsHeaders) -> Vec<(&'a str, &'a str)> {
        match self {
            Self::Shown { chain } => vec![(&names.chain, chain)],
            Self::Verified {
                serial_number,
                issuer,
                subject,
                validity,
                leaf,
            } => vec![
                (&names.serial_number, serial_number),
                (&names.issuer, issuer),
                (&names.subject, subject),
                (&names.validity, validity),
                (&names.leaf, leaf),
            ],
        }
    }
}

/// URL-encoded PEM, with `+`, `=` and `/` left as they are.
fn encoded(certificate: &CertificateDer<'_>) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'+')
        .remove(b'=')
        .remove(b'/');
    /// RFC 7468 wraps after 64 characters.
    const LINE: usize = 64;
    let base64 = STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    utf8_percent_encode(&pem, KEPT).to_string()
}

/// `2023-09-21T01:50:17Z`
fn time(seconds: i64) -> String {
    let millis = u64::try_from(seconds).unwrap_or_default() * 1000;
    let text = Timestamp::from_millis(millis).to_string();
    text.replace(".000Z", "Z")
}

/// A name as RFC 2253 writes it: the most specific part first.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes = part.iter().map(|attribute| {
                let kind = attribute.attr_type();
                let kind = oid2abbrev(kind, oid_registry())
                    .map_or_else(|_| kind.to_id_string(), str::to_owned);
                format!("{kind}={}", escaped(attribute.as_str().unwrap_or_default()))
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (index == 0 && matches!(character, ' ' | '#'))
            || (index == last && character == ' ');
        if special {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn targets_hear_what_aws_tells_them() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Ex, Inc."),
            (DnType::CommonName, "client.example.com"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.serial_number = Some(SerialNumber::from(vec![0x03, 0xa5, 0xb1]));
        params.not_before = rcgen::date_time_ymd(2023, 9, 21);
        params.not_after = rcgen::date_time_ymd(2024, 9, 20);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let chain = [certificate.der().clone()];
        let verify = ServedMutualTls::Verify {
            authorities: String::new(),
            ignore_expiry: false,
            advertise_names: false,
        };
        let Some(ClientIdentity::Verified {
            serial_number,
            issuer,
            subject,
            validity,
            leaf,
        }) = ClientIdentity::new(&verify, &chain)
        else {
            panic!("no identity")
        };
        assert_eq!(serial_number, "03A5B1");
        assert_eq!(subject, "CN=client.example.com,O=Ex\\, Inc.,C=US");
        assert_eq!(issuer, subject);
        assert_eq!(
            validity,
            "NotBefore=2023-09-21T00:00:00Z;NotAfter=2024-09-20T00:00:00Z"
        );
        let decoded = percent_encoding::percent_decode_str(&leaf);
        let decoded = decoded.decode_utf8().unwrap();
        assert_eq!(
            CertificateDer::from_pem_slice(decoded.as_bytes()).unwrap(),
            chain[0]
        );
        assert!(
            leaf.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"),
            "{leaf}"
        );

        let two = [chain[0].clone(), chain[0].clone()];
        let shown = ClientIdentity::new(&ServedMutualTls::Passthrough, &two);
        let chain = format!("{leaf}{leaf}");
        assert_eq!(shown, Some(ClientIdentity::Shown { chain }));
        assert_eq!(ClientIdentity::new(&ServedMutualTls::Off, &two), None);
        assert_eq!(
            ClientIdentity::new(&ServedMutualTls::Passthrough, &[]),
            None
        );
    }
}
