//! The certificates and keys are in `testdata/secrets`; `README.md` there says what they are.

#![expect(clippy::disallowed_methods, reason = "tests read their certificates")]

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::ByteString;

use super::*;

/// A file of the folder; several, with `+` between them; or a text, after `=`.
fn bytes(name: &str) -> Vec<u8> {
    if let Some(text) = name.strip_prefix('=') {
        return text.as_bytes().to_vec();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/secrets");
    name.split('+')
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap())
        .collect()
}

fn secret(entries: &[(&str, &str)]) -> core::Secret {
    core::Secret {
        metadata: ObjectMeta {
            name: Some("tls".to_owned()),
            namespace: Some("shop".to_owned()),
            annotations: Some(BTreeMap::from([("a".to_owned(), "copy".to_owned())])),
            ..ObjectMeta::default()
        },
        type_: Some(TLS_TYPE.to_owned()),
        data: Some(
            entries
                .iter()
                .map(|(key, name)| ((*key).to_owned(), ByteString(bytes(name))))
                .collect(),
        ),
        ..core::Secret::default()
    }
}

fn read(certificate: &str, key: &str) -> (Secret, Option<TlsMaterial>) {
    Secret::read(secret(&[("tls.crt", certificate), ("tls.key", key)]))
}

#[test]
fn what_is_wrong_is_said() {
    let rows = [
        ("self-signed", "web.crt", "web.key", ""),
        (
            "with its issuers",
            "leaf.crt+intermediate.crt+root.crt",
            "leaf.key",
            "",
        ),
        (
            "up to an intermediate",
            "leaf.crt+intermediate.crt",
            "leaf.key",
            "",
        ),
        ("RSA, PKCS#1", "rsa.crt", "rsa.key", ""),
        ("RSA, PKCS#8", "rsa.crt", "rsa.pkcs8.key", ""),
        ("P-521", "p521.crt", "p521.key", ""),
        (
            "SEC 1 after its parameters",
            "leaf.crt+intermediate.crt",
            "leaf.sec1.key",
            "",
        ),
        (
            "SEC 1 without the public point",
            "leaf.crt+intermediate.crt",
            "leaf.nopublic.key",
            "",
        ),
        (
            "no PEM",
            "=Hello world",
            "=Hello world",
            "holds no PEM certificate in tls.crt",
        ),
        (
            "a broken certificate",
            "=-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "web.key",
            "has a certificate in tls.crt, number 1, that cannot be read",
        ),
        (
            "no key",
            "web.crt",
            "=Hello world",
            "holds no PEM private key in tls.key",
        ),
        (
            "a certificate for a key",
            "web.crt",
            "web.crt",
            "holds no PEM private key in tls.key",
        ),
        (
            "a broken key",
            "web.crt",
            "=-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "has a private key that cannot be read",
        ),
        (
            "an encrypted key",
            "web.crt",
            "web.encrypted.key",
            "has a private key that is encrypted",
        ),
        (
            "another's EC key",
            "web.crt",
            "expired.key",
            "has a private key that does not belong to the first certificate in tls.crt",
        ),
        (
            "another's RSA key",
            "rsa.crt",
            "mixed.key",
            "has a private key that does not belong to the first certificate in tls.crt",
        ),
        (
            "an EC key for RSA",
            "rsa.crt",
            "web.key",
            "has a private key that does not belong to the first certificate in tls.crt",
        ),
        (
            "an RSA key for EC",
            "web.crt",
            "rsa.key",
            "has a private key that does not belong to the first certificate in tls.crt",
        ),
        (
            "the issuer first",
            "intermediate.crt+leaf.crt",
            "leaf.key",
            "has a chain out of order: certificate 1 in tls.crt is not by the next one",
        ),
        (
            "an issuer left out",
            "leaf.crt+root.crt",
            "leaf.key",
            "has a chain out of order: certificate 1 in tls.crt is not by the next one",
        ),
        (
            "no issuer",
            "leaf.crt",
            "leaf.key",
            "lacks the certificate of the issuer (CN=Example Intermediate)",
        ),
        (
            "Ed25519",
            "ed.crt",
            "ed.key",
            "has a key that ACM does not import (neither RSA nor EC): RSA of 1024, 2048, 3072 or 4096 bits and EC P-256, P-384 and P-521 are",
        ),
        (
            "P-224",
            "p224.crt",
            "p224.key",
            "has a key that ACM does not import (another elliptic curve): RSA of 1024, 2048, 3072 or 4096 bits and EC P-256, P-384 and P-521 are",
        ),
        (
            "RSA of an odd size",
            "rsa2304.crt",
            "rsa2304.key",
            "has a key that ACM does not import (RSA of 2304 bits): RSA of 1024, 2048, 3072 or 4096 bits and EC P-256, P-384 and P-521 are",
        ),
        (
            "RSA by EC",
            "mixed.crt",
            "mixed.key",
            "has a certificate whose key and whose issuer's key are of different kinds",
        ),
    ];
    for (name, certificate, key, expected) in rows {
        let (secret, material) = read(certificate, key);
        let problem = secret.certificate.as_ref().err();
        let said = problem.map(ToString::to_string).unwrap_or_default();
        assert_eq!(said, expected, "{name}");
        assert_eq!(material.is_some(), expected.is_empty(), "{name}");
        assert!(problem.is_none_or(|p| !p.hint().is_empty()), "{name}");
    }
}

#[test]
fn entries_and_type_are_needed() {
    let cut = secret(&[("tls.crt", "web.crt")]);
    assert_eq!(
        Secret::from(cut).certificate,
        Err(SecretProblem::MissingEntry("tls.key"))
    );
    let mut opaque = secret(&[("tls.crt", "web.crt"), ("tls.key", "web.key")]);
    opaque.type_ = None;
    assert_eq!(
        Secret::from(opaque).certificate,
        Err(SecretProblem::WrongType("Opaque".to_owned()))
    );
}

#[test]
fn an_issuer_in_ca_crt_completes_the_chain() {
    let with = |authority| {
        let entries = [
            ("tls.crt", "leaf.crt"),
            ("tls.key", "leaf.key"),
            ("ca.crt", authority),
        ];
        Secret::read(secret(&entries))
    };
    let (_, material) = with("root.crt+intermediate.crt");
    let chain = material.unwrap().chain.unwrap();
    assert_eq!(
        chain.trim(),
        String::from_utf8(bytes("intermediate.crt")).unwrap().trim()
    );
    assert!(with("root.crt").0.certificate.is_err());
}

#[test]
fn the_digest_is_of_the_certificates_alone() {
    let digest = |certificate, key| read(certificate, key).0.certificate.unwrap().digest;
    let leaf = digest("leaf.crt+intermediate.crt", "leaf.key");
    assert_eq!(leaf, digest("leaf.crt+intermediate.crt", "leaf.sec1.key"));
    assert_ne!(
        leaf,
        digest("leaf.crt+intermediate.crt+root.crt", "leaf.key")
    );
    assert_ne!(leaf, digest("web.crt", "web.key"));
}

#[test]
fn what_is_kept_and_printed_holds_no_key() {
    let (secret, material) = read("web.crt", "web.key");
    let material = material.unwrap();
    assert_eq!(secret.metadata.annotations, None);
    let key = String::from_utf8(bytes("web.key")).unwrap();
    assert_eq!(material.private_key.as_str(), key);
    let line = key.lines().nth(1).unwrap();
    let printed = format!(
        "{secret:?} {material:?} {:?}",
        crate::Object::from(secret.clone())
    );
    assert!(!printed.contains(line), "{printed}");
}

#[test]
fn a_certificate_is_judged_by_the_time() {
    let (secret, _) = read("expired.crt", "expired.key");
    let certificate = secret.certificate.unwrap();
    let (from, to) = (certificate.not_before, certificate.not_after);
    assert_eq!(certificate.domains, ["expired.example.com"]);
    let rows = [
        (
            from - 1,
            Some("has a certificate that is not valid before 2020-01-01"),
        ),
        (from, None),
        (to, None),
        (to + 1, Some("has a certificate that expired on 2021-01-01")),
    ];
    for (now, expected) in rows {
        assert_eq!(certificate.problem_at(now).as_deref(), expected, "{now}");
    }
}
