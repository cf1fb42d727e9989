//! What ELBv2 looks up in EC2 and ACM: subnets, addresses, security groups, certificates.
//!
//! All references of a request are checked here, so that what ELBv2 stores does exist.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::error;
use super::state::{LoadBalancerKind, Scheme, ZoneMapping};
use crate::Emulator;
use crate::acm::CertificateStatus;
use crate::ec2;
use crate::error::ApiError;

/// Free addresses that a subnet must have for a new load balancer ("Subnets for your load
/// balancer" in the guides of both kinds).
const FREE_ADDRESSES_MIN: usize = 8;
/// Smallest subnet of an application load balancer (ALB guide).
const APPLICATION_PREFIX_MAX: u8 = 27;

impl Emulator {
    /// The subnet of that id.
    pub(super) fn subnet(&self, id: &str) -> Result<&ec2::state::Subnet, ApiError> {
        self.ec2.subnets.get(id).ok_or_else(|| {
            let message = format!("The subnet ID '{id}' does not exist");
            ApiError::sender("SubnetNotFound", message)
        })
    }

    /// Refuses security groups that do not exist or lie in another VPC.
    pub(super) fn check_security_groups(
        &self,
        vpc_id: &str,
        groups: &[String],
    ) -> Result<(), ApiError> {
        let fits = |id: &String| {
            self.ec2
                .security_groups
                .get(id)
                .is_some_and(|group| group.vpc_id == vpc_id)
        };
        if !groups.iter().all(fits) {
            let message = "One or more security groups are invalid";
            return Err(ApiError::sender("InvalidSecurityGroup", message));
        }
        let distinct: BTreeSet<&String> = groups.iter().collect();
        let quota = self.config.quotas.security_groups_per_interface;
        if distinct.len() != groups.len() || groups.len() > quota {
            // That there is a quota is documented; its code and text here are not.
            return Err(error::configuration(format!(
                "Up to '{quota}' different security groups can be specified"
            )));
        }
        Ok(())
    }

    /// Refuses a subnet that has too little room for a node of a new load balancer.
    pub(super) fn check_room(
        &self,
        kind: LoadBalancerKind,
        scheme: Scheme,
        mapping: &ZoneMapping,
    ) -> Result<(), ApiError> {
        let subnet = self.subnet(&mapping.subnet_id)?;
        let nodes = self.elbv2.load_balancers.values().flat_map(|lb| &lb.zones);
        let n_nodes = nodes.filter(|zone| zone.subnet_id == subnet.id).count();
        let n_free = self.ec2.free_addresses(subnet).saturating_sub(n_nodes);
        let own_address = mapping.private_ipv4.is_some() && scheme == Scheme::Internal;
        let too_small = kind == LoadBalancerKind::Application
            && subnet.cidr.prefix_len() > APPLICATION_PREFIX_MAX;
        if too_small || (n_free < FREE_ADDRESSES_MIN && !own_address) {
            let message = format!(
                "Not enough IP space available in {}. ELB requires at least {FREE_ADDRESSES_MIN} \
                 free IP addresses in each subnet.",
                subnet.id
            );
            return Err(ApiError::sender("InvalidSubnet", message));
        }
        Ok(())
    }

    /// Refuses the public face of a VPC that has none.
    pub(super) fn check_internet_gateway(&self, vpc_id: &str) -> Result<(), ApiError> {
        if self.ec2.has_internet_gateway(vpc_id) {
            return Ok(());
        }
        let message = format!("VPC {vpc_id} has no internet gateway");
        Err(ApiError::sender("InvalidSubnet", message))
    }

    /// Refuses addresses that a zone of a network load balancer cannot have. `own` is the load
    /// balancer's ARN, whose present addresses it may keep.
    pub(super) fn check_addresses(
        &self,
        scheme: Scheme,
        mapping: &ZoneMapping,
        own: Option<&str>,
    ) -> Result<(), ApiError> {
        let others = self.elbv2.load_balancers.values();
        let others = others
            .filter(|lb| Some(lb.arn.as_str()) != own)
            .flat_map(|lb| &lb.zones);
        if let Some(allocation) = &mapping.allocation_id {
            if !self.ec2.addresses.contains_key(allocation) {
                let message = format!("The allocation ID '{allocation}' does not exist");
                return Err(ApiError::sender("AllocationIdNotFound", message));
            }
            if scheme == Scheme::Internal || mapping.private_ipv4.is_some() {
                // The restrictions are the reference's, the text is not.
                return Err(error::configuration(
                    "You can only specify Elastic IP addresses, without private IPv4 addresses, \
                     for Network Load Balancers with scheme 'internet-facing'",
                ));
            }
            let mut taken = others.clone();
            let taken = taken.any(|zone| zone.allocation_id.as_ref() == Some(allocation));
            if taken {
                // Undocumented text.
                return Err(error::in_use(format!(
                    "The allocation ID '{allocation}' is in use"
                )));
            }
        }
        let subnet = self.subnet(&mapping.subnet_id)?;
        if let Some(address) = &mapping.private_ipv4 {
            if scheme != Scheme::Internal {
                return Err(error::configuration(
                    "You can only specify private IPv4 addresses for Network Load Balancers with \
                     scheme 'internal'.",
                ));
            }
            let parsed = address.parse::<Ipv4Addr>().ok();
            let taken = others
                .clone()
                .any(|zone| zone.private_ipv4.as_ref() == Some(address));
            let used = self.ec2.addresses_in_use(&subnet.id);
            if !parsed.is_some_and(|ip| subnet.cidr.contains(&ip) && !used.contains(&ip)) || taken {
                // AWS takes an address that is in use and lets the load balancer fail; here the
                // request fails, which is easier to notice. Text undocumented.
                return Err(error::configuration(format!(
                    "The private IPv4 address '{address}' is not available in subnet '{}'",
                    subnet.id
                )));
            }
        }
        if let Some(address) = &mapping.ipv6 {
            let parsed = address.parse::<Ipv6Addr>().ok();
            let inside =
                parsed.is_some_and(|ip| subnet.ipv6_cidr.is_some_and(|cidr| cidr.contains(&ip)));
            if !inside {
                // Undocumented text.
                return Err(error::configuration(format!(
                    "The IPv6 address '{address}' is not in the range of subnet '{}'",
                    subnet.id
                )));
            }
        }
        Ok(())
    }

    /// Refuses a certificate that a listener cannot have.
    pub(super) fn check_certificate(&self, arn: &str) -> Result<(), ApiError> {
        let not_found = || {
            ApiError::sender(
                "CertificateNotFound",
                format!("Certificate '{arn}' not found"),
            )
        };
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        if let ["arn", _, "acm", region, _, _] = parts.as_slice()
            && *region != self.config.region
        {
            return Err(error::validation(format!(
                "Certificate ARN '{arn}' is not valid"
            )));
        }
        let certificate = self.acm.certificates.get(arn).ok_or_else(not_found)?;
        match certificate.status {
            CertificateStatus::Issued => Ok(()),
            CertificateStatus::PendingValidation => Err(ApiError::sender(
                "UnsupportedCertificate",
                format!(
                    "The certificate '{arn}' must have a fully-qualified domain name, a supported \
                     signature, and a supported key size."
                ),
            )),
        }
    }
}
