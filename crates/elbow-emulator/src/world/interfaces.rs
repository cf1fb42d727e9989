//! Network interfaces that change while the account is in use: pods get one of their own and give it back,
//! addresses move from one interface to another, groups are exchanged. EC2's operations for that are not
//! modelled, for no load balancer controller calls them; the VPC CNI plugin and people do.
//!
//! In: ids and addresses. Out: that it is done, or why not. Always: an address of a subnet is on one
//! interface at most, and the primary address of an instance stays.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::{WorldError, known};
use crate::Emulator;
use crate::ec2::state::Interface;

/// A network interface without an instance that could be described: that of a pod with security groups of
/// its own, or of a Fargate task.
#[derive(Clone, Debug)]
pub struct InterfaceSpec {
    /// Where it is.
    pub subnet_id: String,
    /// Its address; the lowest free one of the subnet when left out.
    pub private_ip: Option<Ipv4Addr>,
    /// Its security groups; EC2 allows none without.
    pub security_groups: BTreeSet<String>,
}

impl Emulator {
    /// Adds an interface. Answers with its id.
    pub fn add_interface(&mut self, spec: InterfaceSpec) -> Result<String, WorldError> {
        let subnet = known(&self.ec2.subnets, &spec.subnet_id)?.clone();
        for group in &spec.security_groups {
            known(&self.ec2.security_groups, group)?;
        }
        let private_ip = self.pick_address(&subnet, spec.private_ip)?;
        let id = self.ids.ec2("eni");
        let interface = Interface {
            id: id.clone(),
            vpc_id: subnet.vpc_id,
            subnet_id: subnet.id,
            description: String::new(),
            private_ips: vec![private_ip],
            prefixes: Vec::new(),
            ipv6: None,
            groups: spec.security_groups,
            instance_id: None,
            tags: BTreeMap::new(),
        };
        self.ec2.interfaces.insert(id.clone(), interface);
        self.touch();
        Ok(id)
    }

    /// Removes an interface that no instance has.
    pub fn remove_interface(&mut self, id: &str) -> Result<(), WorldError> {
        let interface = known(&self.ec2.interfaces, id)?;
        if interface.instance_id.is_some() {
            return Err(WorldError::Exists(id.to_owned()));
        }
        self.ec2.interfaces.remove(id);
        self.touch();
        Ok(())
    }

    /// Exchanges the security groups of an interface.
    pub fn set_interface_security_groups(
        &mut self,
        id: &str,
        groups: BTreeSet<String>,
    ) -> Result<(), WorldError> {
        for group in &groups {
            known(&self.ec2.security_groups, group)?;
        }
        let interface = self.ec2.interfaces.get_mut(id);
        let interface = interface.ok_or_else(|| WorldError::Unknown(id.to_owned()))?;
        interface.groups = groups;
        self.touch();
        Ok(())
    }

    /// Exchanges the security groups of an instance's interface.
    pub fn set_instance_security_groups(
        &mut self,
        id: &str,
        groups: BTreeSet<String>,
    ) -> Result<(), WorldError> {
        known(&self.ec2.instances, id)?;
        let mut interfaces = self.ec2.interfaces.values();
        let found = interfaces.find(|interface| interface.instance_id.as_deref() == Some(id));
        match found.map(|interface| interface.id.clone()) {
            Some(interface) => self.set_interface_security_groups(&interface, groups),
            None => Err(WorldError::Unknown(id.to_owned())),
        }
    }

    /// Takes addresses off an instance's interface, as the VPC CNI plugin does when pods are gone.
    pub fn remove_instance_addresses(
        &mut self,
        id: &str,
        addresses: &BTreeSet<Ipv4Addr>,
    ) -> Result<(), WorldError> {
        let primary = known(&self.ec2.instances, id)?.private_ip;
        let mut interfaces = self.ec2.interfaces.values_mut();
        if let Some(interface) = interfaces.find(|i| i.instance_id.as_deref() == Some(id)) {
            let stays = |address: &Ipv4Addr| *address == primary || !addresses.contains(address);
            interface.private_ips.retain(stays);
        }
        self.touch();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ipnet::Ipv4Net;

    use super::*;
    use crate::Config;
    use crate::world::{InstanceSpec, SecurityGroupSpec, SubnetSpec, VpcSpec};

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 20);

    #[test]
    fn an_address_moves_from_an_instance_to_an_interface_and_back() {
        let mut emulator = Emulator::new(Config::default());
        let cidr = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 24);
        let vpc = emulator.add_vpc(VpcSpec::new(cidr)).unwrap();
        let subnet = SubnetSpec::new(vpc.clone(), "us-east-1a", cidr);
        let subnet = emulator.add_subnet(subnet).unwrap();
        let group = emulator.add_security_group(SecurityGroupSpec {
            id: None,
            name: "pods".to_owned(),
            description: "of pods".to_owned(),
            vpc_id: vpc,
            tags: BTreeMap::new(),
        });
        let groups = BTreeSet::from([group.unwrap()]);
        let instance = emulator.add_instance(InstanceSpec::new(subnet.clone()));
        let instance = instance.unwrap();
        let spec = InterfaceSpec {
            subnet_id: subnet,
            private_ip: Some(ADDRESS),
            security_groups: groups.clone(),
        };
        emulator
            .add_instance_addresses(&instance, &[ADDRESS])
            .unwrap();
        let taken = emulator.add_interface(spec.clone());
        assert_eq!(taken, Err(WorldError::Exists(ADDRESS.to_string())));
        let primary = emulator.ec2.instances[&instance].private_ip;
        let both = BTreeSet::from([ADDRESS, primary]);
        emulator
            .remove_instance_addresses(&instance, &both)
            .unwrap();
        let own = emulator.add_interface(spec).unwrap();
        assert_eq!(emulator.ec2.interfaces[&own].groups, groups);
        let again = emulator.add_instance_addresses(&instance, &[ADDRESS, primary]);
        assert!(again.is_err(), "both are taken");
        emulator.remove_interface(&own).unwrap();
        emulator
            .add_instance_addresses(&instance, &[ADDRESS])
            .unwrap();
        emulator
            .set_instance_security_groups(&instance, groups.clone())
            .unwrap();
        let of_instance = emulator.ec2.interfaces.values().next().unwrap();
        assert_eq!(of_instance.groups, groups);
        assert!(emulator.remove_interface(&of_instance.id.clone()).is_err());
    }
}
