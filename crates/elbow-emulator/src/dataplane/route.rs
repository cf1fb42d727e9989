//! The decisions themselves: one request through an application load balancer, one flow through a
//! network load balancer.
//!
//! In: the emulator's state, the time, and a request or a flow. Out: a complete decision. Always:
//! nothing is changed, so the same question can be asked between any two control-plane calls; rules
//! are tried in ascending priority and the default rule last.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::conditions::Condition;
use super::forward::{ForwardAction, TargetPolicy};
use super::headers::{FORWARDED_ADDRESSES_MAX, forwarded_addresses};
use super::nlb::{
    self, Flow, FlowDecision, FlowFate, FlowForward, IDLE_SECONDS_DEFAULT, RefuseReason,
    TargetLife, UDP_IDLE_SECONDS,
};
use super::pick::{FixedPick, Picker};
use super::redirect;
use super::request::{
    Decision, ErrorReason, ErrorResponse, FixedResponse, Forward, HttpVersion, Redirect,
    RequestHead, Scheme, TargetEndpoint, TargetHttpVersion,
};
use super::targets::{Member, Standing};
use super::transforms::{self, Rewritten};
use crate::elbv2::state::{
    Health, Listener, LoadBalancerKind, Protocol, ProtocolVersion, Rule, Target, TargetGroup,
    TargetType,
};
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    /// What an application load balancer does with a request.
    ///
    /// `pick` decides among weighted target groups and among targets; see [`FixedPick`].
    pub fn route(
        &self,
        now: Timestamp,
        listener_arn: &str,
        request: &RequestHead,
        pick: u64,
    ) -> Decision {
        self.route_with(now, listener_arn, request, &mut FixedPick(pick))
    }

    /// [`Emulator::route`] for a server that counts its choices.
    pub fn route_with(
        &self,
        now: Timestamp,
        listener_arn: &str,
        request: &RequestHead,
        picker: &mut dyn Picker,
    ) -> Decision {
        let serving = self.serving_listener(now, listener_arn, LoadBalancerKind::Application);
        let Some((_, listener)) = serving else {
            return error(None, 503, ErrorReason::NotServing);
        };
        if let Err(refused) = admit(request) {
            return refused;
        }
        let Some(rule) = self.matching_rule(&listener.arn, request) else {
            return error(None, 503, ErrorReason::NotServing);
        };
        self.act(now, listener, rule, request, picker)
    }

    /// The rule that a request meets: the first by priority whose conditions all hold.
    fn matching_rule(&self, listener_arn: &str, request: &RequestHead) -> Option<&Rule> {
        let mut rules = self.elbv2.rules_in_order(listener_arn).into_iter();
        rules.find(|rule| {
            rule.conditions
                .iter()
                .all(|condition| Condition::read(condition).is_met_by(request))
        })
    }

    fn act(
        &self,
        now: Timestamp,
        listener: &Listener,
        rule: &Rule,
        request: &RequestHead,
        picker: &mut dyn Picker,
    ) -> Decision {
        let fail = |status, reason| error(Some(&rule.arn), status, reason);
        let Ok(rewritten) = transforms::apply(&rule.transforms, request) else {
            return fail(500, ErrorReason::TransformFailed);
        };
        // Authentication comes before the routing action; to pass a request on without it would be
        // worse than to fail.
        let Some(action) = routing_action(rule) else {
            return fail(500, ErrorReason::NotModelled);
        };
        match action.r#type.as_str() {
            "redirect" => {
                let Some(config) = &action.redirect_config else {
                    return fail(500, ErrorReason::NotModelled);
                };
                match redirect::location(config, request, &rewritten, listener.port) {
                    Some(location) => Decision::Redirect(Redirect {
                        rule_arn: rule.arn.clone(),
                        status: redirect::status(config),
                        location,
                    }),
                    None => fail(507, ErrorReason::RedirectTooLong),
                }
            }
            "fixed-response" => {
                let Some(config) = &action.fixed_response_config else {
                    return fail(500, ErrorReason::NotModelled);
                };
                Decision::Fixed(FixedResponse {
                    rule_arn: rule.arn.clone(),
                    status: config.status_code.parse().unwrap_or(500),
                    content_type: config
                        .content_type
                        .clone()
                        .unwrap_or_else(|| "text/plain".to_owned()),
                    body: config.message_body.clone().unwrap_or_default(),
                })
            }
            "forward" => self.forward(
                now,
                rule,
                &ForwardAction::read(action),
                (request, rewritten),
                picker,
            ),
            _ => fail(500, ErrorReason::NotModelled),
        }
    }

    fn forward(
        &self,
        now: Timestamp,
        rule: &Rule,
        action: &ForwardAction,
        (request, rewritten): (&RequestHead, Rewritten),
        picker: &mut dyn Picker,
    ) -> Decision {
        let fail = |status, reason| error(Some(&rule.arn), status, reason);
        let Some(group) = action.choose(request, &rule.arn, now, picker) else {
            return fail(503, ErrorReason::NoWeight);
        };
        let Some(target_group) = self.elbv2.target_groups.get(&group.value.arn) else {
            return fail(503, ErrorReason::NoTargets);
        };
        let version = target_version(target_group);
        if !speaks(request, version) {
            return fail(464, ErrorReason::ProtocolMismatch);
        }
        let policy = TargetPolicy::from_attributes(&target_group.attributes);
        let members = self.members(target_group);
        let subject = (target_group.arn.as_str(), action.round());
        let Some(target) = policy.choose(&members, request, subject, now, picker) else {
            return fail(503, ErrorReason::NoTargets);
        };
        Decision::Forward(Box::new(Forward {
            rule_arn: rule.arn.clone(),
            target_group_arn: target_group.arn.clone(),
            target: target.value,
            scheme: if target_group.protocol == Protocol::Https {
                Scheme::Https
            } else {
                Scheme::Http
            },
            version,
            host: rewritten.host,
            path_and_query: rewritten.path_and_query,
            set_cookies: [group.set_cookies, target.set_cookies].concat(),
            app_cookie: target.app_cookie,
        }))
    }

    /// What a network load balancer does with a new flow.
    pub fn route_flow(&self, now: Timestamp, listener_arn: &str, flow: &Flow) -> FlowDecision {
        let serving = self.serving_listener(now, listener_arn, LoadBalancerKind::Network);
        let Some((_, listener)) = serving else {
            return FlowDecision::Refuse(RefuseReason::NotServing);
        };
        let Some(rule) = self.matching_flow_rule(listener_arn, flow.client.ip()) else {
            return FlowDecision::Refuse(RefuseReason::NotServing);
        };
        let action = routing_action(rule)
            .map(ForwardAction::read)
            .unwrap_or_default();
        let seed = self.config.seed;
        let Some(arn) = nlb::choose_group(&action, flow, seed) else {
            return FlowDecision::Refuse(RefuseReason::NoWeight);
        };
        let target_group = self.elbv2.target_groups.get(arn);
        let chosen = target_group.and_then(|group| {
            let target = nlb::choose_target(&group.attributes, &self.members(group), flow, seed)?;
            Some((group, target))
        });
        let Some((target_group, target)) = chosen else {
            return FlowDecision::Refuse(RefuseReason::NoTargets);
        };
        let idle = match listener.protocol {
            Protocol::Tls => None,
            _ => listener.attribute("tcp.idle_timeout.seconds").parse().ok(),
        };
        FlowDecision::Forward(Box::new(FlowForward {
            rule_arn: rule.arn.clone(),
            target_group_arn: target_group.arn.clone(),
            target,
            tls: target_group.protocol == Protocol::Tls,
            proxy_protocol: target_group.attribute("proxy_protocol_v2.enabled") == "true",
            preserve_client_ip: target_group.attribute("preserve_client_ip.enabled") == "true",
            idle_timeout: Duration::from_secs(idle.unwrap_or(IDLE_SECONDS_DEFAULT)),
        }))
    }

    /// What a network load balancer does with the datagrams from one client address and port.
    ///
    /// For UDP, a flow is told by the addresses and ports alone ("Network Load Balancer components"),
    /// so that the same client address and port come to the same target again while the candidates
    /// stay the same. What the PROXY protocol does with datagrams is undocumented: they get no header.
    pub fn route_datagrams(
        &self,
        now: Timestamp,
        listener_arn: &str,
        client: SocketAddr,
        local: SocketAddr,
    ) -> FlowDecision {
        let flow = Flow {
            client,
            local,
            sequence: 0,
        };
        match self.route_flow(now, listener_arn, &flow) {
            FlowDecision::Forward(forward) => FlowDecision::Forward(Box::new(FlowForward {
                proxy_protocol: false,
                idle_timeout: Duration::from_secs(UDP_IDLE_SECONDS),
                ..*forward
            })),
            refused @ FlowDecision::Refuse(_) => refused,
        }
    }

    /// Whether a flow that went to a target some time ago may go on.
    pub fn flow_fate(
        &self,
        listener_arn: &str,
        client: IpAddr,
        target_group_arn: &str,
        target: &TargetEndpoint,
    ) -> FlowFate {
        let action = self
            .matching_flow_rule(listener_arn, client)
            .and_then(routing_action)
            .map(ForwardAction::read)
            .unwrap_or_default();
        let weight = action
            .groups
            .iter()
            .find(|group| group.arn == target_group_arn)
            .map(|group| group.weight);
        let Some(group) = self.elbv2.target_groups.get(target_group_arn) else {
            return nlb::fate(&BTreeMap::new(), weight, None, false);
        };
        let mut targets = group.targets.iter();
        let life = targets
            .find(|(key, _)| key.id == target.id && key.port == target.port)
            .map(|(_, found)| life(found));
        nlb::fate(
            &group.attributes,
            weight,
            life,
            nlb::fails_open(&self.members(group)),
        )
    }

    /// Whether a request that went to a target some time ago may still be answered by it: until its
    /// deregistration delay is over. A target group that was deleted lets its requests finish.
    pub fn may_still_answer(&self, target_group_arn: &str, target: &TargetEndpoint) -> bool {
        self.elbv2
            .target_groups
            .get(target_group_arn)
            .is_none_or(|group| {
                group
                    .targets
                    .keys()
                    .any(|key| key.id == target.id && key.port == target.port)
            })
    }

    /// The rules of a network load balancer know the client's address and nothing else.
    fn matching_flow_rule(&self, listener_arn: &str, client: IpAddr) -> Option<&Rule> {
        self.matching_rule(
            listener_arn,
            &RequestHead {
                peer: client,
                ..RequestHead::get("", "/")
            },
        )
    }

    /// The targets of a group that can be dialed, in the order of id and port.
    fn members(&self, group: &TargetGroup) -> Vec<Member> {
        let member = |id: &str, port: u16, target: &Target| {
            // An instance is reached at its private address; a load balancer as a target wherever it
            // is served.
            let instance = || {
                self.ec2
                    .instances
                    .get(id)
                    .map(|instance| IpAddr::from(instance.private_ip))
            };
            let address = match group.target_type {
                TargetType::Alb => Some(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
                TargetType::Ip | TargetType::Instance => id.parse().ok().or_else(instance),
            }?;
            let endpoint = TargetEndpoint {
                id: id.to_owned(),
                address,
                port,
            };
            Some(Member {
                endpoint,
                standing: standing(target),
            })
        };
        group
            .targets
            .iter()
            .filter_map(|(key, target)| member(&key.id, key.port, target))
            .collect()
    }
}

/// Refuses what no rule is asked about.
fn admit(request: &RequestHead) -> Result<(), Decision> {
    if request.method == "TRACE" {
        return Err(error(None, 405, ErrorReason::MethodNotAllowed));
    }
    let is_target =
        request.path.starts_with('/') || (request.path == "*" && request.method == "OPTIONS");
    if !is_target || (request.host.is_empty() && request.http_version != HttpVersion::Http10) {
        return Err(error(None, 400, ErrorReason::BadRequest));
    }
    if forwarded_addresses(request.header_values("x-forwarded-for")) > FORWARDED_ADDRESSES_MAX {
        return Err(error(None, 463, ErrorReason::TooManyForwardedAddresses));
    }
    Ok(())
}

/// The one action of a rule, unless something has to happen before it that is not modelled.
fn routing_action(rule: &Rule) -> Option<&wire::Action> {
    match rule.actions.as_slice() {
        [action] => Some(action),
        _ => None,
    }
}

fn error(rule_arn: Option<&str>, status: u16, reason: ErrorReason) -> Decision {
    Decision::Error(ErrorResponse {
        rule_arn: rule_arn.map(str::to_owned),
        status,
        reason,
    })
}

fn target_version(group: &TargetGroup) -> TargetHttpVersion {
    match group.protocol_version {
        Some(ProtocolVersion::Http2) => TargetHttpVersion::Http2,
        Some(ProtocolVersion::Grpc) => TargetHttpVersion::Grpc,
        Some(ProtocolVersion::Http1) | None => TargetHttpVersion::Http1,
    }
}

/// Whether the client's protocol can be passed on to a target group of the version.
pub(super) fn speaks(request: &RequestHead, version: TargetHttpVersion) -> bool {
    match version {
        TargetHttpVersion::Http1 => !request.is_grpc(),
        TargetHttpVersion::Http2 => request.http_version == HttpVersion::Http2,
        TargetHttpVersion::Grpc => {
            let is_call = request.is_grpc() || request.method == "POST";
            request.http_version == HttpVersion::Http2 && is_call
        }
    }
}

fn standing(target: &Target) -> Standing {
    match &target.health {
        Health::Healthy => Standing::Healthy,
        Health::Registering(_)
        | Health::InitialChecks
        | Health::Unhealthy(_)
        | Health::UnhealthyDraining(_) => Standing::Doubtful,
        Health::Unused(_) | Health::Draining(_) => Standing::Out,
    }
}

fn life(target: &Target) -> TargetLife {
    match &target.health {
        Health::Unhealthy(_) => TargetLife::Unhealthy,
        Health::UnhealthyDraining(_) | Health::Draining(_) => TargetLife::Draining,
        _ => TargetLife::Other,
    }
}
