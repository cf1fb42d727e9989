//! What Elastic Load Balancing remembers: load balancers, listeners, rules and target groups.
//!
//! Comes in: nothing but the operations of this module's siblings. Goes out: read access for the
//! data plane and for EC2 (which security groups and subnets are in use).
//! Always holds: every listener's load balancer exists; every rule's listener exists; every
//! listener has exactly one default rule; every target group that an action names exists and is
//! used by one load balancer at most; every trust store that a listener names exists. ARNs nest, so that the children of a resource are a
//! contiguous range of the ordered maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::generated::elbv2 as wire;
use crate::time::Timestamp;

/// All ELBv2 resources of one account and region.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By load balancer ARN.
    pub(crate) load_balancers: BTreeMap<String, LoadBalancer>,
    /// By listener ARN.
    pub(crate) listeners: BTreeMap<String, Listener>,
    /// By rule ARN. Default rules are in here too; they alone have no priority.
    pub(crate) rules: BTreeMap<String, Rule>,
    /// By target group ARN.
    pub(crate) target_groups: BTreeMap<String, TargetGroup>,
    /// By trust store ARN.
    pub(crate) trust_stores: BTreeMap<String, TrustStore>,
    /// Target group ARN -> ARNs of the rules whose actions forward to it. Kept by
    /// [`State::put_rule`] and [`State::remove_rule`] alone.
    pub(crate) references: BTreeMap<String, BTreeSet<String>>,
    /// Network interfaces that outlive their load balancer for a while.
    pub(crate) lingering_interfaces: Vec<LingeringInterfaces>,
    /// Grows whenever something that the data plane reads may have changed.
    pub(crate) revision: u64,
    /// The number of the next probe, see [`super::probes`].
    pub(crate) next_probe: u64,
    /// No later than the first thing that falls due; `None` while nothing does. Lets a request
    /// pass at once when nothing has happened since the last one.
    pub(crate) next_due: Option<Timestamp>,
}

/// Which kind of load balancer: what AWS calls its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LoadBalancerKind {
    /// HTTP and HTTPS listeners.
    Application,
    /// TCP, TLS, UDP and QUIC listeners.
    Network,
}

/// Whether clients come from the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Public addresses.
    InternetFacing,
    /// Private addresses of the VPC only.
    Internal,
}

/// Which addresses the nodes of a load balancer have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpAddressType {
    /// IPv4 only.
    Ipv4,
    /// IPv4 and IPv6.
    Dualstack,
    /// Public IPv6, private IPv4 (application load balancers only).
    DualstackWithoutPublicIpv4,
}

/// Where a load balancer stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadBalancerState {
    /// Accepts configuration, answers no traffic yet.
    Provisioning,
    /// Serves traffic.
    Active,
}

/// One enabled zone of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZoneMapping {
    /// The subnet in which the node of the zone stands.
    pub(crate) subnet_id: String,
    /// Name of the zone, such as `eu-west-1a`.
    pub(crate) zone: String,
    /// Elastic IP of an internet-facing network load balancer.
    pub(crate) allocation_id: Option<String>,
    /// Chosen address of an internal network load balancer.
    pub(crate) private_ipv4: Option<String>,
    /// Chosen IPv6 address of a network load balancer.
    pub(crate) ipv6: Option<String>,
    /// `/80` prefix, or `auto_assigned`, for source NAT of IPv6 UDP.
    pub(crate) source_nat_ipv6_prefix: Option<String>,
}

/// An application or network load balancer.
#[derive(Debug, Clone)]
pub(crate) struct LoadBalancer {
    /// `arn:…:loadbalancer/app|net/NAME/ID`.
    pub(crate) arn: String,
    /// The name given at creation.
    pub(crate) name: String,
    /// The name under which clients find it.
    pub(crate) dns_name: String,
    /// Route 53 zone of `dns_name`, differing by region and kind.
    pub(crate) canonical_hosted_zone_id: Option<&'static str>,
    /// Application or network.
    pub(crate) kind: LoadBalancerKind,
    /// Internet-facing or internal.
    pub(crate) scheme: Scheme,
    /// Provisioning, then active from `provisioned_at` on.
    pub(crate) state: LoadBalancerState,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// When it becomes, or became, active.
    pub(crate) provisioned_at: Timestamp,
    /// VPC of all its subnets.
    pub(crate) vpc_id: String,
    /// Enabled zones, in the order of the request, one subnet each.
    pub(crate) zones: Vec<ZoneMapping>,
    /// Security groups, in the order of the request. Empty only for a network load balancer that
    /// was created without any, and which then can never have one.
    pub(crate) security_groups: Vec<String>,
    /// Addresses of its nodes.
    pub(crate) ip_address_type: IpAddressType,
    /// Network load balancers with security groups: whether inbound rules judge PrivateLink
    /// traffic.
    pub(crate) private_link_inbound_rules: Option<OnOff>,
    /// Network load balancers: source NAT with an IPv6 prefix, needed by UDP on dualstack.
    pub(crate) ipv6_source_nat: OnOff,
    /// Every attribute that applies to the kind, set or default.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// `on` or `off`, as AWS spells some switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnOff {
    /// `on`
    On,
    /// `off`
    Off,
}

/// Protocols of listeners, target groups and health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// Application load balancers.
    Http,
    /// Application load balancers, TLS ended at the listener.
    Https,
    /// Network load balancers.
    Tcp,
    /// Network load balancers, TLS ended at the listener.
    Tls,
    /// Network load balancers.
    Udp,
    /// Network load balancers: both on one port.
    TcpUdp,
    /// Network load balancers: QUIC passed through.
    Quic,
    /// Network load balancers: TCP and QUIC on one port.
    TcpQuic,
}

/// Mutual TLS of an HTTPS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MutualTls {
    /// Clients are not asked for a certificate.
    Off,
    /// The client's chain is handed to the target unverified.
    Passthrough,
    /// Clients without a certificate of the trust store's authorities are refused.
    Verify(VerifyClients),
}

/// How clients are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifyClients {
    /// The authorities.
    pub(crate) trust_store_arn: String,
    /// Whether an expired certificate will do.
    pub(crate) ignore_expiry: bool,
    /// Whether clients are told the names of the authorities.
    pub(crate) advertise_names: OnOff,
}

/// Certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustStore {
    /// `arn:…:truststore/NAME/ID`.
    pub(crate) arn: String,
    /// The name given at creation.
    pub(crate) name: String,
    /// Their certificates, as PEM.
    pub(crate) bundle: String,
    /// How many certificates that is.
    pub(crate) certificates: usize,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// A port of a load balancer.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// `arn:…:listener/app|net/NAME/LBID/ID`.
    pub(crate) arn: String,
    /// The load balancer it belongs to.
    pub(crate) load_balancer_arn: String,
    /// 1 to 65535.
    pub(crate) port: u16,
    /// What clients speak.
    pub(crate) protocol: Protocol,
    /// HTTPS and TLS only.
    pub(crate) ssl_policy: Option<String>,
    /// HTTPS and TLS only: the certificate for clients that no other fits.
    pub(crate) default_certificate: Option<String>,
    /// The SNI list, in ascending order of ARN. The default certificate may be in it as well.
    pub(crate) certificates: BTreeSet<String>,
    /// TLS only.
    pub(crate) alpn_policy: Option<String>,
    /// HTTPS only.
    pub(crate) mutual_tls: Option<MutualTls>,
    /// Every attribute that applies to the protocol, set or default.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// A rule of a listener. Its actions and conditions are kept as DescribeRules returns them:
/// defaults filled in, both spellings of a single target group present.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// `arn:…:listener-rule/app|net/NAME/LBID/LSID/ID`.
    pub(crate) arn: String,
    /// The listener it belongs to.
    pub(crate) listener_arn: String,
    /// 1 to 50000; the default rule has none and comes last.
    pub(crate) priority: Option<u16>,
    /// All must hold. Empty for the default rule.
    pub(crate) conditions: Vec<wire::RuleCondition>,
    /// In ascending order; the last one routes.
    pub(crate) actions: Vec<wire::Action>,
    /// At most one of each type.
    pub(crate) transforms: Vec<wire::RuleTransform>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// What the targets of a group are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetType {
    /// EC2 instances, by id.
    Instance,
    /// Addresses.
    Ip,
    /// One application load balancer, by ARN, behind a network load balancer.
    Alb,
}

/// What an HTTP or HTTPS target group speaks to its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolVersion {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
    /// gRPC over HTTP/2
    Grpc,
}

/// The address family of a target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetFamily {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

/// Where health checks knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HealthCheckPort {
    /// The port at which the target takes traffic.
    TrafficPort,
    /// The same port on each target.
    Fixed(u16),
}

/// The health check of a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// HTTP, HTTPS or TCP.
    pub(crate) protocol: Protocol,
    /// Where to knock.
    pub(crate) port: HealthCheckPort,
    /// HTTP and HTTPS only.
    pub(crate) path: Option<String>,
    /// Seconds between two checks of one target.
    pub(crate) interval_seconds: u16,
    /// Seconds after which silence is failure.
    pub(crate) timeout_seconds: u16,
    /// Passes in a row after which an unhealthy target is healthy.
    pub(crate) healthy_threshold: u8,
    /// Failures in a row after which a healthy target is unhealthy.
    pub(crate) unhealthy_threshold: u8,
    /// HTTP or gRPC codes that pass; HTTP and HTTPS only.
    pub(crate) matcher: Option<Matcher>,
}

/// Codes that a health check takes for success, in AWS's notation (`200,202` or `200-299`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Matcher {
    /// HTTP status codes.
    Http(String),
    /// gRPC status codes.
    Grpc(String),
}

/// Targets of one kind, with the health check that judges them.
#[derive(Debug, Clone)]
pub(crate) struct TargetGroup {
    /// `arn:…:targetgroup/NAME/ID`.
    pub(crate) arn: String,
    /// The name given at creation.
    pub(crate) name: String,
    /// What targets speak.
    pub(crate) protocol: Protocol,
    /// HTTP and HTTPS only.
    pub(crate) protocol_version: Option<ProtocolVersion>,
    /// Port of targets that are registered without one.
    pub(crate) port: u16,
    /// VPC of the targets.
    pub(crate) vpc_id: String,
    /// Instances, addresses or a load balancer.
    pub(crate) target_type: TargetType,
    /// Address family of the targets.
    pub(crate) family: TargetFamily,
    /// How targets are judged.
    pub(crate) health_check: HealthCheck,
    /// Every attribute that applies to the group, set or default.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// Registered and draining targets.
    pub(crate) targets: BTreeMap<TargetKey, Target>,
}

/// What tells two targets of a group apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TargetKey {
    /// Instance id, address or load balancer ARN.
    pub(crate) id: String,
    /// The port at which it takes traffic.
    pub(crate) port: u16,
}

/// A target in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The zone it belongs to: that of its subnet, or the one given at registration. `None`
    /// stands for `all`.
    pub(crate) zone: Option<String>,
    /// The zone as registered, echoed by DescribeTargetHealth.
    pub(crate) requested_zone: Option<String>,
    /// QUIC groups only: `0x` and 16 hexadecimal digits.
    pub(crate) quic_server_id: Option<String>,
    /// When it was registered (again).
    pub(crate) registered_at: Timestamp,
    /// Where it stands.
    pub(crate) health: Health,
    /// Checks passed in a row.
    pub(crate) passes: u8,
    /// Checks failed in a row.
    pub(crate) failures: u8,
    /// When the next check is due; `None` while none is (unused, draining, or a probe is out).
    pub(crate) next_check_at: Option<Timestamp>,
    /// The check that is under way, if any.
    pub(crate) probe: Option<ProbeId>,
}

/// Identifies one health check under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeId(pub(crate) u64);

/// The health of a target, with the reason where AWS tells one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// No check is made and no traffic is sent.
    Unused(UnusedReason),
    /// The registration is spreading through the load balancer, until the time given.
    Registering(Timestamp),
    /// No check has passed yet, and too few have failed to call it unhealthy.
    InitialChecks,
    /// Takes traffic.
    Healthy,
    /// Takes traffic only when every target is unhealthy.
    Unhealthy(UnhealthyReason),
    /// Network load balancers: unhealthy, and existing connections may go on until the time given.
    UnhealthyDraining(Timestamp),
    /// Deregistered: no new traffic, gone at the time given.
    Draining(Timestamp),
}

/// Why a target is unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnusedReason {
    /// No action of a listener forwards to the group.
    GroupNotInUse,
    /// The zone of the target is not enabled for the load balancer.
    ZoneNotEnabled,
}

/// Why a target is unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnhealthyReason {
    /// The code that came is not one of the matcher's.
    ResponseCodeMismatch(String),
    /// Nothing came in time.
    Timeout,
    /// No connection, or an answer that is none.
    FailedHealthChecks,
}

/// Network interfaces of a deleted load balancer, which hold its security groups and subnets
/// until AWS has taken them down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LingeringInterfaces {
    /// The deleted load balancer.
    pub(crate) load_balancer_arn: String,
    /// Its security groups.
    pub(crate) security_groups: Vec<String>,
    /// Its subnets.
    pub(crate) subnets: Vec<String>,
    /// When they are gone.
    pub(crate) until: Timestamp,
}

// === impl State ===

/// The prefix of the ARNs below `arn` when its resource type is `child`: a listener's rules, a
/// load balancer's listeners.
fn child_prefix(arn: &str, parent: &str, child: &str) -> String {
    let mut prefix = arn.replacen(&format!(":{parent}/"), &format!(":{child}/"), 1);
    prefix.push('/');
    prefix
}

/// The contiguous part of `map` whose keys start with `prefix`.
fn below<T>(
    map: &BTreeMap<String, T>,
    prefix: String,
) -> impl Iterator<Item = (&String, &T)> + use<'_, T> {
    map.range(prefix.clone()..)
        .take_while(move |(key, _)| key.starts_with(&prefix))
}

impl State {
    /// A number that grows when the data plane's view of the state may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Notes that the data plane's view may have changed.
    pub(crate) fn touch(&mut self) {
        self.revision += 1;
    }

    /// Notes that something falls due.
    pub(crate) fn schedule(&mut self, at: Timestamp) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    /// The listeners of a load balancer, by ARN.
    pub(crate) fn listeners_of(
        &self,
        load_balancer_arn: &str,
    ) -> impl Iterator<Item = &Listener> + use<'_> {
        let prefix = child_prefix(load_balancer_arn, "loadbalancer", "listener");
        below(&self.listeners, prefix).map(|(_, listener)| listener)
    }

    /// The rules of a listener by ARN, the default rule among them.
    pub(crate) fn rules_of(&self, listener_arn: &str) -> impl Iterator<Item = &Rule> + use<'_> {
        let prefix = child_prefix(listener_arn, "listener", "listener-rule");
        below(&self.rules, prefix).map(|(_, rule)| rule)
    }

    /// The rules of a listener as they are tried: ascending priority, the default rule last.
    pub(crate) fn rules_in_order(&self, listener_arn: &str) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = self.rules_of(listener_arn).collect();
        rules.sort_by_key(|rule| (rule.priority.is_none(), rule.priority));
        rules
    }

    /// The default rule of a listener.
    pub(crate) fn default_rule(&self, listener_arn: &str) -> Option<&Rule> {
        self.rules_of(listener_arn)
            .find(|rule| rule.priority.is_none())
    }

    /// The rules of all listeners of a load balancer.
    pub(crate) fn rules_of_load_balancer(
        &self,
        load_balancer_arn: &str,
    ) -> impl Iterator<Item = &Rule> + use<'_> {
        let prefix = child_prefix(load_balancer_arn, "loadbalancer", "listener-rule");
        below(&self.rules, prefix).map(|(_, rule)| rule)
    }

    /// The load balancer whose listeners forward to a target group; there is one at most.
    pub(crate) fn load_balancer_of(&self, target_group_arn: &str) -> Option<&LoadBalancer> {
        let rule = self
            .rules
            .get(self.references.get(target_group_arn)?.first()?)?;
        let listener = self.listeners.get(&rule.listener_arn)?;
        self.load_balancers.get(&listener.load_balancer_arn)
    }

    /// The target groups that a load balancer's listeners forward to.
    pub(crate) fn target_groups_of(&self, load_balancer_arn: &str) -> BTreeSet<&str> {
        self.rules_of_load_balancer(load_balancer_arn)
            .flat_map(|rule| super::actions::target_group_arns(&rule.actions))
            .collect()
    }

    /// Adds or replaces a rule and keeps `references` right.
    pub(crate) fn put_rule(&mut self, rule: Rule) {
        self.forget_references(&rule.arn);
        for target_group in super::actions::target_group_arns(&rule.actions) {
            self.references
                .entry(target_group.to_owned())
                .or_default()
                .insert(rule.arn.clone());
        }
        self.rules.insert(rule.arn.clone(), rule);
        self.touch();
    }

    /// Removes a rule and keeps `references` right.
    pub(crate) fn remove_rule(&mut self, arn: &str) {
        self.forget_references(arn);
        self.rules.remove(arn);
        self.touch();
    }

    fn forget_references(&mut self, rule_arn: &str) {
        let Some(old) = self.rules.get(rule_arn) else {
            return;
        };
        for target_group in super::actions::target_group_arns(&old.actions) {
            if let Some(rules) = self.references.get_mut(target_group) {
                rules.remove(rule_arn);
                if rules.is_empty() {
                    self.references.remove(target_group);
                }
            }
        }
    }

    /// Every security group that a load balancer holds, or that lingering interfaces of a deleted
    /// one still hold: EC2 refuses to delete these with `DependencyViolation`.
    pub(crate) fn security_groups_in_use(&self) -> BTreeSet<&str> {
        let live = self
            .load_balancers
            .values()
            .flat_map(|lb| &lb.security_groups);
        let lingering = self
            .lingering_interfaces
            .iter()
            .flat_map(|l| &l.security_groups);
        live.chain(lingering).map(String::as_str).collect()
    }
}

// === impl LoadBalancer ===

impl LoadBalancer {
    /// The value of an attribute; empty when the kind has no such attribute.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

// === impl Listener ===

impl Listener {
    /// The value of an attribute; empty when the protocol has no such attribute.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

// === impl TargetGroup ===

impl TargetGroup {
    /// The value of an attribute; empty when the group has no such attribute.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// Whether application load balancers use the group, as opposed to network ones.
    pub(crate) fn is_application(&self) -> bool {
        matches!(self.protocol, Protocol::Http | Protocol::Https)
    }

    /// The port at which a target is checked.
    pub(crate) fn health_check_port(&self, key: &TargetKey) -> u16 {
        match self.health_check.port {
            HealthCheckPort::TrafficPort => key.port,
            HealthCheckPort::Fixed(port) => port,
        }
    }
}

// === impl LoadBalancerState ===

impl LoadBalancerState {
    /// AWS's spelling.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
        }
    }
}

// === impl MutualTls ===

impl MutualTls {
    /// AWS's spelling of the mode.
    pub(crate) fn mode(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Passthrough => "passthrough",
            Self::Verify(_) => "verify",
        }
    }
}

// === impl Protocol and friends: AWS's spelling ===

/// Declares `as_str` and `parse` of an enum from one table of AWS's spellings.
macro_rules! spellings {
    ($type:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $type {
            /// AWS's spelling.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// From AWS's spelling, which is exact in case.
            pub(crate) fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

spellings!(LoadBalancerKind { Application => "application", Network => "network" });
spellings!(Scheme { InternetFacing => "internet-facing", Internal => "internal" });
spellings!(IpAddressType {
    Ipv4 => "ipv4",
    Dualstack => "dualstack",
    DualstackWithoutPublicIpv4 => "dualstack-without-public-ipv4",
});
spellings!(OnOff { On => "on", Off => "off" });
spellings!(Protocol {
    Http => "HTTP",
    Https => "HTTPS",
    Tcp => "TCP",
    Tls => "TLS",
    Udp => "UDP",
    TcpUdp => "TCP_UDP",
    Quic => "QUIC",
    TcpQuic => "TCP_QUIC",
});
spellings!(TargetType { Instance => "instance", Ip => "ip", Alb => "alb" });
spellings!(ProtocolVersion { Http1 => "HTTP1", Http2 => "HTTP2", Grpc => "GRPC" });
spellings!(TargetFamily { Ipv4 => "ipv4", Ipv6 => "ipv6" });
