//! What guards endpoints: asks AWS for instances, network interfaces and security groups, and remembers.
//!
//! In: the endpoints of bindings, and answers. Out: the calls to make next, many endpoints in each, and in
//! the end [`Guards`]. What always holds: what is known is not asked for again, but for a new pod that is
//! behind nothing known or has the address that another one had; nothing is asked for twice in one look; what
//! is not found is known to be missing until somebody asks to look again.
//!
//! | an endpoint | is behind |
//! |---|---|
//! | an instance | its primary network interface |
//! | an address on a node that is an instance | the interface of that instance which has it, by itself or in a prefix |
//! | any other address, and one that is not there: a pod with groups of its own, Fargate | the interface of the VPC that has it |
//! | one on a node that is no instance of the account, as SageMaker HyperPod's are | the same, or the interface that has it in a prefix and the node's own address |

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use elbow_model::aws_call::{NetworkInterface, Page};
use elbow_model::observed::ObservedSecurityGroup;
use elbow_model::stack::{IngressRule, IngressSource};
use elbow_model::{AwsAnswer, AwsCall, InstanceId, SecurityGroupId, Tags, VpcId};
use elbow_translate::Settings;
use elbow_translate::network::{self, BindingNetwork, Endpoint, Guard, Guards, PodEndpoint};

/// Values that one filter of EC2 takes: 200 a request (EC2 API reference, "List and filter"), of which the
/// VPC's id is one where both are asked for.
const VALUES_PER_CALL: usize = 199;

/// How much is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// What is not known yet.
    Nothing,
    /// What was not found, too.
    Missing,
    /// All of it.
    Everything,
}

/// Groups by id.
pub(crate) type Groups = BTreeMap<SecurityGroupId, ObservedSecurityGroup>;

/// What is known of what guards endpoints.
#[derive(Debug, Default)]
pub(crate) struct EndpointBook {
    /// Interfaces of instances, the primary one first; `None` where there is no such instance.
    instances: BTreeMap<InstanceId, Option<Vec<NetworkInterface>>>,
    addresses: BTreeMap<IpAddr, Found>,
    /// Which pod had an address when it was last known what that is on.
    pods: BTreeMap<IpAddr, Option<String>>,
    /// Groups that were described and are not among those whose rules are looked after.
    candidates: Groups,
    /// Groups of which nothing is known but that they let in the cluster's shared group. Other rules in them
    /// that look like ours may be another cluster's.
    strays: BTreeSet<SecurityGroupId>,
    /// The look under way.
    look: Look,
}

/// The groups of the interface that has an address.
#[derive(Debug)]
struct Found {
    uid: Option<String>,
    groups: Option<BTreeSet<SecurityGroupId>>,
}

/// What was asked for in the look under way.
#[derive(Debug, Default)]
struct Look {
    is_of_everything: bool,
    has_listed: bool,
    instances: BTreeSet<InstanceId>,
    /// With the pod that each was asked for.
    addresses: BTreeMap<IpAddr, Option<String>>,
    group_ids: BTreeSet<SecurityGroupId>,
    /// Groups that carry the cluster's tag, as far as listed.
    listed: Groups,
    /// Groups that let in the cluster's shared group, likewise.
    letting_in: Groups,
}

/// What a look is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    /// All bindings.
    pub(crate) networks: &'a [&'a BindingNetwork],
    /// The instance of a node.
    pub(crate) instance_of: &'a dyn Fn(&str) -> Option<InstanceId>,
    /// The address of a node.
    pub(crate) address_of: &'a dyn Fn(&str) -> Option<IpAddr>,
    /// The groups whose rules are looked after, as known.
    pub(crate) known: &'a Groups,
    /// The group that all load balancers share, if it is there.
    pub(crate) shared: Option<&'a SecurityGroupId>,
    pub(crate) settings: &'a Settings,
}

impl EndpointBook {
    /// Begins a look.
    pub(crate) fn begin(&mut self, refresh: Refresh) {
        self.look = Look {
            is_of_everything: refresh == Refresh::Everything,
            ..Look::default()
        };
        match refresh {
            Refresh::Nothing => {}
            Refresh::Missing => {
                self.instances.retain(|_, found| found.is_some());
                self.addresses.retain(|_, found| found.groups.is_some());
            }
            Refresh::Everything => {
                self.instances.clear();
                self.addresses.clear();
                self.pods.clear();
                self.candidates.clear();
            }
        }
    }

    /// What has to be asked next, all at once; nothing when all is known. To be called when no call of
    /// the look is out.
    pub(crate) fn next_calls(&mut self, about: About<'_>) -> Vec<AwsCall> {
        let vpc_id = &about.settings.vpc_id;
        let mut calls = Vec::new();
        if self.look.is_of_everything && !self.look.has_listed {
            self.look.has_listed = true;
            calls.push(list(about.settings, None));
            // The group of pods with interfaces of their own need not carry the tag, and when the last of them
            // is gone nothing else leads to it.
            //
            // Difference (rules-in-untagged-groups-go): LBC finds such a group by the pods behind it alone.
            calls.extend(about.shared.map(|group| {
                let (group, vpc_id) = (group.clone(), vpc_id.clone());
                AwsCall::DescribeSecurityGroupsThatLetIn {
                    vpc_id,
                    group,
                    marker: None,
                }
            }));
        }
        calls.extend(self.calls_for_interfaces(about, vpc_id));
        if calls.is_empty() {
            calls = self.calls_for_groups(about);
        }
        calls
    }

    fn calls_for_interfaces(&mut self, about: About<'_>, vpc_id: &VpcId) -> Vec<AwsCall> {
        let mut instances = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for endpoint in endpoints(about) {
            match endpoint {
                Endpoint::Instance(id) => {
                    if !self.instances.contains_key(id) {
                        instances.insert(id.clone());
                    }
                }
                Endpoint::Pod(pod) => {
                    if self.is_known(pod, about) {
                        continue;
                    }
                    let instance = pod.node.as_deref().and_then(about.instance_of);
                    let is_instance = instance.is_some();
                    // Also where the instance is known: it may have got the address since.
                    if let Some(id) = instance.filter(|id| !self.look.instances.contains(id)) {
                        instances.insert(id);
                        continue;
                    }
                    let uid = pod.uid.clone();
                    self.look.addresses.insert(pod.address, uid);
                    addresses.insert(pod.address);
                    // Filters do not find an address in a prefix, but whoever has the prefix.
                    let node = pod.node.as_deref().filter(|_| !is_instance);
                    addresses.extend(node.and_then(about.address_of));
                }
            }
        }
        self.look.instances.extend(instances.iter().cloned());
        let by_id = chunks(&instances).map(|instances| AwsCall::DescribeInstances {
            instances,
            marker: None,
        });
        let (ipv4, ipv6): (BTreeSet<_>, BTreeSet<_>) =
            addresses.into_iter().partition(IpAddr::is_ipv4);
        let by_address = chunks(&ipv4).chain(chunks(&ipv6));
        let by_address = by_address.map(|addresses| AwsCall::DescribeNetworkInterfaces {
            vpc_id: vpc_id.clone(),
            addresses,
            marker: None,
        });
        by_id.chain(by_address).collect()
    }

    fn calls_for_groups(&mut self, about: About<'_>) -> Vec<AwsCall> {
        let mut wanted = BTreeSet::new();
        for groups in self.groups_in_use(about) {
            match network::guard(groups, |id| self.tags(id, about.known), about.settings) {
                Ok(Guard::Group(id)) if self.group(&id, about.known).is_none() => {
                    wanted.insert(id);
                }
                Ok(_) => {}
                Err(unknown) => wanted.extend(unknown),
            }
        }
        if self.look.is_of_everything {
            // What is not listed and has rules of ours from an earlier need is still looked after.
            let known = about.known.iter();
            let unlisted = known.filter(|(id, group)| {
                has_rules_of_ours(group) && !self.look.listed.contains_key(*id)
            });
            wanted.extend(unlisted.map(|(id, _)| id.clone()));
        }
        wanted.retain(|id| !self.look.group_ids.contains(id));
        self.look.group_ids.extend(wanted.iter().cloned());
        let calls = chunks(&wanted).map(|groups| AwsCall::DescribeSecurityGroupsById {
            groups,
            marker: None,
        });
        calls.collect()
    }

    /// Takes in an answer. Answers with the call for the next page, if there is one.
    pub(crate) fn fold(&mut self, call: &AwsCall, answer: AwsAnswer) -> Option<AwsCall> {
        match (call, answer) {
            (AwsCall::DescribeInstances { instances, .. }, AwsAnswer::Instances(page)) => {
                let next = next_page(call, &page);
                for instance in page.items {
                    self.instances
                        .insert(instance.id, Some(instance.interfaces));
                }
                if next.is_none() {
                    for id in instances {
                        self.instances.entry(id.clone()).or_insert(None);
                    }
                }
                next
            }
            (
                AwsCall::DescribeNetworkInterfaces { addresses, .. },
                AwsAnswer::NetworkInterfaces(page),
            ) => {
                let next = next_page(call, &page);
                for interface in &page.items {
                    // Whichever call asked for it: what is in a prefix is asked for by other addresses.
                    let asked = self.look.addresses.iter();
                    for (address, uid) in asked.filter(|(address, _)| interface.serves(**address)) {
                        let found = Found {
                            uid: uid.clone(),
                            groups: Some(interface.security_groups.clone()),
                        };
                        self.addresses.insert(*address, found);
                    }
                }
                if next.is_none() {
                    for address in addresses {
                        // A node's own was asked for to find others.
                        let Some(uid) = self.look.addresses.get(address).cloned() else {
                            continue;
                        };
                        let missing = Found {
                            uid: uid.clone(),
                            groups: None,
                        };
                        let found = self.addresses.entry(*address).or_insert(missing);
                        // What is found there was found for an earlier pod.
                        if found.uid != uid {
                            *found = Found { uid, groups: None };
                        }
                    }
                }
                next
            }
            (AwsCall::DescribeNodeSecurityGroups { .. }, AwsAnswer::SecurityGroups(page)) => {
                let next = next_page(call, &page);
                let groups = page.items.into_iter();
                self.look.listed.extend(groups.map(|g| (g.id.clone(), g)));
                next
            }
            (AwsCall::DescribeSecurityGroupsThatLetIn { .. }, AwsAnswer::SecurityGroups(page)) => {
                let next = next_page(call, &page);
                let groups = page.items.into_iter();
                let letting_in = &mut self.look.letting_in;
                letting_in.extend(groups.map(|g| (g.id.clone(), g)));
                next
            }
            (AwsCall::DescribeSecurityGroupsById { .. }, AwsAnswer::SecurityGroups(page)) => {
                let next = next_page(call, &page);
                let groups = page.items.into_iter();
                self.candidates.extend(groups.map(|g| (g.id.clone(), g)));
                next
            }
            // An adapter answers a call with that call's answer; anything else tells nothing.
            _ => None,
        }
    }

    /// Ends a look: brings the groups whose rules are looked after up to date, and tells which of them
    /// guard what.
    pub(crate) fn finish(&mut self, about: About<'_>) -> (Groups, Guards) {
        let mut guards = Guards::default();
        let mut groups = if self.look.is_of_everything {
            self.looked_after(about.known)
        } else {
            about.known.clone()
        };
        for endpoint in endpoints(about) {
            let guard = self.guard_of(endpoint, about);
            if let Guard::Group(id) = &guard
                && !groups.contains_key(id)
                && let Some(group) = self.group(id, about.known)
            {
                groups.insert(id.clone(), group.clone());
            }
            if let Guard::Group(id) = &guard {
                self.strays.remove(id);
            }
            if let Endpoint::Pod(pod) = endpoint
                && guard != Guard::Missing
            {
                self.pods.insert(pod.address, pod.uid.clone());
            }
            match endpoint {
                Endpoint::Instance(id) => guards.instances.insert(id.clone(), guard),
                Endpoint::Pod(pod) => guards.addresses.insert(pod.address, guard),
            };
        }
        self.candidates.retain(|id, _| !groups.contains_key(id));
        self.look = Look::default();
        (groups, guards)
    }

    /// The groups whose rules are looked after, whatever is behind them now.
    fn looked_after(&mut self, known: &Groups) -> Groups {
        let mut groups = self.look.listed.clone();
        for (id, group) in known {
            let described = self.candidates.get(id);
            if let Some(now) = described.filter(|_| has_rules_of_ours(group))
                && !groups.contains_key(id)
            {
                groups.insert(id.clone(), now.clone());
            }
        }
        self.strays.retain(|id| groups.contains_key(id));
        for (id, group) in &self.look.letting_in {
            if !groups.contains_key(id) && has_rules_of_ours(group) {
                groups.insert(id.clone(), group.clone());
                self.strays.insert(id.clone());
            }
        }
        groups
    }

    /// Rules that look like ours and may be another cluster's: in a group of which nothing is known but that it
    /// lets in the shared group, all others.
    pub(crate) fn in_doubt<'k>(
        &self,
        known: &'k Groups,
        shared: Option<&SecurityGroupId>,
    ) -> impl Iterator<Item = &'k IngressRule> {
        let strays = known.iter().filter(|(id, _)| self.strays.contains(*id));
        let source = shared.map(|group| IngressSource::SecurityGroup(group.clone().into()));
        let rules = strays.flat_map(|(_, group)| &group.ingress);
        rules.filter(move |rule| rule.is_node_rule() && Some(&rule.source) != source.as_ref())
    }

    fn guard_of(&self, endpoint: &Endpoint, about: About<'_>) -> Guard {
        let Some(groups) = self.groups_of(endpoint, about) else {
            return Guard::Missing;
        };
        match network::guard(groups, |id| self.tags(id, about.known), about.settings) {
            // Some of its groups went while they were looked at.
            Err(_) => Guard::Missing,
            Ok(Guard::Group(id)) if self.group(&id, about.known).is_none() => Guard::Missing,
            Ok(guard) => guard,
        }
    }

    /// The groups of the interface that an endpoint is behind; `None` where that is not known.
    fn groups_of<'s>(
        &'s self,
        endpoint: &Endpoint,
        about: About<'_>,
    ) -> Option<&'s BTreeSet<SecurityGroupId>> {
        match endpoint {
            Endpoint::Instance(id) => {
                let primary = self.instances.get(id)?.as_ref()?.first()?;
                Some(&primary.security_groups)
            }
            Endpoint::Pod(pod) => {
                let found = self.addresses.get(&pod.address);
                if let Some(found) = found.filter(|found| found.uid == pod.uid) {
                    return found.groups.as_ref();
                }
                let instance = (about.instance_of)(pod.node.as_deref()?)?;
                let interfaces = self.instances.get(&instance)?.as_ref()?;
                let mut interfaces = interfaces.iter();
                let found = interfaces.find(|interface| interface.serves(pod.address))?;
                Some(&found.security_groups)
            }
        }
    }

    fn is_known(&self, pod: &PodEndpoint, about: About<'_>) -> bool {
        let found = self.addresses.get(&pod.address);
        found.is_some_and(|found| found.uid == pod.uid)
            || self.look.addresses.contains_key(&pod.address)
            || self.is_on_its_node(pod, about)
    }

    /// Whether an address is known to be on an interface of its node. That another pod had it there says nothing:
    /// it may be on an interface of the pod's own by now.
    fn is_on_its_node(&self, pod: &PodEndpoint, about: About<'_>) -> bool {
        let node = pod.node.as_deref().and_then(about.instance_of);
        let Some(node) = node else { return false };
        let interfaces = self.instances.get(&node).into_iter().flatten().flatten();
        let mut serving = interfaces.filter(|interface| interface.serves(pod.address));
        let was_its = self
            .pods
            .get(&pod.address)
            .is_none_or(|uid| *uid == pod.uid);
        let is_new = self.look.instances.contains(&node);
        serving.any(|interface| was_its || is_new || !interface.addresses.contains(&pod.address))
    }

    /// The different sets of groups that endpoints are behind.
    fn groups_in_use(&self, about: About<'_>) -> BTreeSet<&BTreeSet<SecurityGroupId>> {
        endpoints(about)
            .filter_map(|endpoint| self.groups_of(endpoint, about))
            .collect()
    }

    fn group<'s>(
        &'s self,
        id: &SecurityGroupId,
        known: &'s Groups,
    ) -> Option<&'s ObservedSecurityGroup> {
        let known = known.get(id).filter(|_| !self.look.is_of_everything);
        let listed = self.look.listed.get(id);
        let listed = listed.or_else(|| self.look.letting_in.get(id));
        listed.or(known).or_else(|| self.candidates.get(id))
    }

    fn tags<'s>(&'s self, id: &SecurityGroupId, known: &'s Groups) -> Option<&'s Tags> {
        self.group(id, known).map(|group| &group.tags)
    }
}

fn has_rules_of_ours(group: &ObservedSecurityGroup) -> bool {
    group.ingress.iter().any(IngressRule::is_node_rule)
}

fn endpoints(about: About<'_>) -> impl Iterator<Item = &Endpoint> {
    let networks = about.networks.iter().copied();
    networks.flat_map(|network| &network.endpoints)
}

fn list(settings: &Settings, marker: Option<String>) -> AwsCall {
    AwsCall::DescribeNodeSecurityGroups {
        vpc_id: settings.vpc_id.clone(),
        cluster_name: settings.cluster_name.clone(),
        marker,
    }
}

/// The values in as many sets as calls are needed for them.
fn chunks<T: Ord + Clone>(values: &BTreeSet<T>) -> impl Iterator<Item = BTreeSet<T>> {
    let values: Vec<T> = values.iter().cloned().collect();
    let chunks: Vec<BTreeSet<T>> = values
        .chunks(VALUES_PER_CALL)
        .map(|chunk| chunk.iter().cloned().collect())
        .collect();
    chunks.into_iter()
}

/// The same call for the next page.
fn next_page<T>(call: &AwsCall, page: &Page<T>) -> Option<AwsCall> {
    let next = page.next_marker.clone()?;
    let mut call = call.clone();
    match &mut call {
        AwsCall::DescribeInstances { marker, .. }
        | AwsCall::DescribeNetworkInterfaces { marker, .. }
        | AwsCall::DescribeNodeSecurityGroups { marker, .. }
        | AwsCall::DescribeSecurityGroupsThatLetIn { marker, .. }
        | AwsCall::DescribeSecurityGroupsById { marker, .. } => *marker = Some(next),
        _ => return None,
    }
    Some(call)
}
