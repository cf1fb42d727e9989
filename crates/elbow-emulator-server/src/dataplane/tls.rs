//! TLS on both sides: listeners that choose a certificate by SNI, and targets whose certificate
//! nobody checks.
//!
//! In: a served listener with its certificates and security policy. Out: rustls configurations.
//! Always: the default certificate answers every name that no other fits; TLS 1.0 and 1.1 are never
//! spoken, because rustls has neither, so a policy that allows them offers the rest of what it
//! allows.

use std::sync::Arc;

use elbow_emulator::dataplane::{ServedCertificate, ServedListener, ServedProtocol};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::mutual_tls;

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The listener has no certificate that can be used.
    #[error("the listener has no usable certificate")]
    NoCertificate,
    /// rustls refuses the configuration.
    #[error("the TLS configuration is refused")]
    Refused(#[source] rustls::Error),
    /// The trust store has nothing to verify clients with.
    #[error("the trust store cannot be used")]
    Authorities(#[source] rustls::server::VerifierBuilderError),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

// === Listeners ===

/// The configuration of an HTTPS or TLS listener.
pub(crate) fn server_config(listener: &ServedListener) -> Result<ServerConfig, TlsError> {
    let certificates: Vec<Candidate> = listener
        .certificates
        .iter()
        .filter_map(Candidate::read)
        .collect();
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let versions = protocol_versions(listener.ssl_policy.as_deref().unwrap_or_default());
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(TlsError::Refused)?;
    let resolver = Arc::new(SniResolver { certificates });
    let mut config = match mutual_tls::verifier(&listener.mutual_tls, &provider)? {
        None => builder.with_no_client_auth().with_cert_resolver(resolver),
        Some(verifier) => {
            let mut config = builder
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(resolver);
            // "TLS session resumption is not supported" together with mutual TLS.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.alpn_protocols = match listener.protocol {
        ServedProtocol::Https if listener.alb_settings().http2 => alpn(&["h2", "http/1.1"]),
        ServedProtocol::Https => alpn(&["http/1.1"]),
        _ => alpn_of_policy(listener.alpn_policy.as_deref()),
    };
    Ok(config)
}

fn alpn(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect()
}

/// What a TLS listener of a network load balancer offers, in the order it prefers.
pub(crate) fn alpn_of_policy(policy: Option<&str>) -> Vec<Vec<u8>> {
    match policy {
        Some("HTTP1Only") => alpn(&["http/1.1", "http/1.0"]),
        Some("HTTP2Only") => alpn(&["h2"]),
        Some("HTTP2Optional") => alpn(&["http/1.1", "http/1.0", "h2"]),
        Some("HTTP2Preferred") => alpn(&["h2", "http/1.1", "http/1.0"]),
        _ => Vec::new(),
    }
}

static TLS_1_3: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static TLS_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS_1_2_AND_1_3: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// The versions that a security policy allows, by its name (the tables of "Security policies" in
/// the ALB guide).
fn protocol_versions(policy: &str) -> &'static [&'static SupportedProtocolVersion] {
    if policy.starts_with("ELBSecurityPolicy-TLS13-1-3") {
        TLS_1_3
    } else if policy.starts_with("ELBSecurityPolicy-TLS13-") {
        TLS_1_2_AND_1_3
    } else {
        // `2016-08`, `TLS-1-2-…`, `FS-…` and their like end at 1.2.
        TLS_1_2
    }
}

#[derive(Debug)]
struct SniResolver {
    /// The default certificate first.
    certificates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    names: Vec<String>,
    rank: Rank,
    key: Arc<CertifiedKey>,
}

/// Which of several fitting certificates is shown: ECDSA before RSA, then the longer key, then the
/// one that lasts longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_ecdsa: bool,
    key_bits: u32,
    not_after_ms: u64,
}

impl Candidate {
    /// A certificate whose PEM cannot be read is left out; the control plane has checked it before.
    fn read(certificate: &ServedCertificate) -> Option<Self> {
        let texts = [&certificate.pem.certificate, &certificate.pem.chain];
        let mut chain = Vec::new();
        for text in texts {
            for item in CertificateDer::pem_slice_iter(text.as_bytes()) {
                chain.push(item.ok()?);
            }
        }
        let key = PrivateKeyDer::from_pem_slice(certificate.pem.private_key.as_bytes()).ok()?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).ok()?;
        let digits: String = certificate
            .key_algorithm
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        Some(Self {
            names: certificate.names.clone(),
            rank: Rank {
                is_ecdsa: certificate.key_algorithm.starts_with("EC_"),
                key_bits: digits.parse().unwrap_or(0),
                not_after_ms: certificate.not_after.as_millis(),
            },
            key: Arc::new(CertifiedKey::new(chain, key)),
        })
    }

    fn fits(&self, server_name: &str) -> bool {
        self.names.iter().any(|name| name_fits(name, server_name))
    }
}

/// Whether a certificate's name covers a server name. A wildcard stands for exactly one label.
fn name_fits(name: &str, server_name: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => server_name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
        None => name.eq_ignore_ascii_case(server_name),
    }
}

impl SniResolver {
    fn choose(&self, server_name: Option<&str>) -> Option<&Candidate> {
        let server_name = server_name?;
        self.certificates
            .iter()
            .filter(|candidate| candidate.fits(server_name))
            .max_by_key(|candidate| candidate.rank)
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self
            .choose(hello.server_name())
            .or(self.certificates.first())?;
        Some(Arc::clone(&chosen.key))
    }
}

// === Targets ===

/// The configuration toward targets: any certificate will do, as in AWS.
pub(crate) fn client_config(alpn_protocols: Vec<Vec<u8>>) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(TLS_1_2_AND_1_3)
        .map_err(TlsError::Refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnything { provider }))
        .with_no_client_auth();
    config.alpn_protocols = alpn_protocols;
    Ok(config)
}

/// The protocols that an HTTPS target is offered.
pub(crate) fn target_alpn(http2: bool) -> Vec<Vec<u8>> {
    alpn(if http2 { &["h2"] } else { &["http/1.1"] })
}

/// Load balancers do not validate the certificates of targets: "Target groups for your Application
/// Load Balancers".
#[derive(Debug)]
struct TrustAnything {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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

/// The name of a TLS version as `X-Amzn-Tls-Version` has it.
pub(crate) fn version_name(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "TLSv1.2",
    }
}

/// OpenSSL's name of a cipher suite, as `X-Amzn-Tls-Cipher-Suite` has it.
pub(crate) fn cipher_name(suite: rustls::CipherSuite) -> String {
    use rustls::CipherSuite as Suite;
    let name = match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => return format!("{other:?}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let rows = [
            ("app.example.com", "APP.example.com", true),
            ("*.example.com", "app.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
        ];
        for (name, server_name, expected) in rows {
            assert_eq!(
                name_fits(name, server_name),
                expected,
                "{name} for {server_name}"
            );
        }
    }

    #[test]
    fn versions_follow_the_policy() {
        let rows = [
            ("ELBSecurityPolicy-TLS13-1-3-2021-06", 1, true),
            ("ELBSecurityPolicy-TLS13-1-2-2021-06", 2, true),
            ("ELBSecurityPolicy-TLS13-1-0-2021-06", 2, true),
            ("ELBSecurityPolicy-2016-08", 1, false),
            ("ELBSecurityPolicy-TLS-1-2-2017-01", 1, false),
        ];
        for (policy, count, has_1_3) in rows {
            let versions = protocol_versions(policy);
            let spoken = versions
                .iter()
                .any(|version| version.version == rustls::ProtocolVersion::TLSv1_3);
            assert_eq!((versions.len(), spoken), (count, has_1_3), "{policy}");
        }
    }
}
