//! Who has to reach which endpoints, and the rules of security groups that let them.
//!
//! In: what bindings want of the network ([`BindingNetwork`]), and which groups guard their endpoints
//! ([`Guards`]). Out: the needs of each endpoint group, and the rules that come of them. What always holds:
//! rules are made of all needs of a group at once, so the same bindings give the same rules whatever
//! happened before; an endpoint of which nothing is known costs nobody else anything, and its needs are
//! told, for no rule that it may depend on must go.
//!
//! Start at [`needs`], then [`rules`]. Whoever writes a TargetGroupBinding comes through the same door.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use elbow_api::NamespacedName;
use elbow_api::crds::{NetworkingPort, NetworkingProtocol};
use elbow_model::stack::{IngressRule, IngressSource, NODE_RULE_LABEL};
use elbow_model::{Cause, InstanceId, Port, Ref, SecurityGroupId, Tags};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::gateway::{NetworkingRule, Peer};
use crate::settings::{NodeRules, Settings};

/// What one binding wants of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingNetwork {
    /// The TargetGroupBinding.
    pub binding: NamespacedName,
    /// The object that is told when it cannot be had: the Gateway, or the binding where a user wrote it.
    pub cause: Cause,
    /// Who may reach the endpoints.
    pub rules: Vec<NetworkingRule>,
    /// The endpoints, sorted.
    pub endpoints: Vec<Endpoint>,
    /// The name that rules may use for the port of the endpoints: the Service's `targetPort`.
    ///
    /// Difference (named-port-of-slice): LBC looks the number up among the container ports of each pod. The
    /// EndpointSlice has it already.
    pub port_name: Option<String>,
}

/// What a target is behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// A node.
    Instance(InstanceId),
    /// An address in the VPC.
    Pod(PodEndpoint),
}

/// An address in the VPC, a pod's as a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodEndpoint {
    /// The address.
    pub address: IpAddr,
    /// The port that is registered.
    pub port: Port,
    /// Name of its node, where that is known.
    pub node: Option<String>,
    /// Of which pod the address is: another one may have it later.
    pub uid: Option<String>,
}

/// Which security group guards an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// This one.
    Group(SecurityGroupId),
    /// There is no network interface with the address, or no such instance.
    Missing,
    /// Of the groups of the interface it cannot be told which one to change.
    Ambiguous {
        /// The groups that carry the tags that tell.
        tagged: BTreeSet<SecurityGroupId>,
    },
}

/// The groups that guard endpoints.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// By instance.
    pub instances: BTreeMap<InstanceId, Guard>,
    /// By address.
    pub addresses: BTreeMap<IpAddr, Guard>,
}

impl Guards {
    fn of(&self, endpoint: &Endpoint) -> &Guard {
        let found = match endpoint {
            Endpoint::Instance(id) => self.instances.get(id),
            Endpoint::Pod(pod) => self.addresses.get(&pod.address),
        };
        found.unwrap_or(&Guard::Missing)
    }
}

/// Rules of endpoint groups, each with the objects because of which it is there.
pub type GroupRules = BTreeMap<SecurityGroupId, BTreeMap<IngressRule, BTreeSet<Cause>>>;

/// What all bindings need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// By endpoint group: one entry for each protocol, port and source.
    pub groups: GroupRules,
    /// The same of endpoints whose group is not known.
    pub homeless: BTreeSet<IngressRule>,
    /// What cannot be had.
    pub problems: BTreeSet<Problem>,
}

/// Something that keeps load balancers from endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The binding.
    pub binding: NamespacedName,
    /// The object that is told.
    pub cause: Cause,
    /// What it is.
    pub kind: ProblemKind,
}

/// What keeps load balancers from endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Endpoints of which nothing is found in AWS.
    Missing {
        /// The first of them.
        endpoint: String,
        /// How many there are.
        count: usize,
    },
    /// Endpoints with several security groups.
    Ambiguous {
        /// The first of them.
        endpoint: String,
        /// The groups that carry the tags that tell.
        tagged: BTreeSet<SecurityGroupId>,
    },
    /// A port name that is not that of the endpoints' port.
    UnknownPort {
        /// The name.
        name: String,
    },
    /// A source that is no block of addresses.
    BadBlock {
        /// What stands there.
        cidr: String,
    },
}

/// The tag by which a security group of nodes is known.
pub fn node_group_tag(cluster_name: &str) -> String {
    format!("kubernetes.io/cluster/{cluster_name}")
}

/// Chooses the group of an interface whose rules are changed: the only one, or the only one with the
/// tags. `Err` has the groups whose tags have to be known first.
pub fn guard<'t>(
    groups: &BTreeSet<SecurityGroupId>,
    tags: impl Fn(&SecurityGroupId) -> Option<&'t Tags>,
    settings: &Settings,
) -> Result<Guard, BTreeSet<SecurityGroupId>> {
    if let (Some(only), 1) = (groups.first(), groups.len()) {
        return Ok(Guard::Group(only.clone()));
    }
    let unknown: BTreeSet<_> = groups.iter().filter(|id| tags(id).is_none()).collect();
    if !unknown.is_empty() {
        return Err(unknown.into_iter().cloned().collect());
    }
    let cluster_tag = node_group_tag(&settings.cluster_name);
    let is_meant = |tags: &Tags| {
        let mut wanted = settings.node_group_tags.iter();
        tags.contains_key(&cluster_tag) && wanted.all(|(key, value)| tags.get(key) == Some(value))
    };
    let tagged = groups.iter().filter(|id| tags(id).is_some_and(is_meant));
    let tagged: BTreeSet<SecurityGroupId> = tagged.cloned().collect();
    Ok(match (tagged.first(), tagged.len()) {
        (Some(only), 1) => Guard::Group(only.clone()),
        _ => Guard::Ambiguous { tagged },
    })
}

/// What the bindings need of each endpoint group.
pub fn needs<'n>(
    networks: impl IntoIterator<Item = &'n BindingNetwork>,
    guards: &Guards,
    source: impl Fn(&Ref<SecurityGroupId>) -> Ref<SecurityGroupId>,
) -> Needs {
    let mut needs = Needs::default();
    for network in networks {
        // Most endpoints of a binding have the same port: what they need is made once for each.
        let mut by_port: BTreeMap<Option<Port>, BTreeSet<IngressRule>> = BTreeMap::new();
        let mut found = Findings::default();
        for endpoint in &network.endpoints {
            let port = match endpoint {
                Endpoint::Instance(_) => None,
                Endpoint::Pod(pod) => Some(pod.port),
            };
            let wanted = by_port
                .entry(port)
                .or_insert_with(|| wanted(network, port, &source, &mut found));
            match guards.of(endpoint) {
                Guard::Group(group) => {
                    let rules = needs.groups.entry(group.clone()).or_default();
                    for rule in &*wanted {
                        let causes = rules.entry(rule.clone()).or_default();
                        if !causes.contains(&network.cause) {
                            causes.insert(network.cause.clone());
                        }
                    }
                }
                Guard::Missing => {
                    found.n_missing += 1;
                    found.missing.get_or_insert_with(|| describe(endpoint));
                    needs.homeless.extend(wanted.iter().cloned());
                }
                Guard::Ambiguous { tagged } => {
                    found
                        .ambiguous
                        .get_or_insert_with(|| (describe(endpoint), tagged.clone()));
                    needs.homeless.extend(wanted.iter().cloned());
                }
            }
        }
        needs.problems.extend(found.problems(network));
    }
    needs
}

/// The rules that give what is needed.
///
/// | needs of a group | rules |
/// |---|---|
/// | tcp 8080 from sg-1, tcp 8443 from sg-1, udp 53 from sg-1 | tcp 8080-8443 from sg-1, udp 53 from sg-1 |
/// | tcp 9000 from 10.0.0.0/24, tcp 9001 from 10.0.0.0/24 | the same two: blocks of addresses stay apart |
/// | all tcp ports from sg-1 ([`NodeRules::AllPorts`]) | the same |
///
/// One range for each group as source spares the quota of rules, and is what LBC makes of it.
pub fn rules(needs: &GroupRules, how: NodeRules) -> GroupRules {
    if how == NodeRules::AllPorts {
        return needs.clone();
    }
    let mut groups = GroupRules::new();
    for (group, needs) in needs {
        let mut ranges: BTreeMap<(&str, &IngressSource), (i32, i32, BTreeSet<Cause>)> =
            BTreeMap::new();
        let made = groups.entry(group.clone()).or_default();
        for (need, causes) in needs {
            let (from, to) = match (need.from_port.unwrap_or(0), need.to_port.unwrap_or(0)) {
                // There is no port 0: as with LBC, whoever asks for it gets them all.
                (0, 0) => (0, i32::from(u16::MAX)),
                ports => ports,
            };
            if !matches!(need.source, IngressSource::SecurityGroup(_)) {
                made.insert(need.clone(), causes.clone());
                continue;
            }
            let range = ranges
                .entry((need.protocol.as_str(), &need.source))
                .or_insert_with(|| (from, to, BTreeSet::new()));
            range.0 = range.0.min(from);
            range.1 = range.1.max(to);
            range.2.extend(causes.iter().cloned());
        }
        for ((protocol, source), (from, to, causes)) in ranges {
            made.insert(rule(protocol, (from, to), source.clone()), causes);
        }
    }
    groups
}

impl Problem {
    /// In words, for people: what it is, and what to do about it.
    pub fn words(&self, settings: &Settings) -> (String, String) {
        let binding = &self.binding;
        let tag = node_group_tag(&settings.cluster_name);
        let mut tags = vec![format!("`{tag}`")];
        let more = settings.node_group_tags.iter();
        tags.extend(more.map(|(key, value)| format!("`{key}={value}`")));
        let tags = tags.join(" and ");
        match &self.kind {
            ProblemKind::Missing { endpoint, count } => {
                let others = match count {
                    0 | 1 => String::new(),
                    n => format!(" and {} more", n - 1),
                };
                (
                    format!(
                        "load balancers may not reach {endpoint}{others} of {binding}: there is no such \
                         network interface in the VPC"
                    ),
                    "is the endpoint still there, and in this VPC?".to_owned(),
                )
            }
            ProblemKind::Ambiguous { endpoint, tagged } => {
                let found = if tagged.is_empty() {
                    "none of them carries".to_owned()
                } else {
                    let ids: Vec<&str> = tagged.iter().map(SecurityGroupId::as_str).collect();
                    format!("{} carry", ids.join(", "))
                };
                (
                    format!(
                        "load balancers may not reach {endpoint} of {binding}: its network interface has \
                         several security groups, and {found} the tag {tags}"
                    ),
                    format!("tag exactly one of them with {tags}"),
                )
            }
            ProblemKind::UnknownPort { name } => (
                format!("no endpoint of {binding} has a port `{name}`"),
                "give the number of the port".to_owned(),
            ),
            ProblemKind::BadBlock { cidr } => (
                format!("`{cidr}` of {binding} is no block of addresses"),
                "write it as 10.0.0.0/8".to_owned(),
            ),
        }
    }
}

/// What was found about one binding.
#[derive(Default)]
struct Findings {
    missing: Option<String>,
    n_missing: usize,
    ambiguous: Option<(String, BTreeSet<SecurityGroupId>)>,
    unknown_ports: BTreeSet<String>,
    bad_blocks: BTreeSet<String>,
}

impl Findings {
    fn problems(self, network: &BindingNetwork) -> Vec<Problem> {
        let count = self.n_missing;
        let missing = self
            .missing
            .map(|endpoint| ProblemKind::Missing { endpoint, count });
        let ambiguous = self
            .ambiguous
            .map(|(endpoint, tagged)| ProblemKind::Ambiguous { endpoint, tagged });
        let ports = self.unknown_ports.into_iter();
        let ports = ports.map(|name| ProblemKind::UnknownPort { name });
        let blocks = self.bad_blocks.into_iter();
        let blocks = blocks.map(|cidr| ProblemKind::BadBlock { cidr });
        let kinds = missing.into_iter().chain(ambiguous);
        kinds
            .chain(ports)
            .chain(blocks)
            .map(|kind| Problem {
                binding: network.binding.clone(),
                cause: network.cause.clone(),
                kind,
            })
            .collect()
    }
}

/// What an endpoint with this port needs.
fn wanted(
    network: &BindingNetwork,
    port: Option<Port>,
    source: &impl Fn(&Ref<SecurityGroupId>) -> Ref<SecurityGroupId>,
    found: &mut Findings,
) -> BTreeSet<IngressRule> {
    let mut wanted = BTreeSet::new();
    for rule_of_user in &network.rules {
        // Difference (networking-without-ports): LBC makes no rule of one without ports; the schema
        // promises all of TCP.
        let all_of_tcp = [NetworkingPort::default()];
        let ports = if rule_of_user.ports.is_empty() {
            &all_of_tcp
        } else {
            rule_of_user.ports.as_slice()
        };
        for peer in &rule_of_user.from {
            let from = match peer {
                Peer::SecurityGroup(group) => IngressSource::SecurityGroup(source(group)),
                Peer::Cidr(cidr) => {
                    let Some(block) = block(cidr) else {
                        found.bad_blocks.insert(cidr.clone());
                        continue;
                    };
                    block
                }
            };
            for entry in ports {
                let protocol = match entry.protocol {
                    None | Some(NetworkingProtocol::Tcp) => "tcp",
                    Some(NetworkingProtocol::Udp) => "udp",
                };
                let range = match &entry.port {
                    None => (0, i32::from(u16::MAX)),
                    Some(IntOrString::Int(number)) => (*number, *number),
                    Some(IntOrString::String(name)) => {
                        let is_its = network.port_name.as_deref() == Some(name);
                        let Some(port) = port.filter(|_| is_its) else {
                            found.unknown_ports.insert(name.clone());
                            continue;
                        };
                        (i32::from(port.get()), i32::from(port.get()))
                    }
                };
                wanted.insert(rule(protocol, range, from.clone()));
            }
        }
    }
    wanted
}

fn rule(protocol: &str, (from, to): (i32, i32), source: IngressSource) -> IngressRule {
    IngressRule {
        protocol: protocol.to_owned(),
        from_port: Some(from),
        to_port: Some(to),
        source,
        description: Some(NODE_RULE_LABEL.to_owned()),
    }
}

/// A block of addresses in the form in which EC2 stores it.
fn block(cidr: &str) -> Option<IngressSource> {
    match cidr.parse::<ipnet::IpNet>().ok()?.trunc() {
        ipnet::IpNet::V4(block) => Some(IngressSource::Ipv4(block.to_string())),
        ipnet::IpNet::V6(block) => Some(IngressSource::Ipv6(block.to_string())),
    }
}

fn describe(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Instance(id) => format!("instance {id}"),
        Endpoint::Pod(pod) => format!("address {}", pod.address),
    }
}

#[cfg(test)]
mod tests {

    use elbow_model::VpcId;

    use super::*;

    fn sg(id: &str) -> SecurityGroupId {
        SecurityGroupId::new(id)
    }

    fn pod(address: &str, port: u16) -> Endpoint {
        Endpoint::Pod(PodEndpoint {
            address: address.parse().unwrap(),
            port: Port::new(port).unwrap(),
            node: None,
            uid: None,
        })
    }

    fn port(protocol: NetworkingProtocol, port: Option<IntOrString>) -> NetworkingPort {
        NetworkingPort {
            protocol: Some(protocol),
            port,
        }
    }

    fn tcp(number: i32) -> NetworkingPort {
        port(NetworkingProtocol::Tcp, Some(IntOrString::Int(number)))
    }

    fn from_group(ports: Vec<NetworkingPort>) -> NetworkingRule {
        NetworkingRule {
            from: vec![Peer::SecurityGroup(sg("sg-lb").into())],
            ports,
        }
    }

    fn network(name: &str, rules: Vec<NetworkingRule>, endpoints: Vec<Endpoint>) -> BindingNetwork {
        BindingNetwork {
            binding: NamespacedName::new("app", name),
            cause: Cause {
                kind: "Gateway".to_owned(),
                namespace: "app".to_owned(),
                name: name.to_owned(),
            },
            rules,
            endpoints,
            port_name: Some("http".to_owned()),
        }
    }

    /// 10.0.0.x is behind sg-a, 10.0.1.x behind sg-b; all else is not found.
    fn guards(networks: &[BindingNetwork]) -> Guards {
        let mut guards = Guards::default();
        for endpoint in networks.iter().flat_map(|n| &n.endpoints) {
            match endpoint {
                Endpoint::Instance(id) => {
                    let guard = Guard::Group(sg("sg-a"));
                    guards.instances.insert(id.clone(), guard);
                }
                Endpoint::Pod(pod) => {
                    let guard = match pod.address.to_string() {
                        a if a.starts_with("10.0.0.") => Guard::Group(sg("sg-a")),
                        a if a.starts_with("10.0.1.") => Guard::Group(sg("sg-b")),
                        _ => Guard::Missing,
                    };
                    guards.addresses.insert(pod.address, guard);
                }
            }
        }
        guards
    }

    fn made(networks: &[BindingNetwork], how: NodeRules) -> (Vec<String>, Needs) {
        let needs = needs(networks, &guards(networks), Clone::clone);
        let rules = rules(&needs.groups, how);
        let lines = rules.iter().flat_map(|(group, rules)| {
            rules.keys().map(move |rule| {
                let source = match &rule.source {
                    IngressSource::Ipv4(block) | IngressSource::Ipv6(block) => block.clone(),
                    IngressSource::SecurityGroup(group) => group.to_string(),
                    IngressSource::PrefixList(id) => id.to_string(),
                };
                assert!(rule.is_node_rule());
                let (from, to) = (rule.from_port.unwrap(), rule.to_port.unwrap());
                format!("{group} {} {from}-{to} {source}", rule.protocol)
            })
        });
        (lines.collect(), needs)
    }

    #[test]
    fn rules_of_groups_are_ranges_and_those_of_blocks_are_not() {
        let block = |ports| NetworkingRule {
            from: vec![
                Peer::Cidr("10.1.2.3/16".to_owned()),
                Peer::Cidr("2001:db8::/32".to_owned()),
            ],
            ports,
        };
        let udp = port(NetworkingProtocol::Udp, Some(IntOrString::Int(53)));
        let all = port(NetworkingProtocol::Tcp, None);
        let named = port(
            NetworkingProtocol::Tcp,
            Some(IntOrString::String("http".to_owned())),
        );
        let a = || vec![pod("10.0.0.1", 8080)];
        let rows: [(&str, Vec<BindingNetwork>, &[&str]); 9] = [
            (
                "one",
                vec![network("web", vec![from_group(vec![tcp(8080)])], a())],
                &["sg-a tcp 8080-8080 sg-lb"],
            ),
            (
                "two bindings",
                vec![
                    network("web", vec![from_group(vec![tcp(8443)])], a()),
                    network("api", vec![from_group(vec![tcp(8080), udp])], a()),
                ],
                &["sg-a tcp 8080-8443 sg-lb", "sg-a udp 53-53 sg-lb"],
            ),
            (
                "all ports",
                vec![network("web", vec![from_group(vec![tcp(8080), all])], a())],
                &["sg-a tcp 0-65535 sg-lb"],
            ),
            (
                "no ports",
                vec![network("web", vec![from_group(Vec::new())], a())],
                &["sg-a tcp 0-65535 sg-lb"],
            ),
            (
                "port 0",
                vec![network("web", vec![from_group(vec![tcp(0)])], a())],
                &["sg-a tcp 0-65535 sg-lb"],
            ),
            (
                "named ports, each group those of its own endpoints",
                vec![network(
                    "web",
                    vec![from_group(vec![named])],
                    vec![
                        pod("10.0.0.1", 8080),
                        pod("10.0.0.2", 8081),
                        pod("10.0.1.1", 9090),
                    ],
                )],
                &["sg-a tcp 8080-8081 sg-lb", "sg-b tcp 9090-9090 sg-lb"],
            ),
            (
                "blocks",
                vec![network("web", vec![block(vec![tcp(9000), tcp(9001)])], a())],
                &[
                    "sg-a tcp 9000-9000 10.1.0.0/16",
                    "sg-a tcp 9000-9000 2001:db8::/32",
                    "sg-a tcp 9001-9001 10.1.0.0/16",
                    "sg-a tcp 9001-9001 2001:db8::/32",
                ],
            ),
            (
                "instances",
                vec![network(
                    "web",
                    vec![from_group(vec![tcp(30080)])],
                    vec![Endpoint::Instance(InstanceId::new("i-1"))],
                )],
                &["sg-a tcp 30080-30080 sg-lb"],
            ),
            (
                "no endpoints",
                vec![network(
                    "web",
                    vec![from_group(vec![tcp(8080)])],
                    Vec::new(),
                )],
                &[],
            ),
        ];
        for (name, networks, expected) in rows {
            let (lines, needs) = made(&networks, NodeRules::Restricted);
            assert_eq!(lines, expected, "{name}");
            assert_eq!(needs.problems, BTreeSet::new(), "{name}");
        }
    }

    #[test]
    fn without_restriction_rules_stay_apart() {
        let rules = vec![from_group(vec![tcp(8080), tcp(8443)])];
        let networks = [network("web", rules, vec![pod("10.0.0.1", 8080)])];
        let (lines, _) = made(&networks, NodeRules::AllPorts);
        assert_eq!(
            lines,
            ["sg-a tcp 8080-8080 sg-lb", "sg-a tcp 8443-8443 sg-lb"]
        );
    }

    #[test]
    fn what_cannot_be_had_costs_nobody_else_and_is_told() {
        let bad = NetworkingRule {
            from: vec![Peer::Cidr("nonsense".to_owned())],
            ports: vec![tcp(1)],
        };
        let unknown = port(
            NetworkingProtocol::Tcp,
            Some(IntOrString::String("metrics".to_owned())),
        );
        let rules = vec![from_group(vec![tcp(8080), unknown]), bad];
        let endpoints = vec![
            pod("10.0.0.1", 8080),
            pod("10.9.9.1", 8080),
            pod("10.9.9.2", 8080),
        ];
        let (lines, needs) = made(&[network("web", rules, endpoints)], NodeRules::Restricted);
        assert_eq!(lines, ["sg-a tcp 8080-8080 sg-lb"]);
        assert_eq!(needs.homeless.len(), 1);
        let settings = Settings::new("demo", VpcId::new("vpc-1"));
        let words: Vec<String> = needs
            .problems
            .iter()
            .map(|p| p.words(&settings).0)
            .collect();
        assert_eq!(
            words,
            [
                "load balancers may not reach address 10.9.9.1 and 1 more of app/web: there is no such \
                 network interface in the VPC",
                "no endpoint of app/web has a port `metrics`",
                "`nonsense` of app/web is no block of addresses",
            ]
        );
    }

    #[test]
    fn of_several_groups_the_one_with_the_tags_is_meant() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let cluster = || tag("kubernetes.io/cluster/demo", "owned");
        let all: BTreeMap<SecurityGroupId, Tags> = [
            (sg("sg-plain"), Tags::new()),
            (sg("sg-node"), Tags::from([cluster()])),
            (sg("sg-pod"), Tags::from([cluster(), tag("for", "pods")])),
        ]
        .into();
        let mut settings = Settings::new("demo", VpcId::new("vpc-1"));
        let choose = |groups: &[&str], settings: &Settings| {
            let groups = groups.iter().map(|id| sg(id)).collect();
            guard(&groups, |id| all.get(id), settings)
        };
        let group = |id: &str| Ok(Guard::Group(sg(id)));
        assert_eq!(
            choose(&["sg-unheard-of"], &settings),
            group("sg-unheard-of")
        );
        assert_eq!(
            choose(&["sg-plain", "sg-node"], &settings),
            group("sg-node")
        );
        assert_eq!(
            choose(&["sg-plain", "sg-other"], &settings),
            Err([sg("sg-other")].into()),
            "its tags have to be known first"
        );
        let both = [sg("sg-node"), sg("sg-pod")].into();
        assert_eq!(
            choose(&["sg-node", "sg-plain", "sg-pod"], &settings),
            Ok(Guard::Ambiguous { tagged: both })
        );
        settings.node_group_tags = Tags::from([tag("for", "pods")]);
        assert_eq!(choose(&["sg-node", "sg-pod"], &settings), group("sg-pod"));
        let none = BTreeSet::new();
        assert_eq!(
            choose(&["sg-plain", "sg-node"], &settings),
            Ok(Guard::Ambiguous { tagged: none })
        );
    }
}
