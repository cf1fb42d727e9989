//! Security policies of HTTPS and TLS listeners, and DescribeSSLPolicies.
//!
//! Source: "Security policies for your Application Load Balancer" and its twin for network load
//! balancers. The RFC 9151 family is left out: its exact names could not be verified.

use super::error;
use super::page;
use super::state::LoadBalancerKind;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// What the API gives to a listener that names none.
pub(super) const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

const TLS13: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
const TLS13_FIPS: &[&str] = &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"];
const ECDHE_GCM: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
const ECDHE_CBC: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
];
const ECDHE_SHA1: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
];
const RSA: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
];
const RSA_SHA1: &[&str] = &["AES128-SHA", "AES256-SHA"];

const V13: &[&str] = &["TLSv1.3"];
const V12_13: &[&str] = &["TLSv1.2", "TLSv1.3"];
const V11_13: &[&str] = &["TLSv1.1", "TLSv1.2", "TLSv1.3"];
const V10_13: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const V12: &[&str] = &["TLSv1.2"];
const V11_12: &[&str] = &["TLSv1.1", "TLSv1.2"];
const V10_12: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2"];

type Groups = &'static [&'static [&'static str]];

const RES: Groups = &[ECDHE_GCM];
const STRONG: Groups = &[ECDHE_GCM, ECDHE_CBC];
const EXT0: Groups = &[ECDHE_GCM, ECDHE_CBC, ECDHE_SHA1];
const EXT1: Groups = &[ECDHE_GCM, ECDHE_CBC, RSA];
const EXT2: Groups = &[ECDHE_GCM, ECDHE_CBC, ECDHE_SHA1, RSA, RSA_SHA1];

/// A policy: its name without the common prefix, its protocols, its suites of TLS 1.3 and of the
/// older versions. Policies with post-quantum key exchange (`PQ`) have the suites of their twins.
type Policy = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    Groups,
);

#[rustfmt::skip]
const POLICIES: [Policy; 37] = [
    ("2016-08",                          V10_12, &[],        EXT2),
    ("FS-1-1-2019-08",                   V11_12, &[],        EXT0),
    ("FS-1-2-2019-08",                   V12,    &[],        EXT0),
    ("FS-1-2-Res-2019-08",               V12,    &[],        STRONG),
    ("FS-1-2-Res-2020-10",               V12,    &[],        RES),
    ("FS-2018-06",                       V10_12, &[],        EXT0),
    ("TLS-1-1-2017-01",                  V11_12, &[],        EXT2),
    ("TLS-1-2-2017-01",                  V12,    &[],        EXT1),
    ("TLS-1-2-Ext-2018-06",              V12,    &[],        EXT2),
    ("TLS13-1-0-2021-06",                V10_13, TLS13,      EXT2),
    ("TLS13-1-0-FIPS-2023-04",           V10_13, TLS13_FIPS, EXT2),
    ("TLS13-1-0-FIPS-PQ-2025-09",        V10_13, TLS13_FIPS, EXT2),
    ("TLS13-1-0-PQ-2025-09",             V10_13, TLS13,      EXT2),
    ("TLS13-1-1-2021-06",                V11_13, TLS13,      EXT2),
    ("TLS13-1-1-FIPS-2023-04",           V11_13, TLS13_FIPS, EXT2),
    ("TLS13-1-2-2021-06",                V12_13, TLS13,      STRONG),
    ("TLS13-1-2-Ext0-FIPS-2023-04",      V12_13, TLS13_FIPS, EXT0),
    ("TLS13-1-2-Ext0-FIPS-PQ-2025-09",   V12_13, TLS13_FIPS, EXT0),
    ("TLS13-1-2-Ext1-2021-06",           V12_13, TLS13,      EXT1),
    ("TLS13-1-2-Ext1-FIPS-2023-04",      V12_13, TLS13_FIPS, EXT1),
    ("TLS13-1-2-Ext1-FIPS-PQ-2025-09",   V12_13, TLS13_FIPS, EXT1),
    ("TLS13-1-2-Ext1-PQ-2025-09",        V12_13, TLS13,      EXT1),
    ("TLS13-1-2-Ext2-2021-06",           V12_13, TLS13,      EXT2),
    ("TLS13-1-2-Ext2-FIPS-2023-04",      V12_13, TLS13_FIPS, EXT2),
    ("TLS13-1-2-Ext2-FIPS-PQ-2025-09",   V12_13, TLS13_FIPS, EXT2),
    ("TLS13-1-2-Ext2-PQ-2025-09",        V12_13, TLS13,      EXT2),
    ("TLS13-1-2-FIPS-2023-04",           V12_13, TLS13_FIPS, STRONG),
    ("TLS13-1-2-FIPS-PQ-2025-09",        V12_13, TLS13_FIPS, STRONG),
    ("TLS13-1-2-PQ-2025-09",             V12_13, TLS13,      STRONG),
    ("TLS13-1-2-Res-2021-06",            V12_13, TLS13,      RES),
    ("TLS13-1-2-Res-FIPS-2023-04",       V12_13, TLS13_FIPS, RES),
    ("TLS13-1-2-Res-FIPS-PQ-2025-09",    V12_13, TLS13_FIPS, RES),
    ("TLS13-1-2-Res-PQ-2025-09",         V12_13, TLS13,      RES),
    ("TLS13-1-3-2021-06",                V13,    TLS13,      &[]),
    ("TLS13-1-3-FIPS-2023-04",           V13,    TLS13_FIPS, &[]),
    ("TLS13-1-3-FIPS-PQ-2025-09",        V13,    TLS13_FIPS, &[]),
    ("TLS13-1-3-PQ-2025-09",             V13,    TLS13,      &[]),
];

const PREFIX: &str = "ELBSecurityPolicy-";

/// Whether listeners of that kind of load balancer may have the policy; all are for both kinds.
pub(super) fn is_known(_kind: LoadBalancerKind, name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<&'static Policy> {
    let name = name.strip_prefix(PREFIX)?;
    POLICIES.iter().find(|policy| policy.0 == name)
}

impl Emulator {
    #[expect(
        clippy::unused_self,
        reason = "policies are AWS's, the same in every account"
    )]
    pub(super) fn describe_ssl_policies(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeSSLPoliciesInput,
    ) -> Result<wire::DescribeSSLPoliciesOutput, ApiError> {
        let kind = input.load_balancer_type.as_deref();
        let mut policies: Vec<&Policy> = match &input.names {
            Some(names) if !names.is_empty() => {
                let found = names.iter().map(|name| {
                    find(name).ok_or_else(|| {
                        let message = format!("SSL policy '{name}' not found");
                        ApiError::sender("SSLPolicyNotFound", message)
                    })
                });
                found.collect::<Result<_, _>>()?
            }
            _ => POLICIES.iter().collect(),
        };
        if kind == Some("gateway") {
            return Err(error::not_modelled("LoadBalancerType 'gateway'"));
        }
        policies.sort_unstable_by_key(|policy| policy.0);
        policies.dedup_by_key(|policy| policy.0);
        let page = page::cut(
            policies,
            |policy| policy.0.to_owned(),
            input.marker.as_deref(),
            input.page_size,
        )?;
        Ok(wire::DescribeSSLPoliciesOutput {
            ssl_policies: Some(page.items.into_iter().map(shown).collect()),
            next_marker: page.next_marker,
        })
    }
}

fn shown((name, protocols, tls13, groups): &Policy) -> wire::SslPolicy {
    let suites = tls13.iter().chain(groups.iter().copied().flatten());
    let ciphers = suites.zip(1..).map(|(name, priority)| wire::Cipher {
        name: Some((*name).to_owned()),
        priority: Some(priority),
    });
    let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    wire::SslPolicy {
        name: Some(format!("{PREFIX}{name}")),
        ssl_protocols: texts(protocols),
        ciphers: Some(ciphers.collect()),
        supported_load_balancer_types: texts(&["application", "network"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_known() {
        assert!(POLICIES.iter().map(|policy| policy.0).is_sorted());
        for name in [DEFAULT, "ELBSecurityPolicy-TLS13-1-2-2021-06"] {
            assert!(is_known(LoadBalancerKind::Network, name), "{name}");
        }
        assert!(!is_known(
            LoadBalancerKind::Network,
            "ELBSecurityPolicy-TLS-1-3-2024"
        ));
        assert!(!is_known(LoadBalancerKind::Network, "2016-08"));
    }
}
