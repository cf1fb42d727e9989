//! Reads what ACM reads of a certificate: names, key type, validity, and whether a private key
//! belongs to it.
//!
//! In: PEM texts. Out: facts, or a sentence that says what is wrong with the text. Always: no
//! signature is verified; that a chain fits is judged by issuer and subject names.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_SHA1WITHRSA,
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::Timestamp;

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) names: Vec<String>,
    /// ACM's name of the key type.
    pub(super) key_algorithm: String,
    /// ACM's name of the signature algorithm.
    pub(super) signature_algorithm: String,
    /// Hexadecimal pairs with colons.
    pub(super) serial: String,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) key_usages: Vec<&'static str>,
    /// Object identifier and ACM's name.
    pub(super) extended_key_usages: Vec<(String, &'static str)>,
    /// The part of the public key that a private key repeats.
    public: Public,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    RsaModulus(Vec<u8>),
    EcPoint(Vec<u8>),
}

/// Reads the one certificate of a PEM text.
pub(super) fn certificate(pem: &[u8]) -> Result<Facts, String> {
    let blocks = blocks(pem)?;
    match blocks.as_slice() {
        [block] => facts(block),
        [] => Err("Could not parse the certificate. Ensure that it is in PEM format.".into()),
        _ => Err(
            "The certificate field contains more than one certificate. You can specify only \
                  one certificate in this field."
                .into(),
        ),
    }
}

/// Checks that each certificate of a chain issued the one before it, beginning with `leaf`.
pub(super) fn chain(leaf: &Facts, pem: &[u8]) -> Result<(), String> {
    let mut issuer = leaf.issuer.clone();
    for (index, block) in blocks(pem)?.iter().enumerate() {
        let facts = facts(block)?;
        if facts.subject != issuer {
            return Err(format!(
                "Unable to validate certificate chain. The certificate chain must start with the \
                 immediate signing certificate, followed by any intermediaries in order. The index \
                 within the chain of the invalid certificate is: {index}"
            ));
        }
        issuer = facts.issuer;
    }
    Ok(())
}

fn blocks(pem: &[u8]) -> Result<Vec<Pem>, String> {
    let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(pem).collect();
    let blocks = blocks.map_err(|_| "Ensure that the certificate is in PEM format.")?;
    if blocks.iter().any(|block| block.label != "CERTIFICATE") {
        return Err("The certificate field holds something other than a certificate.".into());
    }
    Ok(blocks)
}

fn facts(block: &Pem) -> Result<Facts, String> {
    let (_, cert) = X509Certificate::from_der(&block.contents)
        .map_err(|error| format!("Could not parse the certificate: {error}"))?;
    let spki = cert.public_key();
    let (key_algorithm, public) = match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let modulus = without_leading_zeros(rsa.modulus).to_vec();
            let bits = modulus.len() * 8;
            if ![1024, 2048, 3072, 4096].contains(&bits) {
                return Err(format!("The key size of {bits} bits is not supported."));
            }
            (format!("RSA_{bits}"), Public::RsaModulus(modulus))
        }
        Ok(PublicKey::EC(point)) => {
            let curve = spki
                .algorithm
                .parameters
                .as_ref()
                .and_then(|p| p.as_oid().ok());
            let name = match curve {
                Some(curve) if curve == OID_EC_P256 => "EC_prime256v1",
                Some(curve) if curve == OID_NIST_EC_P384 => "EC_secp384r1",
                Some(curve) if curve == OID_NIST_EC_P521 => "EC_secp521r1",
                _ => return Err("The elliptic curve of the key is not supported.".into()),
            };
            (name.to_owned(), Public::EcPoint(point.data().to_vec()))
        }
        _ => return Err("The key algorithm of the certificate is not supported.".into()),
    };
    let time = |seconds: i64| {
        Timestamp::from_millis(
            u64::try_from(seconds)
                .unwrap_or_default()
                .saturating_mul(1000),
        )
    };
    let (mut names, mut key_usages, mut extended_key_usages) = (Vec::new(), Vec::new(), Vec::new());
    for name in cert
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
    {
        names.push(name.to_owned());
    }
    for extension in cert.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => {
                for name in &san.general_names {
                    if let GeneralName::DNSName(name) = name
                        && !names.iter().any(|known| known == name)
                    {
                        names.push((*name).to_owned());
                    }
                }
            }
            ParsedExtension::KeyUsage(usage) => {
                let table = [
                    (usage.digital_signature(), "DIGITAL_SIGNATURE"),
                    (usage.non_repudiation(), "NON_REPUDIATION"),
                    (usage.key_encipherment(), "KEY_ENCIPHERMENT"),
                    (usage.data_encipherment(), "DATA_ENCIPHERMENT"),
                    (usage.key_agreement(), "KEY_AGREEMENT"),
                    (usage.key_cert_sign(), "CERTIFICATE_SIGNING"),
                    (usage.crl_sign(), "CRL_SIGNING"),
                    (usage.encipher_only(), "ENCIPHER_ONLY"),
                    (usage.decipher_only(), "DECIPHER_ONLY"),
                ];
                key_usages.extend(table.into_iter().filter(|row| row.0).map(|row| row.1));
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let table = [
                    (usage.any, "2.5.29.37.0", "ANY"),
                    (
                        usage.server_auth,
                        "1.3.6.1.5.5.7.3.1",
                        "TLS_WEB_SERVER_AUTHENTICATION",
                    ),
                    (
                        usage.client_auth,
                        "1.3.6.1.5.5.7.3.2",
                        "TLS_WEB_CLIENT_AUTHENTICATION",
                    ),
                    (usage.code_signing, "1.3.6.1.5.5.7.3.3", "CODE_SIGNING"),
                    (
                        usage.email_protection,
                        "1.3.6.1.5.5.7.3.4",
                        "EMAIL_PROTECTION",
                    ),
                    (usage.time_stamping, "1.3.6.1.5.5.7.3.8", "TIME_STAMPING"),
                    (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9", "OCSP_SIGNING"),
                ];
                let set = table.into_iter().filter(|row| row.0);
                extended_key_usages.extend(set.map(|row| (row.1.to_owned(), row.2)));
            }
            _ => {}
        }
    }
    Ok(Facts {
        names,
        key_algorithm,
        signature_algorithm: signature_algorithm(&cert),
        serial: cert.raw_serial_as_string(),
        subject: cert.subject().to_string(),
        issuer: cert.issuer().to_string(),
        not_before: time(cert.validity().not_before.timestamp()),
        not_after: time(cert.validity().not_after.timestamp()),
        key_usages,
        extended_key_usages,
        public,
    })
}

fn signature_algorithm(cert: &X509Certificate<'_>) -> String {
    let oid = &cert.signature_algorithm.algorithm;
    let table = [
        (OID_PKCS1_SHA1WITHRSA, "SHA1WITHRSA"),
        (OID_PKCS1_SHA256WITHRSA, "SHA256WITHRSA"),
        (OID_PKCS1_SHA384WITHRSA, "SHA384WITHRSA"),
        (OID_PKCS1_SHA512WITHRSA, "SHA512WITHRSA"),
        (OID_SIG_ECDSA_WITH_SHA256, "SHA256WITHECDSA"),
        (OID_SIG_ECDSA_WITH_SHA384, "SHA384WITHECDSA"),
        (OID_SIG_ECDSA_WITH_SHA512, "SHA512WITHECDSA"),
    ];
    let found = table.iter().find(|(known, _)| known == oid);
    found.map_or_else(|| oid.to_id_string(), |(_, name)| (*name).to_owned())
}

/// Checks that a private key is readable, unencrypted and, where the key tells, the certificate's.
pub(super) fn private_key(facts: &Facts, pem: &[u8]) -> Result<(), String> {
    let unreadable = || "The private key is not in PEM format.".to_owned();
    let block = Pem::iter_from_buffer(pem).next().ok_or_else(unreadable)?;
    let block = block.map_err(|_| unreadable())?;
    let text = String::from_utf8_lossy(pem);
    if block.label.contains("ENCRYPTED") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("The private key is encrypted. Provide it without a passphrase.".into());
    }
    let unsupported = || "The private key is not supported.".to_owned();
    let key = match block.label.as_str() {
        // PKCS#8: version, algorithm, and the key in the older form.
        "PRIVATE KEY" => {
            let fields = sequence(&block.contents).ok_or_else(unsupported)?;
            fields
                .iter()
                .find(|(tag, _)| *tag == OCTET_STRING)
                .ok_or_else(unsupported)?
                .1
                .to_vec()
        }
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" => block.contents.clone(),
        _ => return Err(unsupported()),
    };
    let fields = sequence(&key).ok_or_else(unsupported)?;
    let matches = match &facts.public {
        // PKCS#1: version, modulus, exponents, primes.
        Public::RsaModulus(modulus) => match fields.get(1) {
            Some((INTEGER, own)) if fields.len() >= 9 => without_leading_zeros(own) == modulus,
            _ => false,
        },
        // SEC 1: version, secret, and optionally [0] curve and [1] the public point. Without the
        // latter the point would have to be computed from the secret; such a key is believed.
        Public::EcPoint(point) => match fields.as_slice() {
            [(INTEGER, _), (OCTET_STRING, _), rest @ ..] => {
                let own = rest.iter().find(|(tag, _)| *tag == CONTEXT_1);
                own.is_none_or(|(_, bits)| bits.ends_with(point))
            }
            _ => false,
        },
    };
    if matches {
        Ok(())
    } else {
        Err("The private key does not match the certificate.".into())
    }
}

// Tags of the few ASN.1 types that private keys are made of.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const CONTEXT_1: u8 = 0xa1;

/// Tag and content of each element of a DER sequence.
fn sequence(der: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let (SEQUENCE, mut content, _) = element(der)? else {
        return None;
    };
    let mut fields = Vec::new();
    while !content.is_empty() {
        let (tag, field, rest) = element(content)?;
        fields.push((tag, field));
        content = rest;
    }
    Some(fields)
}

/// The first element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    // Lengths below 128 are one byte; else the low bits say how many bytes the length has.
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (
            digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit)),
            rest,
        )
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
