//! What a listener shows to clients over TLS: policy, default certificate, ALPN, mutual TLS.

use crate::Emulator;
use crate::elbv2::protocols::is_secure;
use crate::elbv2::state::{Listener, LoadBalancerKind, MutualTls, OnOff, Protocol, VerifyClients};
use crate::elbv2::{error, ssl_policies};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// The policies that ALPN may follow (NLB guide, "ALPN policies").
const ALPN_POLICIES: [&str; 5] = [
    "HTTP1Only",
    "HTTP2Only",
    "HTTP2Optional",
    "HTTP2Preferred",
    "None",
];

/// Listeners of one ALB that verify clients. Not adjustable.
const VERIFYING_LISTENERS_MAX: usize = 2;

/// What a request says about it; absent members leave things as they are.
pub(super) struct Asked<'a> {
    pub(super) ssl_policy: Option<&'a String>,
    pub(super) certificates: Option<&'a Vec<wire::Certificate>>,
    pub(super) alpn_policy: Option<&'a Vec<String>>,
    pub(super) mutual_authentication: Option<&'a wire::MutualAuthenticationAttributes>,
}

/// The settings of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Security {
    ssl_policy: Option<String>,
    default_certificate: Option<String>,
    alpn_policy: Option<String>,
    mutual_tls: Option<MutualTls>,
}

impl Security {
    /// Those of a listener that exists.
    pub(super) fn of(listener: &Listener) -> Self {
        Self {
            ssl_policy: listener.ssl_policy.clone(),
            default_certificate: listener.default_certificate.clone(),
            alpn_policy: listener.alpn_policy.clone(),
            mutual_tls: listener.mutual_tls.clone(),
        }
    }

    /// Gives them to a listener.
    pub(super) fn put(self, listener: &mut Listener) {
        listener.ssl_policy = self.ssl_policy;
        listener.default_certificate = self.default_certificate;
        listener.alpn_policy = self.alpn_policy;
        listener.mutual_tls = self.mutual_tls;
    }
}

impl Emulator {
    /// The settings that a listener of that protocol has after the request.
    pub(super) fn security(
        &self,
        kind: LoadBalancerKind,
        protocol: Protocol,
        asked: &Asked<'_>,
        old: &Security,
    ) -> Result<Security, ApiError> {
        let certificate = self.default_certificate(protocol, asked.certificates)?;
        let alpn_policy = alpn_policy(kind, protocol, asked.alpn_policy)?;
        let mutual_tls = self.mutual_tls(protocol, asked.mutual_authentication)?;
        if !is_secure(protocol) {
            if asked.ssl_policy.is_some() {
                // The spelling is AWS's.
                return Err(error::validation(format!(
                    "An SSL policy cannot be specifed for {} listeners",
                    protocol.as_str()
                )));
            }
            // Leaving TLS takes the policy and the default certificate along.
            return Ok(Security::default());
        }
        if let Some(name) = asked.ssl_policy
            && !ssl_policies::is_known(kind, name)
        {
            let message = format!("SSL policy '{name}' not found");
            return Err(ApiError::sender("SSLPolicyNotFound", message));
        }
        let Some(default_certificate) = certificate.or(old.default_certificate.clone()) else {
            return Err(error::configuration(format!(
                "You must provide a list containing exactly one certificate if the listener \
                 protocol is {}.",
                protocol.as_str()
            )));
        };
        let ssl_policy = asked.ssl_policy.or(old.ssl_policy.as_ref()).cloned();
        Ok(Security {
            ssl_policy: ssl_policy.or_else(|| Some(ssl_policies::DEFAULT.to_owned())),
            default_certificate: Some(default_certificate),
            // AWS documents `None` as the default; a listener that never had one shows none.
            alpn_policy: alpn_policy.or(old.alpn_policy.clone()),
            mutual_tls: match protocol {
                Protocol::Https => mutual_tls
                    .or(old.mutual_tls.clone())
                    .or(Some(MutualTls::Off)),
                _ => None,
            },
        })
    }

    /// The one certificate that a request may name as the default.
    fn default_certificate(
        &self,
        protocol: Protocol,
        certificates: Option<&Vec<wire::Certificate>>,
    ) -> Result<Option<String>, ApiError> {
        let Some(certificates) = certificates.filter(|list| !list.is_empty()) else {
            return Ok(None);
        };
        if !is_secure(protocol) {
            return Err(error::validation(format!(
                "A certificate cannot be specified for {} listeners",
                protocol.as_str()
            )));
        }
        let [certificate] = certificates.as_slice() else {
            return Err(error::validation(format!(
                "Up to '1' certificate ARNs can be specified, but '{}' were specified",
                certificates.len()
            )));
        };
        if certificate.is_default.is_some() {
            // The reference says not to; text undocumented.
            return Err(error::validation(
                "You cannot specify 'IsDefault' for a certificate",
            ));
        }
        let Some(arn) = &certificate.certificate_arn else {
            return Err(error::validation("A certificate ARN must be specified"));
        };
        self.check_certificate(arn)?;
        Ok(Some(arn.clone()))
    }

    fn mutual_tls(
        &self,
        protocol: Protocol,
        asked: Option<&wire::MutualAuthenticationAttributes>,
    ) -> Result<Option<MutualTls>, ApiError> {
        let Some(asked) = asked else {
            return Ok(None);
        };
        if protocol != Protocol::Https {
            return Err(error::validation(
                "Mutual Authentication cannot be set for non secure listeners",
            ));
        }
        let advertise_names = match asked.advertise_trust_store_ca_names.as_deref() {
            Some("on") => OnOff::On,
            _ => OnOff::Off,
        };
        let ignore_expiry = asked.ignore_client_certificate_expiry == Some(true);
        let mode = match asked.mode.as_deref().unwrap_or_default() {
            "verify" => {
                let Some(arn) = &asked.trust_store_arn else {
                    return Err(error::validation(
                        "Mutual Authentication mode verify requires a trust store arn",
                    ));
                };
                return Ok(Some(MutualTls::Verify(VerifyClients {
                    trust_store_arn: self.trust_store(arn)?.arn.clone(),
                    ignore_expiry,
                    advertise_names,
                })));
            }
            "passthrough" => MutualTls::Passthrough,
            "off" => MutualTls::Off,
            _ => {
                return Err(error::validation(
                    "Mutual Authentication mode required not found",
                ));
            }
        };
        if asked.trust_store_arn.is_some() || ignore_expiry || advertise_names == OnOff::On {
            // That these belong to `verify` is documented, the text is not.
            return Err(error::validation(format!(
                "A trust store and its settings cannot be specified for Mutual Authentication mode {}",
                mode.mode()
            )));
        }
        Ok(Some(mode))
    }

    /// Refuses one listener too many that verifies clients: an ALB may have two, "Quotas for your
    /// Application Load Balancers". Code and text are undocumented.
    pub(super) fn check_verifying_listeners(
        &self,
        load_balancer_arn: &str,
        own: Option<&str>,
        security: &Security,
    ) -> Result<(), ApiError> {
        let verifies = |mode: &Option<MutualTls>| matches!(mode, Some(MutualTls::Verify(_)));
        let others = self
            .elbv2
            .listeners_of(load_balancer_arn)
            .filter(|listener| Some(listener.arn.as_str()) != own);
        let count = others.filter(|other| verifies(&other.mutual_tls)).count();
        if verifies(&security.mutual_tls) && count >= VERIFYING_LISTENERS_MAX {
            return Err(error::not_permitted(format!(
                "A load balancer can have up to '{VERIFYING_LISTENERS_MAX}' listeners with the Mutual \
                 Authentication mode verify"
            )));
        }
        Ok(())
    }
}

fn alpn_policy(
    kind: LoadBalancerKind,
    protocol: Protocol,
    asked: Option<&Vec<String>>,
) -> Result<Option<String>, ApiError> {
    let Some(policies) = asked.filter(|policies| !policies.is_empty()) else {
        return Ok(None);
    };
    if kind == LoadBalancerKind::Application {
        return Err(error::configuration(
            "You cannot set ALPN policy on load balancers of type 'application'",
        ));
    }
    let [policy] = policies.as_slice() else {
        return Err(error::validation(format!(
            "Up to '1' ALPN policy can be specified, but '{}' were specified",
            policies.len()
        )));
    };
    if !ALPN_POLICIES.contains(&policy.as_str()) {
        let message = format!("ALPN policy [{policy}] is not found");
        return Err(ApiError::sender("ALPNPolicyNotFound", message));
    }
    if protocol != Protocol::Tls {
        // Undocumented text.
        return Err(error::configuration(format!(
            "You cannot set ALPN policy on {} listeners",
            protocol.as_str()
        )));
    }
    Ok(Some(policy.clone()))
}
