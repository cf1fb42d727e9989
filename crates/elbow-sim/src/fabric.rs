//! The network below the pods: which network interface has which address, and which security groups guard it.
//!
//! In: places of addresses and groups of nodes, as edits leave them. Out: an account whose interfaces are just
//! these, and the group whose rules decide who reaches a target. What always holds: equal fabrics give equal
//! interfaces, whatever was there before; which group guards what is worked out here once more, so that nobody
//! is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use elbow_emulator::Emulator;
use elbow_emulator::world::{InterfaceSpec, SecurityGroupSpec, WorldError};
use elbow_model::SecurityGroupId;

use crate::account::VPC;

/// The security group of pods that have interfaces of their own. It carries no tag of the cluster.
pub(crate) const POD_GROUP: &str = "sg-0aaaaaaaaaaaaaaaa";

/// Interfaces and their groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fabric {
    /// Nodes whose interfaces have more than the nodes' group.
    pub(crate) nodes_with_both: BTreeSet<u64>,
    /// By address; one that is not here has no interface.
    pub(crate) places: BTreeMap<Ipv4Addr, Place>,
}

/// What an address is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The interface of a node.
    Node(u64),
    /// An interface of its own.
    Own(Groups),
}

/// The groups of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Groups {
    /// That of the nodes.
    OfNodes,
    /// That of pods, alone.
    OfPods,
    /// Both, of which the tag tells one.
    Both,
}

/// The instance of a node.
pub(crate) fn instance(node: u64) -> String {
    format!("i-0000000000000000{node}")
}

/// The address of a pod of a Service.
pub(crate) fn address(service: u64, pod: u8) -> Ipv4Addr {
    let third = u8::try_from(100 + service).unwrap_or_default();
    Ipv4Addr::new(192, 168, third, pod)
}

impl Groups {
    fn ids(self, of_nodes: &str) -> BTreeSet<String> {
        let (nodes, pods) = (of_nodes.to_owned(), POD_GROUP.to_owned());
        match self {
            Self::OfNodes => [nodes].into(),
            Self::OfPods => [pods].into(),
            Self::Both => [nodes, pods].into(),
        }
    }
}

impl Fabric {
    /// The group whose rules decide who reaches a target: `None` where the target has no interface.
    pub(crate) fn guard(
        &self,
        target: &str,
        of_nodes: &SecurityGroupId,
    ) -> Option<SecurityGroupId> {
        if target.starts_with("i-") {
            return Some(of_nodes.clone());
        }
        match self.places.get(&target.parse().ok()?)? {
            Place::Own(Groups::OfPods) => Some(SecurityGroupId::new(POD_GROUP)),
            Place::Node(_) | Place::Own(Groups::OfNodes | Groups::Both) => Some(of_nodes.clone()),
        }
    }

    fn groups_of_node(&self, node: u64) -> Groups {
        if self.nodes_with_both.contains(&node) {
            Groups::Both
        } else {
            Groups::OfNodes
        }
    }
}

/// The interfaces of an account, as far as they change.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    subnet: String,
    of_nodes: String,
    is: Fabric,
    /// Ids of interfaces by their only address.
    own: BTreeMap<Ipv4Addr, String>,
}

impl Interfaces {
    /// Begins with an account whose pods have no interface yet: adds the group of pods.
    pub(crate) fn new(emulator: &mut Emulator, subnet: &str, of_nodes: &SecurityGroupId) -> Self {
        let group = SecurityGroupSpec {
            id: Some(POD_GROUP.to_owned()),
            name: "pods".to_owned(),
            description: "Of pods with interfaces of their own".to_owned(),
            vpc_id: VPC.to_owned(),
            tags: BTreeMap::from([("Name".to_owned(), "pods".to_owned())]),
        };
        if let Err(error) = emulator.add_security_group(group) {
            unreachable!("the simulator's own group: {error}")
        }
        Self {
            subnet: subnet.to_owned(),
            of_nodes: of_nodes.to_string(),
            ..Self::default()
        }
    }

    /// Makes the interfaces those of a fabric.
    pub(crate) fn follow(&mut self, emulator: &mut Emulator, wanted: &Fabric) {
        if self.is == *wanted {
            return;
        }
        if let Err(error) = self.change(emulator, wanted) {
            unreachable!("the simulator's own interfaces: {error}")
        }
        self.is = wanted.clone();
    }

    fn change(&mut self, emulator: &mut Emulator, wanted: &Fabric) -> Result<(), WorldError> {
        for node in 1..=3 {
            let groups = wanted.groups_of_node(node);
            if groups != self.is.groups_of_node(node) {
                let groups = groups.ids(&self.of_nodes);
                emulator.set_instance_security_groups(&instance(node), groups)?;
            }
        }
        // What leaves its place makes room before anything comes.
        for (address, place) in &self.is.places {
            match (place, wanted.places.get(address)) {
                (was, Some(is)) if was == is => {}
                (Place::Own(_), Some(Place::Own(groups))) => {
                    if let Some(id) = self.own.get(address) {
                        let groups = groups.ids(&self.of_nodes);
                        emulator.set_interface_security_groups(id, groups)?;
                    }
                }
                (Place::Own(_), _) => {
                    if let Some(id) = self.own.remove(address) {
                        emulator.remove_interface(&id)?;
                    }
                }
                (Place::Node(node), _) => {
                    emulator.remove_instance_addresses(&instance(*node), &[*address].into())?;
                }
            }
        }
        for (address, place) in &wanted.places {
            match (self.is.places.get(address), place) {
                (Some(was), is) if was == is => {}
                (Some(Place::Own(_)), Place::Own(_)) => {}
                (_, Place::Own(groups)) => {
                    let id = emulator.add_interface(InterfaceSpec {
                        subnet_id: self.subnet.clone(),
                        private_ip: Some(*address),
                        security_groups: groups.ids(&self.of_nodes),
                    })?;
                    self.own.insert(*address, id);
                }
                (_, Place::Node(node)) => {
                    emulator.add_instance_addresses(&instance(*node), &[*address])?;
                }
            }
        }
        Ok(())
    }
}
