//! Interfaces of load balancers: AWS puts one into each enabled subnet, and EC2 shows them.
//!
//! In: ELBv2's state. Out: [`ElbInterface`] records in EC2's state, which keep their addresses for
//! as long as the load balancer has the subnet.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::state::ElbInterface;
use crate::Emulator;
use crate::elbv2::state::{LoadBalancer, LoadBalancerKind};

/// The id of a load balancer's interface in a subnet: derived, so that it never changes.
pub(super) fn elb_interface_id(load_balancer_arn: &str, subnet_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(load_balancer_arn);
    hash.update("/");
    hash.update(subnet_id);
    format!("eni-0{}", &hex::encode(hash.finalize())[..16])
}

/// Type, as EC2's `InterfaceType`, and description of a load balancer's interfaces.
/// (The description is what AWS's console shows; no reference gives it.)
pub(super) fn describe(load_balancer_arn: &str) -> (&'static str, String) {
    let path = load_balancer_arn
        .split_once(":loadbalancer/")
        .map_or("", |(_, path)| path);
    let kind = if path.starts_with("net/") {
        "network_load_balancer"
    } else {
        "interface"
    };
    (kind, format!("ELB {path}"))
}

impl Emulator {
    /// Brings the interfaces of load balancers in line with ELBv2's state.
    pub(crate) fn follow_load_balancers(&mut self) {
        let mut wanted: BTreeMap<(String, String), Option<std::net::Ipv4Addr>> = BTreeMap::new();
        for balancer in self.elbv2.load_balancers.values() {
            for zone in &balancer.zones {
                let chosen = zone
                    .private_ipv4
                    .as_ref()
                    .and_then(|text| text.parse().ok());
                wanted.insert((balancer.arn.clone(), zone.subnet_id.clone()), chosen);
            }
        }
        for gone in &self.elbv2.lingering_interfaces {
            for subnet in &gone.subnets {
                let key = (gone.load_balancer_arn.clone(), subnet.clone());
                wanted.entry(key).or_insert(None);
            }
        }
        self.ec2
            .elb_interfaces
            .retain(|key, _| wanted.contains_key(key));
        for (key, chosen) in wanted {
            if self.ec2.elb_interfaces.contains_key(&key) {
                continue;
            }
            let Some(subnet) = self.ec2.subnets.get(&key.1) else {
                continue;
            };
            let taken = self.ec2.all_addresses_in_use(&subnet.id);
            // AWS takes any; from the far end, so that load balancers stay clear of nodes and pods, whose
            // addresses are counted from the near one.
            let free = || {
                subnet
                    .usable_addresses()
                    .rfind(|address| !taken.contains(address))
            };
            if let Some(private_ip) = chosen.or_else(free) {
                self.ec2
                    .elb_interfaces
                    .insert(key, ElbInterface { private_ip });
            }
        }
    }

    /// The security groups of a load balancer's interfaces, also after its deletion.
    pub(super) fn elb_interface_groups(&self, load_balancer_arn: &str) -> BTreeSet<String> {
        if let Some(balancer) = self.elbv2.load_balancers.get(load_balancer_arn) {
            return balancer.security_groups.iter().cloned().collect();
        }
        let lingering = self.elbv2.lingering_interfaces.iter();
        let gone = lingering.filter(|gone| gone.load_balancer_arn == load_balancer_arn);
        gone.flat_map(|gone| gone.security_groups.iter().cloned())
            .collect()
    }

    /// The Elastic IP of a network load balancer in a subnet.
    pub(super) fn elb_allocation(&self, load_balancer_arn: &str, subnet_id: &str) -> Option<&str> {
        let balancer: &LoadBalancer = self.elbv2.load_balancers.get(load_balancer_arn)?;
        if balancer.kind != LoadBalancerKind::Network {
            return None;
        }
        let zone = balancer
            .zones
            .iter()
            .find(|zone| zone.subnet_id == subnet_id)?;
        zone.allocation_id.as_deref()
    }
}
