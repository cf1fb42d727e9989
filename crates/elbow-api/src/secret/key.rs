//! Private keys in PEM: readable, in the clear, and the leaf's.
//!
//! In: the bytes of `tls.key`, and the leaf's public key. Out: the PEM block of the key alone, since ACM
//! takes nothing beside it (OpenSSL writes the parameters of a curve before an EC key). What always
//! holds: whatever is made of the key here is overwritten before it is dropped.
//!
//! An RSA key repeats the modulus, and an EC key usually repeats the public point; both are compared. An
//! EC key that does not is believed, and ACM has the last word.

use x509_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::pem::Pem;
use zeroize::{Zeroize as _, Zeroizing};

use super::SecretProblem;
use super::certificate::{PublicKey, without_leading_zeros};

/// What is repeated in a SEC 1 key after version and secret: `[1]` is the public point.
const PUBLIC_POINT: Tag = Tag(1);

/// Reads the key and checks that it belongs to the leaf.
pub(super) fn read(bytes: &[u8], leaf: &PublicKey) -> Result<Zeroizing<String>, SecretProblem> {
    let text = std::str::from_utf8(bytes).map_err(|_| SecretProblem::NoKey)?;
    let (label, block) = key_block(text).ok_or(SecretProblem::NoKey)?;
    if label.starts_with("ENCRYPTED") || block.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(SecretProblem::EncryptedKey);
    }
    let mut parsed = Pem::iter_from_buffer(block.as_bytes());
    let mut parsed = parsed
        .next()
        .and_then(Result::ok)
        .ok_or(SecretProblem::UnreadableKey)?;
    let belongs = match label {
        "PRIVATE KEY" => pkcs8(&parsed.contents).and_then(|key| is_of(key, leaf)),
        _ => is_of(&parsed.contents, leaf),
    };
    parsed.contents.zeroize();
    match belongs {
        None => Err(SecretProblem::UnreadableKey),
        Some(false) => Err(SecretProblem::KeyMismatch),
        Some(true) => Ok(Zeroizing::new(format!("{}\n", block.trim_end()))),
    }
}

/// The first block of a private key, with its label.
fn key_block(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    loop {
        let begin = rest.find("-----BEGIN ")?;
        let block = &rest[begin..];
        let label = block["-----BEGIN ".len()..].split("-----").next()?;
        let end = format!("-----END {label}-----");
        let length = block.find(&end)? + end.len();
        if label.ends_with("PRIVATE KEY") {
            return Some((label, &block[..length]));
        }
        rest = &block[length..];
    }
}

/// PKCS#8 wraps the older form: version, algorithm, key.
fn pkcs8(der: &[u8]) -> Option<&[u8]> {
    let fields = sequence(der)?;
    let key = fields
        .iter()
        .find(|field| field.tag() == Tag::OctetString)?;
    Some(key.data)
}

/// Whether a key, in the form of PKCS#1 or SEC 1, belongs to the leaf; `None` if it is neither.
fn is_of(der: &[u8], leaf: &PublicKey) -> Option<bool> {
    let fields = sequence(der)?;
    let tags: Vec<Tag> = fields.iter().map(Any::tag).collect();
    match tags.as_slice() {
        // PKCS#1: version, modulus, exponents, primes.
        [Tag::Integer, Tag::Integer, Tag::Integer, Tag::Integer, ..] => Some(match leaf {
            PublicKey::Rsa(modulus) => without_leading_zeros(fields[1].data) == modulus,
            PublicKey::Ec(_) => false,
        }),
        // SEC 1: version, secret, [0] curve, [1] point.
        [Tag::Integer, Tag::OctetString, ..] => Some(match leaf {
            PublicKey::Rsa(_) => false,
            PublicKey::Ec(point) => {
                let own = fields[2..].iter().find(|field| field.tag() == PUBLIC_POINT);
                own.is_none_or(|own| own.data.ends_with(point))
            }
        }),
        _ => None,
    }
}

/// The elements of a DER sequence.
fn sequence(der: &[u8]) -> Option<Vec<Any<'_>>> {
    let (_, whole) = Any::from_der(der).ok()?;
    if whole.tag() != Tag::Sequence {
        return None;
    }
    let mut rest = whole.data;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (next, field) = Any::from_der(rest).ok()?;
        fields.push(field);
        rest = next;
    }
    Some(fields)
}
