//! `IpPermissions` as rules: one permission with several peers is several rules.
//!
//! In: permissions as clients write them. Out: canonical [`RuleKey`]s, or EC2's refusal. Always:
//! two rules that AWS takes for the same have equal keys, whatever the spelling (`10.0.0.9/8` is
//! `10.0.0.0/8`, protocol `6` is `tcp`).

use std::collections::BTreeMap;

use ipnet::{Ipv4Net, Ipv6Net};

use super::ids;
use super::state::{Direction, Peer, RuleKey, SecurityGroupRule, State};
use crate::ApiError;
use crate::generated::ec2 as wire;

/// A rule that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) key: RuleKey,
    pub(super) description: Option<String>,
}

/// Characters of a rule's description.
const DESCRIPTION_MAX: usize = 255;

/// The rules of a list of permissions.
pub(super) fn rules(
    state: &State,
    account_id: &str,
    direction: Direction,
    permissions: &[wire::IpPermission],
) -> Result<Vec<Wanted>, ApiError> {
    let mut out: Vec<Wanted> = Vec::new();
    for permission in permissions {
        let (protocol, from_port, to_port) = protocol_and_ports(permission)?;
        let peers = peers(state, account_id, permission)?;
        if peers.is_empty() {
            // AWS's message for this is undocumented.
            let message = "A permission names no CIDR block, prefix list or security group.";
            return Err(ApiError::sender("InvalidParameterValue", message));
        }
        for (peer, description) in peers {
            check_description(description.as_deref())?;
            let protocol = protocol.clone();
            let key = RuleKey {
                direction,
                protocol,
                from_port,
                to_port,
                peer,
            };
            if out.iter().any(|wanted| wanted.key == key) {
                let message = "The same permission must not appear multiple times";
                return Err(ApiError::sender("InvalidParameterValue", message));
            }
            out.push(Wanted { key, description });
        }
    }
    if out.is_empty() {
        let message = "The request must contain the parameter ipPermissions";
        return Err(ApiError::sender("MissingParameter", message));
    }
    Ok(out)
}

fn protocol_and_ports(
    permission: &wire::IpPermission,
) -> Result<(String, Option<i32>, Option<i32>), ApiError> {
    let invalid = |message: String| ApiError::sender("InvalidParameterValue", message);
    let Some(given) = permission.ip_protocol.as_deref() else {
        let message = "The request must contain the parameter ipProtocol";
        return Err(ApiError::sender("MissingParameter", message));
    };
    let protocol = match given.to_ascii_lowercase().as_str() {
        "tcp" | "6" => "tcp".to_owned(),
        "udp" | "17" => "udp".to_owned(),
        "icmp" | "1" => "icmp".to_owned(),
        "icmpv6" | "58" => "icmpv6".to_owned(),
        "-1" | "all" => "-1".to_owned(),
        number if number.parse::<u8>().is_ok() => number.to_owned(),
        _ => {
            let message = format!("Invalid value '{given}' for IP protocol. Unknown protocol.");
            return Err(invalid(message));
        }
    };
    let (from, to) = (permission.from_port, permission.to_port);
    match protocol.as_str() {
        "tcp" | "udp" => {
            let (Some(from), Some(to)) = (from, to) else {
                return Err(invalid(
                    "Invalid value 'Must specify both from and to ports with TCP/UDP.' for \
                     portRange."
                        .into(),
                ));
            };
            for port in [from, to] {
                if !(0..=65_535).contains(&port) {
                    return Err(invalid(format!("TCP/UDP port ({port}) out of range")));
                }
            }
            if from > to {
                let message = format!("Invalid TCP/UDP port range ({from}:{to})");
                return Err(ApiError::sender("InvalidPermission.Malformed", message));
            }
            Ok((protocol, Some(from), Some(to)))
        }
        "icmp" | "icmpv6" => {
            // Type and code; -1 stands for all of them.
            let (kind, code) = (from.unwrap_or(-1), to.unwrap_or(-1));
            for value in [kind, code] {
                if !(-1..=255).contains(&value) {
                    return Err(invalid(format!("ICMP code ({value}) out of range")));
                }
            }
            if kind == -1 && code != -1 {
                let message = "ICMP code must be -1 when the ICMP type is -1".to_owned();
                return Err(invalid(message));
            }
            Ok((protocol, Some(kind), Some(code)))
        }
        // Other protocols have no ports; what a client gives is ignored, as AWS does.
        _ => Ok((protocol, None, None)),
    }
}

type PeerWithDescription = (Peer, Option<String>);

fn peers(
    state: &State,
    account_id: &str,
    permission: &wire::IpPermission,
) -> Result<Vec<PeerWithDescription>, ApiError> {
    let malformed = |cidr: &str| {
        let message = format!("CIDR block {cidr} is malformed");
        ApiError::sender("InvalidParameterValue", message)
    };
    let mut out = Vec::new();
    for range in permission.ip_ranges.iter().flatten() {
        let text = range.cidr_ip.as_deref().unwrap_or_default();
        let cidr: Ipv4Net = text.parse().map_err(|_| malformed(text))?;
        out.push((Peer::Ipv4(cidr.trunc()), range.description.clone()));
    }
    for range in permission.ipv6_ranges.iter().flatten() {
        let text = range.cidr_ipv6.as_deref().unwrap_or_default();
        let cidr: Ipv6Net = text.parse().map_err(|_| malformed(text))?;
        out.push((Peer::Ipv6(cidr.trunc()), range.description.clone()));
    }
    for list in permission.prefix_list_ids.iter().flatten() {
        let id = list.prefix_list_id.as_deref().unwrap_or_default();
        ids::PREFIX_LIST.get(&state.prefix_lists, id)?;
        out.push((Peer::PrefixList(id.to_owned()), list.description.clone()));
    }
    for pair in permission.user_id_group_pairs.iter().flatten() {
        let id = pair.group_id.as_deref().unwrap_or_default();
        let other_account = pair.user_id.as_ref().is_some_and(|user| user != account_id);
        let group = ids::GROUP.get(&state.security_groups, id)?;
        let other_vpc = pair.vpc_id.as_ref().is_some_and(|vpc| *vpc != group.vpc_id);
        if other_account || other_vpc {
            return Err(ids::GROUP.missing(id));
        }
        out.push((Peer::Group(id.to_owned()), pair.description.clone()));
    }
    Ok(out)
}

fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    let Some(text) = description else {
        return Ok(());
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.chars().count() <= DESCRIPTION_MAX && text.chars().all(allowed) {
        return Ok(());
    }
    let message = format!(
        "Invalid rule description. Valid descriptions are strings less than 256 characters from \
         the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$* (was: {text})"
    );
    Err(ApiError::sender("InvalidParameterValue", message))
}

/// Rules as DescribeSecurityGroups shows them: those of one protocol and port range together.
pub(super) fn grouped<'a>(
    account_id: &str,
    rules: impl Iterator<Item = &'a SecurityGroupRule>,
) -> Vec<wire::IpPermission> {
    let mut out: BTreeMap<(&str, Option<i32>, Option<i32>), wire::IpPermission> = BTreeMap::new();
    let mut sorted: Vec<&SecurityGroupRule> = rules.collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    for rule in sorted {
        let key = &rule.key;
        let place = (key.protocol.as_str(), key.from_port, key.to_port);
        let permission = out.entry(place).or_insert_with(|| empty(key));
        add(permission, account_id, &key.peer, rule.description.clone());
    }
    out.into_values().collect()
}

/// One rule in the form of a permission.
pub(super) fn permission(account_id: &str, wanted: &Wanted) -> wire::IpPermission {
    let mut permission = empty(&wanted.key);
    add(
        &mut permission,
        account_id,
        &wanted.key.peer,
        wanted.description.clone(),
    );
    permission
}

fn empty(key: &RuleKey) -> wire::IpPermission {
    wire::IpPermission {
        from_port: key.from_port,
        ip_protocol: Some(key.protocol.clone()),
        ip_ranges: Some(Vec::new()),
        ipv6_ranges: Some(Vec::new()),
        prefix_list_ids: Some(Vec::new()),
        to_port: key.to_port,
        user_id_group_pairs: Some(Vec::new()),
    }
}

fn add(
    permission: &mut wire::IpPermission,
    account_id: &str,
    peer: &Peer,
    description: Option<String>,
) {
    match peer {
        Peer::Ipv4(cidr) => {
            let range = wire::IpRange {
                cidr_ip: Some(cidr.to_string()),
                description,
            };
            permission.ip_ranges.get_or_insert_default().push(range);
        }
        Peer::Ipv6(cidr) => {
            let range = wire::Ipv6Range {
                cidr_ipv6: Some(cidr.to_string()),
                description,
            };
            permission.ipv6_ranges.get_or_insert_default().push(range);
        }
        Peer::PrefixList(id) => {
            let list = wire::PrefixListId {
                prefix_list_id: Some(id.clone()),
                description,
            };
            permission
                .prefix_list_ids
                .get_or_insert_default()
                .push(list);
        }
        Peer::Group(id) => {
            let pair = wire::UserIdGroupPair {
                description,
                group_id: Some(id.clone()),
                user_id: Some(account_id.to_owned()),
                ..Default::default()
            };
            permission
                .user_id_group_pairs
                .get_or_insert_default()
                .push(pair);
        }
    }
}

/// A rule in the words of EC2's messages: `peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW`.
pub(super) fn sentence(key: &RuleKey) -> String {
    let peer = match &key.peer {
        Peer::Ipv4(cidr) => cidr.to_string(),
        Peer::Ipv6(cidr) => cidr.to_string(),
        Peer::PrefixList(id) | Peer::Group(id) => id.clone(),
    };
    let protocol = match key.protocol.as_str() {
        "-1" => "ALL".to_owned(),
        protocol => protocol.to_ascii_uppercase(),
    };
    match (key.from_port, key.to_port) {
        (Some(from), Some(to)) => {
            format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
        }
        _ => format!("peer: {peer}, {protocol}, ALLOW"),
    }
}
