//! The SNI list of a listener: Add, Remove and DescribeListenerCertificates.
//!
//! The list is apart from the default certificate, which may be in it as well and then is shown
//! twice.

use std::collections::BTreeSet;

use super::protocols::is_secure;
use super::state::{Listener, LoadBalancerKind};
use super::{error, page};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    /// A certificate that is in the list already is taken with success, and not added again.
    pub(super) fn add_listener_certificates(
        &mut self,
        _now: Timestamp,
        input: &wire::AddListenerCertificatesInput,
    ) -> Result<wire::AddListenerCertificatesOutput, ApiError> {
        let listener = self.secure_listener(&input.listener_arn)?;
        let arn = only(&input.certificates)?;
        self.check_certificate(arn)?;
        self.check_certificate_quota(listener, arn)?;
        if let Some(listener) = self.elbv2.listeners.get_mut(&input.listener_arn) {
            listener.certificates.insert(arn.clone());
        }
        self.elbv2.touch();
        let added = wire::Certificate {
            certificate_arn: Some(arn.clone()),
            is_default: Some(false),
        };
        Ok(wire::AddListenerCertificatesOutput {
            certificates: Some(vec![added]),
        })
    }

    /// Certificates that are the default of no listener count, each once for a load balancer
    /// (quota pages of both guides).
    fn check_certificate_quota(&self, listener: &Listener, arn: &str) -> Result<(), ApiError> {
        let lb = self.elbv2.load_balancer(&listener.load_balancer_arn)?;
        let quotas = &self.config.quotas;
        let quota = match lb.kind {
            LoadBalancerKind::Application => quotas.certificates_per_application_load_balancer,
            LoadBalancerKind::Network => quotas.certificates_per_network_load_balancer,
        };
        let listeners = || self.elbv2.listeners_of(&lb.arn);
        let defaults: BTreeSet<&str> = listeners()
            .filter_map(|l| l.default_certificate.as_deref())
            .collect();
        let mut counted: BTreeSet<&str> = listeners()
            .flat_map(|l| &l.certificates)
            .map(String::as_str)
            .collect();
        counted.insert(arn);
        if counted.difference(&defaults).count() > quota {
            let message =
                format!("The maximum number of certificates per load balancer is '{quota}'");
            return Err(ApiError::sender("TooManyCertificates", message)); // Undocumented text.
        }
        Ok(())
    }

    /// A certificate that is not there is removed with success (undocumented).
    pub(super) fn remove_listener_certificates(
        &mut self,
        _now: Timestamp,
        input: &wire::RemoveListenerCertificatesInput,
    ) -> Result<wire::RemoveListenerCertificatesOutput, ApiError> {
        let listener = self.secure_listener(&input.listener_arn)?;
        let arn = only(&input.certificates)?;
        let in_list = listener.certificates.contains(arn);
        if !in_list && listener.default_certificate.as_ref() == Some(arn) {
            // Undocumented text.
            return Err(error::not_permitted(format!(
                "Certificate '{arn}' cannot be removed because it is the default certificate"
            )));
        }
        if let Some(listener) = self.elbv2.listeners.get_mut(&input.listener_arn) {
            listener.certificates.remove(arn);
        }
        self.elbv2.touch();
        Ok(wire::RemoveListenerCertificatesOutput {})
    }

    pub(super) fn describe_listener_certificates(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeListenerCertificatesInput,
    ) -> Result<wire::DescribeListenerCertificatesOutput, ApiError> {
        let listener = self.elbv2.listener(&input.listener_arn)?;
        let default = listener.default_certificate.iter().map(|arn| (arn, true));
        let listed = listener.certificates.iter().map(|arn| (arn, false));
        // The default certificate comes first: its key must be the lowest.
        let key = |item: &(&String, bool)| format!("{}{}", u8::from(!item.1), item.0);
        let page = page::cut(
            default.chain(listed).collect(),
            key,
            input.marker.as_deref(),
            input.page_size,
        )?;
        let shown = page
            .items
            .into_iter()
            .map(|(arn, is_default)| wire::Certificate {
                certificate_arn: Some(arn.clone()),
                is_default: Some(is_default),
            });
        Ok(wire::DescribeListenerCertificatesOutput {
            certificates: Some(shown.collect()),
            next_marker: page.next_marker,
        })
    }

    fn secure_listener(&self, arn: &str) -> Result<&Listener, ApiError> {
        let listener = self.elbv2.listener(arn)?;
        if is_secure(listener.protocol) {
            return Ok(listener);
        }
        Err(error::validation(format!(
            "A certificate cannot be specified for {} listeners",
            listener.protocol.as_str()
        )))
    }
}

/// The one certificate that AWS takes in a call.
fn only(certificates: &[wire::Certificate]) -> Result<&String, ApiError> {
    let [certificate] = certificates else {
        // Undocumented for none; AWS's text for more.
        return Err(error::validation(format!(
            "Up to '1' certificate ARNs can be specified, but '{}' were specified",
            certificates.len()
        )));
    };
    if certificate.is_default.is_some() {
        return Err(error::validation(
            "You cannot specify 'IsDefault' for a certificate",
        ));
    }
    let arn = certificate.certificate_arn.as_ref();
    arn.ok_or_else(|| error::validation("A certificate ARN must be specified"))
}
