//! Listeners: create, describe, modify, delete.

mod security;

use std::collections::{BTreeMap, BTreeSet};

use self::security::Security;
use super::actions::{self, Scope};
use super::protocols::{self, is_quic, is_udp};
use super::state::{
    IpAddressType, Listener, LoadBalancer, LoadBalancerKind, MutualTls, OnOff, Protocol, Rule,
};
use super::subnets::unsupported_on_dualstack;
use super::{arn, attributes, error, load_balancers, page, tags};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    pub(super) fn create_listener(
        &mut self,
        now: Timestamp,
        input: &wire::CreateListenerInput,
    ) -> Result<wire::CreateListenerOutput, ApiError> {
        let lb = self.elbv2.load_balancer(&input.load_balancer_arn)?;
        let port = port(input.port)?
            .ok_or_else(|| error::validation("A listener port must be specified"))?;
        let protocol = protocol(lb, input.protocol.as_deref())?
            .ok_or_else(|| error::validation("A listener protocol must be specified"))?;
        let tags = tags::read(input.tags.as_ref(), self.config.quotas.tags_per_resource)?;
        let asked = security::Asked {
            ssl_policy: input.ssl_policy.as_ref(),
            certificates: input.certificates.as_ref(),
            alpn_policy: input.alpn_policy.as_ref(),
            mutual_authentication: input.mutual_authentication.as_ref(),
        };
        let security = self.security(lb.kind, protocol, &asked, &Security::default())?;
        let existing = self
            .elbv2
            .listeners_of(&lb.arn)
            .find(|listener| listener.port == port);
        let scope = Scope {
            state: &self.elbv2,
            quotas: &self.config.quotas,
            load_balancer: lb,
            protocol,
            replaced_rule: None,
        };
        let actions = actions::check(&scope, &input.default_actions)?;
        if let Some(existing) = existing {
            let same = existing.protocol == protocol
                && Security::of(existing) == security
                && self
                    .elbv2
                    .default_rule(&existing.arn)
                    .is_some_and(|r| r.actions == actions);
            if !same {
                return Err(duplicate(lb));
            }
            let listeners = Some(vec![self.shown_listener(existing)]);
            return Ok(wire::CreateListenerOutput { listeners });
        }
        let quota = match lb.kind {
            LoadBalancerKind::Application => {
                self.config.quotas.listeners_per_application_load_balancer
            }
            LoadBalancerKind::Network => self.config.quotas.listeners_per_network_load_balancer,
        };
        if self.elbv2.listeners_of(&lb.arn).count() >= quota {
            let message = format!("The maximum number of listeners per load balancer is '{quota}'");
            return Err(ApiError::sender("TooManyListeners", message)); // Undocumented text.
        }
        self.check_neighbours(lb, None, protocol)?;
        self.check_verifying_listeners(&lb.arn, None, &security)?;
        let load_balancer_arn = lb.arn.clone();
        let arn = arn::listener(&load_balancer_arn, &self.ids.hex(16));
        let rule_arn = arn::rule(&arn, &self.ids.hex(16));
        let mut listener = Listener {
            arn: arn.clone(),
            load_balancer_arn,
            port,
            protocol,
            ssl_policy: None,
            default_certificate: None,
            certificates: BTreeSet::new(),
            alpn_policy: None,
            mutual_tls: None,
            attributes: BTreeMap::new(),
            tags,
        };
        security.put(&mut listener);
        listener.attributes = attributes::of_listener(&listener);
        let shown_arn = arn.clone();
        self.elbv2.listeners.insert(arn.clone(), listener);
        self.put_rule(
            now,
            Rule {
                arn: rule_arn,
                listener_arn: arn,
                priority: None,
                conditions: Vec::new(),
                actions,
                transforms: Vec::new(),
                tags: BTreeMap::new(),
            },
        );
        let listener = self.elbv2.listener(&shown_arn)?;
        Ok(wire::CreateListenerOutput {
            listeners: Some(vec![self.shown_listener(listener)]),
        })
    }

    /// Refuses a protocol that does not go with the load balancer's other listeners, its addresses
    /// or its security groups.
    fn check_neighbours(
        &self,
        lb: &LoadBalancer,
        own: Option<&str>,
        protocol: Protocol,
    ) -> Result<(), ApiError> {
        let dualstack = lb.ip_address_type != IpAddressType::Ipv4;
        let source_nat = lb.ipv6_source_nat;
        if dualstack && (is_quic(protocol) || (is_udp(protocol) && source_nat == OnOff::Off)) {
            return Err(unsupported_on_dualstack(protocol, source_nat));
        }
        // The NLB guide, "QUIC listeners". Codes and texts are undocumented.
        let others = self.elbv2.listeners_of(&lb.arn);
        let others = others.filter(|listener| Some(listener.arn.as_str()) != own);
        let others: Vec<Protocol> = others.map(|listener| listener.protocol).collect();
        let quic = is_quic(protocol);
        if quic && !lb.security_groups.is_empty() {
            return Err(error::configuration(format!(
                "Listener protocol '{}' is not supported on load balancers with security groups",
                protocol.as_str()
            )));
        }
        if quic && others.iter().any(|other| is_quic(*other)) {
            return Err(error::configuration(
                "A load balancer can only have one listener with the QUIC or TCP_QUIC protocol",
            ));
        }
        let clash = |a: bool, b: fn(Protocol) -> bool| a && others.iter().any(|other| b(*other));
        if clash(quic, is_udp) || clash(is_udp(protocol), is_quic) {
            return Err(error::configuration(
                "A load balancer cannot have both UDP and QUIC listeners",
            ));
        }
        Ok(())
    }

    pub(super) fn describe_listeners(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeListenersInput,
    ) -> Result<wire::DescribeListenersOutput, ApiError> {
        let arns = input.listener_arns.as_ref().filter(|arns| !arns.is_empty());
        let chosen: BTreeSet<&String> = match (&input.load_balancer_arn, arns) {
            (Some(_), Some(_)) => {
                // Undocumented text, after the one for rules.
                return Err(error::validation(
                    "Listener ARNs and a load balancer ARN cannot be specified at the same time",
                ));
            }
            (None, None) => {
                return Err(error::validation(
                    "You must specify either listener ARNs or a load balancer ARN",
                ));
            }
            (Some(arn), None) => {
                let lb = self.elbv2.load_balancer(arn)?;
                self.elbv2
                    .listeners_of(&lb.arn)
                    .map(|listener| &listener.arn)
                    .collect()
            }
            (None, Some(arns)) => {
                load_balancers::check_batch(Some(arns), "listener ARNs")?;
                let found = arns
                    .iter()
                    .map(|arn| self.elbv2.listener(arn).map(|l| &l.arn));
                found.collect::<Result<_, _>>()?
            }
        };
        let page = page::cut(
            chosen.into_iter().collect(),
            |arn| (*arn).clone(),
            input.marker.as_deref(),
            input.page_size,
        )?;
        let found = page
            .items
            .into_iter()
            .filter_map(|arn| self.elbv2.listeners.get(arn));
        Ok(wire::DescribeListenersOutput {
            listeners: Some(
                found
                    .map(|listener| self.shown_listener(listener))
                    .collect(),
            ),
            next_marker: page.next_marker,
        })
    }

    pub(super) fn modify_listener(
        &mut self,
        now: Timestamp,
        input: &wire::ModifyListenerInput,
    ) -> Result<wire::ModifyListenerOutput, ApiError> {
        let old = self.elbv2.listener(&input.listener_arn)?;
        let lb = self.elbv2.load_balancer(&old.load_balancer_arn)?;
        let port = port(input.port)?.unwrap_or(old.port);
        let protocol = protocol(lb, input.protocol.as_deref())?.unwrap_or(old.protocol);
        let others = self.elbv2.listeners_of(&lb.arn);
        if others
            .filter(|listener| listener.arn != old.arn)
            .any(|other| other.port == port)
        {
            return Err(duplicate(lb));
        }
        let asked = security::Asked {
            ssl_policy: input.ssl_policy.as_ref(),
            certificates: input.certificates.as_ref(),
            alpn_policy: input.alpn_policy.as_ref(),
            mutual_authentication: input.mutual_authentication.as_ref(),
        };
        let security = self.security(lb.kind, protocol, &asked, &Security::of(old))?;
        if protocol != old.protocol {
            self.check_neighbours(lb, Some(&old.arn), protocol)?;
        }
        self.check_verifying_listeners(&lb.arn, Some(&old.arn), &security)?;
        let Some(default) = self.elbv2.default_rule(&old.arn) else {
            return Err(error::no_rule());
        };
        let scope = |rule: &Rule, actions: &[wire::Action]| {
            let scope = Scope {
                state: &self.elbv2,
                quotas: &self.config.quotas,
                load_balancer: lb,
                protocol,
                replaced_rule: Some(&rule.arn),
            };
            actions::check(&scope, actions)
        };
        let actions = match &input.default_actions {
            Some(actions) => Some(scope(default, actions)?),
            None if protocol != old.protocol => Some(scope(default, &default.actions)?),
            None => None,
        };
        if protocol != old.protocol {
            // The rules must go with the new protocol too.
            for rule in self
                .elbv2
                .rules_of(&old.arn)
                .filter(|rule| rule.priority.is_some())
            {
                scope(rule, &rule.actions)?;
            }
        }
        let mut listener = Listener {
            port,
            protocol,
            ..old.clone()
        };
        security.put(&mut listener);
        if !protocols::is_secure(protocol) {
            listener.certificates.clear();
        }
        let fresh = attributes::of_listener(&listener);
        let kept = |(key, value): (String, String)| {
            let value = listener.attributes.get(&key).cloned().unwrap_or(value);
            (key, value)
        };
        listener.attributes = fresh.into_iter().map(kept).collect();
        let changed = actions.map(|actions| Rule {
            actions,
            ..default.clone()
        });
        let arn = listener.arn.clone();
        self.elbv2.listeners.insert(arn.clone(), listener);
        self.elbv2.touch();
        if let Some(rule) = changed {
            self.put_rule(now, rule);
        }
        let listener = self.elbv2.listener(&arn)?;
        Ok(wire::ModifyListenerOutput {
            listeners: Some(vec![self.shown_listener(listener)]),
        })
    }

    pub(super) fn delete_listener(
        &mut self,
        now: Timestamp,
        input: &wire::DeleteListenerInput,
    ) -> Result<wire::DeleteListenerOutput, ApiError> {
        let arn = self.elbv2.listener(&input.listener_arn)?.arn.clone();
        self.remove_listener(now, &arn);
        Ok(wire::DeleteListenerOutput {})
    }

    /// Removes a listener with its rules.
    pub(super) fn remove_listener(&mut self, now: Timestamp, arn: &str) {
        let rules: Vec<String> = self
            .elbv2
            .rules_of(arn)
            .map(|rule| rule.arn.clone())
            .collect();
        for rule in rules {
            self.remove_rule(now, &rule);
        }
        self.elbv2.listeners.remove(arn);
        self.elbv2.touch();
    }

    fn shown_listener(&self, listener: &Listener) -> wire::Listener {
        let default = self.elbv2.default_rule(&listener.arn);
        let certificate = |arn: &String| {
            vec![wire::Certificate {
                certificate_arn: Some(arn.clone()),
                is_default: None,
            }]
        };
        wire::Listener {
            alpn_policy: listener.alpn_policy.clone().map(|policy| vec![policy]),
            certificates: listener.default_certificate.as_ref().map(certificate),
            default_actions: Some(default.map_or(Vec::new(), |rule| actions::shown(&rule.actions))),
            listener_arn: Some(listener.arn.clone()),
            load_balancer_arn: Some(listener.load_balancer_arn.clone()),
            mutual_authentication: listener.mutual_tls.as_ref().map(shown_mutual_tls),
            port: Some(i32::from(listener.port)),
            protocol: Some(listener.protocol.as_str().to_owned()),
            ssl_policy: listener.ssl_policy.clone(),
        }
    }
}

fn shown_mutual_tls(mutual_tls: &MutualTls) -> wire::MutualAuthenticationAttributes {
    let mode = Some(mutual_tls.mode().to_owned());
    match mutual_tls {
        MutualTls::Off | MutualTls::Passthrough => wire::MutualAuthenticationAttributes {
            mode,
            ..Default::default()
        },
        MutualTls::Verify(verify) => wire::MutualAuthenticationAttributes {
            mode,
            trust_store_arn: Some(verify.trust_store_arn.clone()),
            ignore_client_certificate_expiry: Some(verify.ignore_expiry),
            advertise_trust_store_ca_names: Some(verify.advertise_names.as_str().to_owned()),
            ..Default::default()
        },
    }
}

fn duplicate(lb: &LoadBalancer) -> ApiError {
    let arn = &lb.arn;
    let message = format!("A listener already exists on this port for this load balancer '{arn}'");
    ApiError::sender("DuplicateListener", message)
}

/// A port, whose range the framework has checked.
fn port(port: Option<i32>) -> Result<Option<u16>, ApiError> {
    let read = |port| u16::try_from(port).map_err(|_| error::validation("The port is not valid"));
    port.map(read).transpose()
}

/// A protocol that the kind of load balancer has.
fn protocol(lb: &LoadBalancer, text: Option<&str>) -> Result<Option<Protocol>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let allowed = protocols::of_listeners(lb.kind);
    match Protocol::parse(text) {
        Some(protocol) if allowed.contains(&protocol) => Ok(Some(protocol)),
        _ => Err(error::validation(format!(
            "Listener protocol '{text}' must be one of '{}'",
            protocols::joined(allowed)
        ))),
    }
}
