//! Stand-in certificates, signed by an authority that lives as long as the process.
//!
//! In: the names that the manifests serve. Out: PEM texts for the built-in AWS, and the authority's
//! own certificate, with which a client can verify them. Keys never leave the process but for the
//! built-in AWS, which is in it.

use std::collections::BTreeSet;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Signs stand-in certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate, as PEM.
    pub certificate_pem: String,
    /// Its private key, as PEM.
    pub private_key_pem: String,
}

impl Authority {
    /// An authority with a key of its own.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "elbow local stand-in authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("cannot make a key for the stand-in authority")?;
        let certificate = params
            .self_signed(&key)
            .context("cannot sign the stand-in authority's certificate")?;
        Ok(Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names; wildcards are names like others.
    pub fn issue(&self, names: &BTreeSet<String>) -> anyhow::Result<Issued> {
        let first = names.first().map_or("elbow.invalid", String::as_str);
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())
            .with_context(|| format!("cannot make a stand-in certificate for {first}"))?;
        params.distinguished_name.push(DnType::CommonName, first);
        let key = KeyPair::generate()
            .with_context(|| format!("cannot make a key for the certificate of {first}"))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("cannot sign the certificate of {first}"))?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            private_key_pem: key.serialize_pem(),
        })
    }
}
