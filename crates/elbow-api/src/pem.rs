//! Certificates in PEM: taken out of a text, and written anew.
//!
//! In: bytes that a Secret or a ConfigMap holds. Out: certificates in DER, and the one PEM text of each.
//! What always holds: comments, line ends and other blocks of the original leave no trace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;

/// RFC 7468 wraps lines after so many characters.
const LINE_LENGTH: usize = 64;

/// A block of a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Which certificate, from 1.
    pub(crate) place: usize,
}

/// The certificates of a text, in their order; other blocks are passed over, as TLS servers do.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Unreadable> {
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(text) {
        let place = found.len() + 1;
        let block = block.map_err(|_| Unreadable { place })?;
        if block.label == "CERTIFICATE" {
            found.push(block.contents);
        }
    }
    Ok(found)
}

/// The text of one certificate.
pub(crate) fn to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(LINE_LENGTH));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
