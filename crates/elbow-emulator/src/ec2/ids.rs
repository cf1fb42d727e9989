//! EC2 ids: which kind of resource, and what is wrong with one that does not exist.

use std::collections::BTreeMap;

use crate::ApiError;

/// A kind of resource, in the words of EC2's errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) prefix: &'static str,
    /// Code for a well-formed id that does not exist.
    not_found: &'static str,
    /// Code for an id that cannot exist.
    malformed: &'static str,
    /// What the message calls it.
    noun: &'static str,
}

const fn kind(
    prefix: &'static str,
    not_found: &'static str,
    malformed: &'static str,
    noun: &'static str,
) -> Kind {
    Kind {
        prefix,
        not_found,
        malformed,
        noun,
    }
}

// Codes are spelled as EC2's "Error codes" page has them, inconsistencies included.
pub(super) const VPC: Kind = kind(
    "vpc",
    "InvalidVpcID.NotFound",
    "InvalidVpcID.Malformed",
    "vpc ID",
);
pub(super) const SUBNET: Kind = kind(
    "subnet",
    "InvalidSubnetID.NotFound",
    "InvalidSubnetID.Malformed",
    "subnet ID",
);
pub(super) const INSTANCE: Kind = kind(
    "i",
    "InvalidInstanceID.NotFound",
    "InvalidInstanceID.Malformed",
    "instance ID",
);
pub(super) const INTERFACE: Kind = kind(
    "eni",
    "InvalidNetworkInterfaceID.NotFound",
    "InvalidNetworkInterfaceId.Malformed",
    "networkInterface ID",
);
pub(super) const GROUP: Kind = kind(
    "sg",
    "InvalidGroup.NotFound",
    "InvalidGroupId.Malformed",
    "security group",
);
pub(super) const RULE: Kind = kind(
    "sgr",
    "InvalidSecurityGroupRuleId.NotFound",
    "InvalidSecurityGroupRuleId.Malformed",
    "security group rule ID",
);
pub(super) const ROUTE_TABLE: Kind = kind(
    "rtb",
    "InvalidRouteTableID.NotFound",
    "InvalidRouteTableId.Malformed",
    "routeTable ID",
);
pub(super) const ALLOCATION: Kind = kind(
    "eipalloc",
    "InvalidAllocationID.NotFound",
    "InvalidAllocationID.Malformed",
    "allocation ID",
);
pub(super) const PREFIX_LIST: Kind = kind(
    "pl",
    "InvalidPrefixListID.NotFound",
    "InvalidPrefixListId.Malformed",
    "prefix list ID",
);

impl Kind {
    /// What EC2 says of an id that names nothing.
    pub(super) fn missing(self, id: &str) -> ApiError {
        if self.fits(id) {
            let message = format!("The {} '{id}' does not exist", self.noun);
            ApiError::sender(self.not_found, message)
        } else {
            let message = format!("Invalid id: \"{id}\" (expecting \"{}-...\")", self.prefix);
            ApiError::sender(self.malformed, message)
        }
    }

    /// Whether the id has the form of this kind: the prefix and 8 or 17 hexadecimal digits.
    fn fits(self, id: &str) -> bool {
        let digits = id
            .strip_prefix(self.prefix)
            .and_then(|rest| rest.strip_prefix('-'));
        digits.is_some_and(|digits| {
            matches!(digits.len(), 8 | 17) && digits.chars().all(|c| c.is_ascii_hexdigit())
        })
    }

    /// The resource of that id.
    pub(super) fn get<'a, T>(
        self,
        all: &'a BTreeMap<String, T>,
        id: &str,
    ) -> Result<&'a T, ApiError> {
        all.get(id).ok_or_else(|| self.missing(id))
    }

    /// The resources of those ids, in the order of the map; all of them when no id is given.
    pub(super) fn select<'a, T>(
        self,
        all: &'a BTreeMap<String, T>,
        ids: Option<&[String]>,
    ) -> Result<Vec<&'a T>, ApiError> {
        let Some(ids) = ids.filter(|ids| !ids.is_empty()) else {
            return Ok(all.values().collect());
        };
        for id in ids {
            self.get(all, id)?;
        }
        Ok(all
            .iter()
            .filter(|(id, _)| ids.contains(id))
            .map(|(_, item)| item)
            .collect())
    }
}
