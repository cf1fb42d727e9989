//! DescribeVpcs, DescribeSubnets, DescribeRouteTables, DescribeAvailabilityZones and
//! DescribeAddresses.

use std::collections::{BTreeMap, BTreeSet};

use super::filters::{self, Filterable, Page};
use super::state::{Address, RouteTable, Subnet, Tags, Vpc};
use super::{ids, wire_tags};
use crate::generated::ec2 as wire;
use crate::{ApiError, Emulator};

/// DescribeRouteTables allows smaller pages than the other operations.
const ROUTE_TABLES_PAGE_MAX: i32 = 100;

impl Emulator {
    pub(super) fn describe_vpcs(
        &self,
        input: &wire::DescribeVpcsInput,
    ) -> Result<wire::DescribeVpcsOutput, ApiError> {
        let vpcs = ids::VPC.select(&self.ec2.vpcs, input.vpc_ids.as_deref())?;
        let found = filters::apply(vpcs.into_iter(), input.filters.as_deref())?;
        let page = Page::new(input.max_results, input.next_token.as_deref());
        let (page, next_token) = page.cut(found, |vpc| &vpc.id)?;
        let vpcs = page.into_iter().map(|vpc| self.wire_vpc(vpc)).collect();
        Ok(wire::DescribeVpcsOutput {
            vpcs: Some(vpcs),
            next_token,
        })
    }

    fn wire_vpc(&self, vpc: &Vpc) -> wire::Vpc {
        let associated = || wire::VpcCidrBlockState {
            state: Some("associated".into()),
            status_message: None,
        };
        let suffix = vpc.id.trim_start_matches("vpc-");
        let ipv6 = vpc.ipv6_cidr.map(|cidr| {
            vec![wire::VpcIpv6CidrBlockAssociation {
                association_id: Some(format!("vpc-cidr-assoc-6{suffix}")),
                ipv6_cidr_block: Some(cidr.to_string()),
                ipv6_cidr_block_state: Some(associated()),
                ipv6_pool: Some("Amazon".into()),
                network_border_group: Some(self.config.region.clone()),
                ..Default::default()
            }]
        });
        wire::Vpc {
            cidr_block: Some(vpc.cidr.to_string()),
            cidr_block_association_set: Some(vec![wire::VpcCidrBlockAssociation {
                association_id: Some(format!("vpc-cidr-assoc-{suffix}")),
                cidr_block: Some(vpc.cidr.to_string()),
                cidr_block_state: Some(associated()),
            }]),
            dhcp_options_id: Some("default".into()),
            instance_tenancy: Some("default".into()),
            ipv6_cidr_block_association_set: ipv6,
            is_default: Some(vpc.is_default),
            owner_id: Some(self.config.account_id.clone()),
            state: Some("available".into()),
            tags: wire_tags(&vpc.tags),
            vpc_id: Some(vpc.id.clone()),
            ..Default::default()
        }
    }

    pub(super) fn describe_subnets(
        &self,
        input: &wire::DescribeSubnetsInput,
    ) -> Result<wire::DescribeSubnetsOutput, ApiError> {
        let subnets = ids::SUBNET.select(&self.ec2.subnets, input.subnet_ids.as_deref())?;
        let region = self.config.region.as_str();
        let subnets = subnets
            .into_iter()
            .map(|subnet| SubnetView { subnet, region });
        let found = filters::apply(subnets, input.filters.as_deref())?;
        let page = Page::new(input.max_results, input.next_token.as_deref());
        let (page, next_token) = page.cut(found, |view| &view.subnet.id)?;
        let subnets = page
            .into_iter()
            .map(|view| self.wire_subnet(view.subnet))
            .collect();
        Ok(wire::DescribeSubnetsOutput {
            subnets: Some(subnets),
            next_token,
        })
    }

    fn wire_subnet(&self, subnet: &Subnet) -> wire::Subnet {
        let suffix = subnet.id.trim_start_matches("subnet-");
        let ipv6 = subnet
            .ipv6_cidr
            .map(|cidr| wire::SubnetIpv6CidrBlockAssociation {
                association_id: Some(format!("subnet-cidr-assoc-{suffix}")),
                ipv6_cidr_block: Some(cidr.to_string()),
                ipv6_cidr_block_state: Some(wire::SubnetCidrBlockState {
                    state: Some("associated".into()),
                    status_message: None,
                }),
                ..Default::default()
            });
        let free = self.ec2.all_free_addresses(subnet);
        wire::Subnet {
            assign_ipv6_address_on_creation: Some(subnet.ipv6_cidr.is_some()),
            availability_zone: Some(subnet.zone.clone()),
            availability_zone_id: Some(zone_id(&self.config.region, &subnet.zone)),
            available_ip_address_count: Some(i32::try_from(free).unwrap_or(i32::MAX)),
            cidr_block: Some(subnet.cidr.to_string()),
            default_for_az: Some(false),
            enable_dns64: Some(false),
            ipv6_cidr_block_association_set: Some(ipv6.into_iter().collect()),
            ipv6_native: Some(false),
            map_customer_owned_ip_on_launch: Some(false),
            map_public_ip_on_launch: Some(subnet.map_public_ip),
            owner_id: Some(self.config.account_id.clone()),
            state: Some("available".into()),
            subnet_arn: Some(self.ec2_arn("subnet", &subnet.id)),
            subnet_id: Some(subnet.id.clone()),
            tags: wire_tags(&subnet.tags),
            vpc_id: Some(subnet.vpc_id.clone()),
            ..Default::default()
        }
    }

    pub(super) fn describe_route_tables(
        &self,
        input: &wire::DescribeRouteTablesInput,
    ) -> Result<wire::DescribeRouteTablesOutput, ApiError> {
        let tables =
            ids::ROUTE_TABLE.select(&self.ec2.route_tables, input.route_table_ids.as_deref())?;
        let found = filters::apply(tables.into_iter(), input.filters.as_deref())?;
        let page = Page {
            limit: ROUTE_TABLES_PAGE_MAX,
            ..Page::new(input.max_results, input.next_token.as_deref())
        };
        let (page, next_token) = page.cut(found, |table| &table.id)?;
        let route_tables = page
            .into_iter()
            .map(|table| self.wire_route_table(table))
            .collect();
        Ok(wire::DescribeRouteTablesOutput {
            route_tables: Some(route_tables),
            next_token,
        })
    }

    fn wire_route_table(&self, table: &RouteTable) -> wire::RouteTable {
        let suffix = table.id.trim_start_matches("rtb-");
        let association = |subnet: Option<&String>| wire::RouteTableAssociation {
            association_state: Some(wire::RouteTableAssociationState {
                state: Some("associated".into()),
                status_message: None,
            }),
            main: Some(subnet.is_none()),
            route_table_association_id: Some(match subnet {
                Some(subnet) => format!("rtbassoc-{}", subnet.trim_start_matches("subnet-")),
                None => format!("rtbassoc-{suffix}"),
            }),
            route_table_id: Some(table.id.clone()),
            subnet_id: subnet.cloned(),
            ..Default::default()
        };
        let main = table.is_main.then(|| association(None));
        let subnets = table.subnets.iter().map(|subnet| association(Some(subnet)));
        let route = |destination: &str, gateway: &str, origin: &str| wire::Route {
            destination_cidr_block: (!destination.contains(':')).then(|| destination.into()),
            destination_ipv6_cidr_block: destination.contains(':').then(|| destination.into()),
            gateway_id: Some(gateway.into()),
            origin: Some(origin.into()),
            state: Some("active".into()),
            ..Default::default()
        };
        let mut routes = Vec::new();
        if let Some(vpc) = self.ec2.vpcs.get(&table.vpc_id) {
            routes.push(route(&vpc.cidr.to_string(), "local", "CreateRouteTable"));
            let ipv6 = vpc.ipv6_cidr.map(|cidr| cidr.to_string());
            routes.extend(ipv6.map(|cidr| route(&cidr, "local", "CreateRouteTable")));
        }
        let gateways = table.gateway_routes.iter();
        routes.extend(gateways.map(|(to, gateway)| route(to, gateway, "CreateRoute")));
        wire::RouteTable {
            associations: Some(main.into_iter().chain(subnets).collect()),
            owner_id: Some(self.config.account_id.clone()),
            propagating_vgws: Some(Vec::new()),
            route_table_id: Some(table.id.clone()),
            routes: Some(routes),
            tags: wire_tags(&table.tags),
            vpc_id: Some(table.vpc_id.clone()),
        }
    }

    pub(super) fn describe_availability_zones(
        &self,
        input: &wire::DescribeAvailabilityZonesInput,
    ) -> Result<wire::DescribeAvailabilityZonesOutput, ApiError> {
        let region = &self.config.region;
        let zones: BTreeSet<&str> = self.ec2.zones();
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        let names = input.zone_names.as_deref().unwrap_or_default();
        let zone_ids = input.zone_ids.as_deref().unwrap_or_default();
        for name in names {
            wanted.extend(Some(
                *zones.get(name.as_str()).ok_or_else(|| invalid_zone(name))?,
            ));
        }
        for id in zone_ids {
            let zone = zones.iter().find(|zone| zone_id(region, zone) == *id);
            wanted.extend(Some(*zone.ok_or_else(|| invalid_zone(id))?));
        }
        if names.is_empty() && zone_ids.is_empty() {
            wanted = zones;
        }
        let views = wanted.into_iter().map(|name| ZoneView {
            name,
            region,
            tags: Tags::new(),
        });
        let found = filters::apply(views, input.filters.as_deref())?;
        let zones = found.iter().map(|view| wire::AvailabilityZone {
            group_name: Some(region.clone()),
            network_border_group: Some(region.clone()),
            opt_in_status: Some("opt-in-not-required".into()),
            region_name: Some(region.clone()),
            state: Some("available".into()),
            zone_id: Some(zone_id(region, view.name)),
            zone_name: Some(view.name.into()),
            zone_type: Some("availability-zone".into()),
            ..Default::default()
        });
        Ok(wire::DescribeAvailabilityZonesOutput {
            availability_zones: Some(zones.collect()),
        })
    }

    pub(super) fn describe_addresses(
        &self,
        input: &wire::DescribeAddressesInput,
    ) -> Result<wire::DescribeAddressesOutput, ApiError> {
        let by_id = ids::ALLOCATION.select(&self.ec2.addresses, input.allocation_ids.as_deref())?;
        let public_ips = input.public_ips.as_deref().unwrap_or_default();
        for ip in public_ips {
            if !self
                .ec2
                .addresses
                .values()
                .any(|a| a.public_ip.to_string() == *ip)
            {
                let message = format!("Address '{ip}' not found.");
                return Err(ApiError::sender("InvalidAddress.NotFound", message));
            }
        }
        let views = by_id
            .into_iter()
            .filter(|a| public_ips.is_empty() || public_ips.contains(&a.public_ip.to_string()))
            .map(|address| AddressView {
                address,
                interface: self.interface_of(address),
            });
        let found = filters::apply(views, input.filters.as_deref())?;
        let region = &self.config.region;
        let addresses = found.iter().map(|view| wire::Address {
            allocation_id: Some(view.address.allocation_id.clone()),
            association_id: view.interface.as_ref().map(|_| {
                view.address
                    .allocation_id
                    .replacen("eipalloc-", "eipassoc-", 1)
            }),
            domain: Some("vpc".into()),
            network_border_group: Some(region.clone()),
            network_interface_id: view.interface.clone(),
            public_ip: Some(view.address.public_ip.to_string()),
            public_ipv4_pool: Some("amazon".into()),
            tags: wire_tags(&view.address.tags),
            ..Default::default()
        });
        Ok(wire::DescribeAddressesOutput {
            addresses: Some(addresses.collect()),
        })
    }

    /// The interface of the network load balancer that took an Elastic IP.
    fn interface_of(&self, address: &Address) -> Option<String> {
        self.elbv2.load_balancers.values().find_map(|balancer| {
            let mut zones = balancer.zones.iter();
            let id = Some(address.allocation_id.as_str());
            let zone = zones.find(|zone| zone.allocation_id.as_deref() == id)?;
            Some(super::interfaces::elb_interface_id(
                &balancer.arn,
                &zone.subnet_id,
            ))
        })
    }
}

fn invalid_zone(name: &str) -> ApiError {
    ApiError::sender(
        "InvalidParameterValue",
        format!("Invalid availability zone: [{name}]"),
    )
}

/// The id of a zone, which AWS keeps apart from its name: `use1-az1` for `us-east-1a`. (In an
/// account of AWS the letters are shuffled; here they are not.)
pub(super) fn zone_id(region: &str, zone: &str) -> String {
    let directions = [
        ("northeast", "ne"),
        ("northwest", "nw"),
        ("southeast", "se"),
        ("southwest", "sw"),
        ("central", "c"),
        ("north", "n"),
        ("south", "s"),
        ("east", "e"),
        ("west", "w"),
        ("gov", "g"),
    ];
    let short: String = region
        .split('-')
        .map(|part| {
            directions
                .iter()
                .find(|row| row.0 == part)
                .map_or(part, |row| row.1)
        })
        .collect();
    let letter = zone
        .strip_prefix(region)
        .and_then(|rest| rest.bytes().next())
        .unwrap_or(b'a');
    format!("{short}-az{}", u32::from(letter.saturating_sub(b'a')) + 1)
}

impl Filterable for &Vpc {
    const FILTERS: &'static [&'static str] = &[
        "cidr",
        "cidr-block-association.cidr-block",
        "ipv6-cidr-block-association.ipv6-cidr-block",
        "is-default",
        "owner-id",
        "state",
        "vpc-id",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "cidr" | "cidr-block-association.cidr-block" => vec![self.cidr.to_string()],
            "ipv6-cidr-block-association.ipv6-cidr-block" => {
                self.ipv6_cidr.iter().map(ToString::to_string).collect()
            }
            "is-default" => vec![self.is_default.to_string()],
            "state" => vec!["available".into()],
            "vpc-id" => vec![self.id.clone()],
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

struct SubnetView<'a> {
    subnet: &'a Subnet,
    region: &'a str,
}

impl Filterable for SubnetView<'_> {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "availability-zone-id",
        "availabilityZone",
        "availabilityZoneId",
        "cidr",
        "cidr-block",
        "cidrBlock",
        "ipv6-cidr-block-association.ipv6-cidr-block",
        "map-public-ip-on-launch",
        "outpost-arn",
        "state",
        "subnet-id",
        "vpc-id",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        let subnet = self.subnet;
        match filter {
            "availability-zone" | "availabilityZone" => vec![subnet.zone.clone()],
            "availability-zone-id" | "availabilityZoneId" => {
                vec![zone_id(self.region, &subnet.zone)]
            }
            "cidr" | "cidr-block" | "cidrBlock" => vec![subnet.cidr.to_string()],
            "ipv6-cidr-block-association.ipv6-cidr-block" => {
                subnet.ipv6_cidr.iter().map(ToString::to_string).collect()
            }
            "map-public-ip-on-launch" => vec![subnet.map_public_ip.to_string()],
            "state" => vec!["available".into()],
            "subnet-id" => vec![subnet.id.clone()],
            "vpc-id" => vec![subnet.vpc_id.clone()],
            // No subnet here lies on an Outpost.
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.subnet.tags
    }
}

impl Filterable for &RouteTable {
    const FILTERS: &'static [&'static str] = &[
        "association.main",
        "association.route-table-id",
        "association.subnet-id",
        "route-table-id",
        "route.destination-cidr-block",
        "route.gateway-id",
        "vpc-id",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "association.main" => vec![self.is_main.to_string()],
            "association.subnet-id" => self.subnets.iter().cloned().collect(),
            "association.route-table-id" | "route-table-id" => vec![self.id.clone()],
            "route.destination-cidr-block" => self.gateway_routes.keys().cloned().collect(),
            "route.gateway-id" => {
                let local = std::iter::once("local".to_owned());
                local.chain(self.gateway_routes.values().cloned()).collect()
            }
            "vpc-id" => vec![self.vpc_id.clone()],
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

struct ZoneView<'a> {
    name: &'a str,
    region: &'a str,
    /// Zones have no tags; the filters ask all the same.
    tags: Tags,
}

impl Filterable for ZoneView<'_> {
    const FILTERS: &'static [&'static str] = &[
        "group-name",
        "opt-in-status",
        "region-name",
        "state",
        "zone-id",
        "zone-name",
        "zone-type",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        let value = match filter {
            "group-name" | "region-name" => self.region.to_owned(),
            "opt-in-status" => "opt-in-not-required".into(),
            "state" => "available".into(),
            "zone-id" => zone_id(self.region, self.name),
            "zone-name" => self.name.to_owned(),
            "zone-type" => "availability-zone".into(),
            _ => return Vec::new(),
        };
        vec![value]
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

struct AddressView<'a> {
    address: &'a Address,
    interface: Option<String>,
}

impl Filterable for AddressView<'_> {
    const FILTERS: &'static [&'static str] = &[
        "allocation-id",
        "domain",
        "network-interface-id",
        "public-ip",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "allocation-id" => vec![self.address.allocation_id.clone()],
            "domain" => vec!["vpc".into()],
            "network-interface-id" => self.interface.iter().cloned().collect(),
            "public-ip" => vec![self.address.public_ip.to_string()],
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.address.tags
    }
}
