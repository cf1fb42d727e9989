//! Certificates in PEM: a leaf and those who issued it, in order.
//!
//! In: the bytes of `tls.crt`, and of `ca.crt` if there is one. Out: a [`Chain`], or what is wrong. Issuers
//! are told by name, as ACM tells them in its first look at a chain.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;

use super::SecretProblem;
use crate::pem::{self, to_pem};

/// Sizes of RSA keys that ACM imports, in bits ("Prerequisites for importing certificates").
const RSA_BITS: [usize; 4] = [1024, 2048, 3072, 4096];

/// A leaf and its issuers.
pub(super) struct Chain {
    pub(super) leaf: Leaf,
    pub(super) leaf_pem: String,
    pub(super) issuers_pem: Option<String>,
    /// All of them, the leaf first.
    pub(super) der: Vec<Vec<u8>>,
}

/// What a leaf says about itself.
pub(super) struct Leaf {
    pub(super) domains: Vec<String>,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) public_key: PublicKey,
}

/// The part of a public key that a private key repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// The modulus, without leading zeros.
    Rsa(Vec<u8>),
    /// The point, as SEC 1 writes it.
    Ec(Vec<u8>),
}

/// Reads and checks the certificates.
pub(super) fn chain(text: &[u8], authority: Option<&[u8]>) -> Result<Chain, SecretProblem> {
    let mut der = certificates(text)?;
    let parse = |place: usize, der: &[u8]| -> Result<Named, SecretProblem> {
        named(der).ok_or(SecretProblem::UnreadableCertificate { place: place + 1 })
    };
    let mut names = Vec::new();
    for (place, one) in der.iter().enumerate() {
        names.push(parse(place, one)?);
    }
    for (place, pair) in names.windows(2).enumerate() {
        if pair[0].issuer != pair[1].subject {
            return Err(SecretProblem::ChainOrder { place: place + 1 });
        }
    }
    if let [only] = names.as_slice()
        && only.issuer != only.subject
    {
        let issuer = authority.and_then(|text| issued_by(text, &only.issuer));
        der.push(issuer.ok_or_else(|| SecretProblem::MissingIssuer {
            issuer: only.issuer_text.clone(),
        })?);
    }
    let leaf = der
        .first()
        .and_then(|der| X509Certificate::from_der(der).ok());
    let (_, leaf) = leaf.ok_or(SecretProblem::NoCertificate)?;
    let leaf = facts(&leaf)?;
    let mut pems = der.iter().map(|der| to_pem(der));
    let leaf_pem = pems.next().unwrap_or_default();
    let issuers_pem: String = pems.collect();
    Ok(Chain {
        leaf,
        leaf_pem,
        issuers_pem: (!issuers_pem.is_empty()).then_some(issuers_pem),
        der,
    })
}

/// The names by which certificates find each other.
struct Named {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    issuer_text: String,
}

fn named(der: &[u8]) -> Option<Named> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(Named {
        subject: certificate.subject().as_raw().to_vec(),
        issuer: certificate.issuer().as_raw().to_vec(),
        issuer_text: certificate.issuer().to_string(),
    })
}

/// The certificates of a PEM text.
fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, SecretProblem> {
    let found = pem::certificates(text).map_err(|unreadable| {
        let place = unreadable.place;
        SecretProblem::UnreadableCertificate { place }
    })?;
    if found.is_empty() {
        return Err(SecretProblem::NoCertificate);
    }
    Ok(found)
}

/// The certificate of that subject in a PEM text.
fn issued_by(text: &[u8], subject: &[u8]) -> Option<Vec<u8>> {
    let found = certificates(text).ok()?.into_iter();
    let mut found = found.filter(|der| named(der).is_some_and(|named| named.subject == subject));
    found.next()
}

fn facts(certificate: &X509Certificate<'_>) -> Result<Leaf, SecretProblem> {
    let public_key = public_key(certificate)?;
    let signature = &certificate.signature_algorithm.algorithm;
    let by_ec = [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512,
    ];
    if by_ec.contains(signature) != matches!(public_key, PublicKey::Ec(_)) {
        return Err(SecretProblem::MixedAlgorithms);
    }
    let mut domains: Vec<String> = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() {
            for name in &san.general_names {
                if let GeneralName::DNSName(name) = name {
                    domains.push((*name).to_owned());
                }
            }
        }
    }
    // Clients look at the common name no more; it is for people, where there is nothing else.
    if domains.is_empty() {
        let names = certificate.subject().iter_common_name();
        domains.extend(names.filter_map(|name| name.as_str().ok().map(str::to_owned)));
    }
    let validity = certificate.validity();
    Ok(Leaf {
        domains,
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        public_key,
    })
}

fn public_key(certificate: &X509Certificate<'_>) -> Result<PublicKey, SecretProblem> {
    let spki = certificate.public_key();
    let unsupported = |what: String| Err(SecretProblem::UnsupportedKey(what));
    match spki.parsed() {
        Ok(Parsed::RSA(rsa)) => {
            let modulus = without_leading_zeros(rsa.modulus).to_vec();
            let bits = modulus.len() * 8;
            if RSA_BITS.contains(&bits) {
                Ok(PublicKey::Rsa(modulus))
            } else {
                unsupported(format!("RSA of {bits} bits"))
            }
        }
        Ok(Parsed::EC(point)) => {
            let parameters = spki.algorithm.parameters.as_ref();
            let curve = parameters.and_then(|p| p.as_oid().ok());
            let known = [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521];
            if curve.is_some_and(|curve| known.contains(&curve)) {
                Ok(PublicKey::Ec(point.data().to_vec()))
            } else {
                unsupported("another elliptic curve".to_owned())
            }
        }
        _ => unsupported("neither RSA nor EC".to_owned()),
    }
}

pub(super) fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
