//! Certificates of HTTPS and TLS listeners.
//!
//! In: the listener's configuration, or the hostnames that it serves and the issued certificates of
//! the account. Out: certificates, the default one first. A hostname without a certificate is no
//! reason to take other hostnames' away, but a listener that serves fewer hostnames than it should
//! would hide the mistake, so the listener is left undecided.

use std::collections::BTreeSet;

use elbow_api::crds::ListenerConfiguration;
use elbow_model::CertificateArn;
use elbow_model::facts::Certificate;

use super::context::Context;

/// The certificates that a configuration names, without duplicates; empty when it names none.
pub(crate) fn explicit(configuration: Option<&ListenerConfiguration>) -> Vec<CertificateArn> {
    let Some(configuration) = configuration else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    configuration
        .default_certificate
        .iter()
        .chain(configuration.certificates.iter().flatten())
        .filter(|arn| seen.insert(arn.as_str()))
        .map(|arn| CertificateArn::new(arn.clone()))
        .collect()
}

/// Finds certificates for hostnames: every one that fits any of them, sorted. The error is the first
/// hostname for which there is none. Empty while the certificates are not known.
pub(crate) fn discover(
    ctx: &Context<'_>,
    hostnames: &BTreeSet<String>,
) -> Result<Vec<CertificateArn>, String> {
    let Some(all) = ctx.certificates() else {
        return Ok(Vec::new());
    };
    let authorities = &ctx.settings.allowed_certificate_authority_arns;
    // What a Secret was imported as is for those who may refer to the Secret.
    let is_imported = |arn: &CertificateArn| {
        let mut imported = ctx.facts.imported_certificates.values();
        imported.any(|own| own == arn)
    };
    let is_allowed = |certificate: &Certificate| {
        authorities.is_empty()
            || certificate
                .certificate_authority_arn
                .as_ref()
                .is_some_and(|a| authorities.contains(a))
    };
    let mut found = BTreeSet::new();
    for hostname in hostnames {
        let mut has_one = false;
        for (arn, certificate) in all.iter().filter(|(_, c)| is_allowed(c)) {
            let covers = |domain: &String| covers(domain, hostname);
            if certificate.domains.iter().any(covers) && !is_imported(arn) {
                has_one = true;
                found.insert(arn.clone());
            }
        }
        if !has_one {
            return Err(hostname.clone());
        }
    }
    Ok(found.into_iter().collect())
}

/// Whether a certificate for a domain is good for a hostname. A wildcard stands for one label.
fn covers(domain: &str, hostname: &str) -> bool {
    let (domain, hostname) = (domain.to_ascii_lowercase(), hostname.to_ascii_lowercase());
    domain == hostname
        || domain.strip_prefix("*.").is_some_and(|suffix| {
            hostname
                .split_once('.')
                .is_some_and(|(_, rest)| rest == suffix)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let rows = [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "b.a.example.com", false),
            ("*.example.com", "example.com", false),
            ("a.example.com", "b.example.com", false),
        ];
        for (domain, hostname, expected) in rows {
            assert_eq!(covers(domain, hostname), expected, "{domain} {hostname}");
        }
    }
}
