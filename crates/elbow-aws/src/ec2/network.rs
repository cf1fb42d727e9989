//! The VPC, its subnets and route tables, the region's zones. In: ids. Out: answers. Always: a VPC
//! that does not exist is an answer and no error, as the model wants it.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;
use elbow_model::aws_call::RouteTable;
use elbow_model::facts::{Subnet, Vpc, ZoneType};
use elbow_model::{AwsAnswer, SubnetId, VpcId};

use super::{filter, from_tags};
use crate::convert::{Answer, each, first, page};
use crate::failure::Failure;

pub(crate) async fn vpc(ec2: &Client, vpc_id: &VpcId) -> Answer {
    let asked = ec2.describe_vpcs().vpc_ids(vpc_id.as_str()).send().await;
    match asked.map_err(Failure::from) {
        Ok(output) => Ok(AwsAnswer::Vpc(first(output.vpcs).and_then(from_vpc))),
        Err(failure) if failure.has_code("InvalidVpcID.NotFound") => Ok(AwsAnswer::Vpc(None)),
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn subnets(ec2: &Client, vpc_id: &VpcId, marker: Option<&str>) -> Answer {
    let output = ec2
        .describe_subnets()
        .filters(filter("vpc-id", vpc_id.as_str()))
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    Ok(AwsAnswer::Subnets(page(
        each(output.subnets, from_subnet),
        output.next_token,
    )))
}

pub(crate) async fn route_tables(ec2: &Client, vpc_id: &VpcId, marker: Option<&str>) -> Answer {
    let output = ec2
        .describe_route_tables()
        .filters(filter("vpc-id", vpc_id.as_str()))
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    let tables = each(output.route_tables, |table| Some(from_route_table(table)));
    Ok(AwsAnswer::RouteTables(page(tables, output.next_token)))
}

pub(crate) async fn zones(ec2: &Client) -> Answer {
    let output = ec2.describe_availability_zones().send().await?;
    let zones = each(output.availability_zones, |zone| {
        let zone_type = match zone.zone_type.as_deref() {
            Some("local-zone") => ZoneType::LocalZone,
            Some("wavelength-zone") => ZoneType::WavelengthZone,
            _ => ZoneType::AvailabilityZone,
        };
        Some((zone.zone_name?, zone_type))
    });
    Ok(AwsAnswer::AvailabilityZones(zones.into_iter().collect()))
}

// === conversions ===

/// A block that was taken out of a VPC is told of for a while, with its state.
fn from_vpc(vpc: types::Vpc) -> Option<Vpc> {
    use types::{VpcCidrBlockState, VpcCidrBlockStateCode};
    let is_in_use = |state: &Option<VpcCidrBlockState>| {
        let state = state.as_ref().and_then(|state| state.state.as_ref());
        state.is_none_or(|state| *state == VpcCidrBlockStateCode::Associated)
    };
    let mut ipv4_cidrs = each(vpc.cidr_block_association_set, |block| {
        block
            .cidr_block
            .filter(|_| is_in_use(&block.cidr_block_state))
    });
    if ipv4_cidrs.is_empty() {
        ipv4_cidrs.extend(vpc.cidr_block);
    }
    Some(Vpc {
        id: VpcId::new(vpc.vpc_id?),
        ipv4_cidrs,
        ipv6_cidrs: each(vpc.ipv6_cidr_block_association_set, |block| {
            block
                .ipv6_cidr_block
                .filter(|_| is_in_use(&block.ipv6_cidr_block_state))
        }),
    })
}

fn from_subnet(subnet: types::Subnet) -> Option<Subnet> {
    Some(Subnet {
        id: SubnetId::new(subnet.subnet_id?),
        availability_zone: subnet.availability_zone?,
        ipv4_cidr: subnet.cidr_block.unwrap_or_default(),
        ipv6_cidrs: each(subnet.ipv6_cidr_block_association_set, |block| {
            let state = block.ipv6_cidr_block_state.and_then(|state| state.state);
            let is_in_use = state.is_none_or(|s| s == types::SubnetCidrBlockStateCode::Associated);
            block.ipv6_cidr_block.filter(|_| is_in_use)
        }),
        available_ip_address_count: subnet.available_ip_address_count.unwrap_or_default(),
        outpost_arn: subnet.outpost_arn,
        tags: from_tags(subnet.tags),
    })
}

fn from_route_table(table: types::RouteTable) -> RouteTable {
    let associations = table.associations.unwrap_or_default();
    // The ids of internet gateways are told by their prefix: NAT and local routes have others.
    let to_internet = |route: types::Route| {
        let gateway = route.gateway_id;
        gateway.is_some_and(|gateway| gateway.starts_with("igw-"))
    };
    RouteTable {
        main: associations
            .iter()
            .any(|association| association.main == Some(true)),
        subnets: associations
            .into_iter()
            .filter_map(|association| association.subnet_id)
            .map(SubnetId::new)
            .collect(),
        reaches_internet_gateway: table.routes.into_iter().flatten().any(to_internet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_were_taken_out_are_none() {
        use types::{
            SubnetCidrBlockState, SubnetCidrBlockStateCode, SubnetIpv6CidrBlockAssociation,
            VpcCidrBlockAssociation, VpcCidrBlockState, VpcCidrBlockStateCode,
            VpcIpv6CidrBlockAssociation,
        };
        let states = [
            VpcCidrBlockStateCode::Associated,
            VpcCidrBlockStateCode::Disassociated,
        ];
        let mut vpc = types::Vpc::builder()
            .vpc_id("vpc-1")
            .cidr_block("10.0.0.0/16");
        for (place, state) in states.into_iter().enumerate() {
            let state = VpcCidrBlockState::builder().state(state).build();
            let ipv4 = VpcCidrBlockAssociation::builder()
                .cidr_block(format!("10.{place}.0.0/16"))
                .cidr_block_state(state.clone());
            let ipv6 = VpcIpv6CidrBlockAssociation::builder()
                .ipv6_cidr_block(format!("2001:db8:{place}::/56"))
                .ipv6_cidr_block_state(state);
            vpc = vpc
                .cidr_block_association_set(ipv4.build())
                .ipv6_cidr_block_association_set(ipv6.build());
        }
        let vpc = from_vpc(vpc.build()).unwrap();
        assert_eq!(vpc.ipv4_cidrs, ["10.0.0.0/16"]);
        assert_eq!(vpc.ipv6_cidrs, ["2001:db8:0::/56"]);

        let state = SubnetCidrBlockState::builder().state(SubnetCidrBlockStateCode::Disassociating);
        let block = SubnetIpv6CidrBlockAssociation::builder()
            .ipv6_cidr_block("2001:db8::/64")
            .ipv6_cidr_block_state(state.build());
        let subnet = types::Subnet::builder()
            .subnet_id("subnet-1")
            .availability_zone("us-east-1a")
            .ipv6_cidr_block_association_set(block.build());
        assert_eq!(
            from_subnet(subnet.build()).unwrap().ipv6_cidrs,
            Vec::<String>::new()
        );
    }
}
