//! Resource Groups Tagging API: tags of all services at once, by ARN.
//!
//! In: typed requests. Out: responses and refusals. Always: nothing is stored here; each call reads
//! or writes the tags of ELBv2, EC2 and ACM. AWS's index lags behind by seconds; this one does not.

use std::collections::BTreeMap;

use crate::generated::{acm, ec2, elbv2, tagging as wire};
use crate::unmodelled::Unmodelled;
use crate::{ApiError, Emulator, Timestamp};

/// Resources of a page when the request does not say ("GetResources" in the API reference).
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: i32 = 100;
/// Limits of `TagFilters`: keys, and values of one key.
const FILTERS_MAX: usize = 50;
const FILTER_VALUES_MAX: usize = 20;

type Tags = BTreeMap<String, String>;

pub(crate) const UNMODELLED: &[Unmodelled] = &[Unmodelled {
    operation: "GetResources",
    // Tag policies belong to AWS Organizations.
    parameters: &["ExcludeCompliantResources", "IncludeComplianceDetails"],
}];

impl Emulator {
    pub(crate) fn tagging(
        &mut self,
        now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        use wire::{Request as Q, Response as R};
        Ok(match request {
            Q::GetResources(input) => R::GetResources(self.get_resources(&input)?),
            Q::TagResources(input) => R::TagResources(self.tag_resources(now, &input)?),
            Q::UntagResources(input) => R::UntagResources(self.untag_resources(now, &input)?),
        })
    }

    fn get_resources(
        &self,
        input: &wire::GetResourcesInput,
    ) -> Result<wire::GetResourcesOutput, ApiError> {
        let arns = input.resource_arn_list.as_deref().unwrap_or_default();
        let types = input.resource_type_filters.as_deref().unwrap_or_default();
        let filters = input.tag_filters.as_deref().unwrap_or_default();
        let token = input.pagination_token.as_deref().unwrap_or_default();
        let paged = input.resources_per_page.is_some()
            || input.tags_per_page.is_some()
            || !token.is_empty();
        if !arns.is_empty() && (!types.is_empty() || !filters.is_empty() || paged) {
            let message = "ResourceARNList cannot be given together with filters or paging";
            return Err(invalid(message));
        }
        if input.resources_per_page.is_some() && input.tags_per_page.is_some() {
            return Err(invalid(
                "ResourcesPerPage and TagsPerPage exclude each other",
            ));
        }
        if input
            .resources_per_page
            .is_some_and(|n| !(1..=PAGE_MAX).contains(&n))
        {
            return Err(invalid("ResourcesPerPage must be between 1 and 100"));
        }
        if input
            .tags_per_page
            .is_some_and(|n| !(100..=500).contains(&n) || n % 100 != 0)
        {
            return Err(invalid("TagsPerPage must be 100, 200, 300, 400 or 500"));
        }
        let values_max = filters
            .iter()
            .filter_map(|filter| filter.values.as_ref())
            .map(Vec::len)
            .max();
        if filters.len() > FILTERS_MAX || values_max > Some(FILTER_VALUES_MAX) {
            return Err(invalid(
                "TagFilters has more than 50 keys, or 20 values of one key",
            ));
        }
        for kind in types {
            if !kind.split(':').all(|part| !part.is_empty()) || kind.split(':').count() > 2 {
                return Err(invalid(format!("'{kind}' is not a resource type")));
            }
        }
        let passes = |arn: &str, tags: &Tags| {
            (arns.is_empty() || arns.iter().any(|wanted| wanted == arn))
                && (types.is_empty() || types.iter().any(|kind| is_of_type(arn, kind)))
                && filters.iter().all(|filter| has_tag(tags, filter))
        };
        // Resources without tags are not in the index.
        let all = self.tagged_resources().into_iter();
        let found: Vec<_> = all
            .filter(|(arn, tags)| !tags.is_empty() && passes(arn, tags))
            .collect();
        let start = if token.is_empty() {
            0
        } else {
            let last = hex::decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let last = last.ok_or_else(|| invalid("The PaginationToken is not valid"))?;
            found
                .iter()
                .position(|(arn, _)| *arn > last)
                .unwrap_or(found.len())
        };
        let mut size = input
            .resources_per_page
            .map_or(PAGE_DEFAULT, |n| n.unsigned_abs() as usize);
        if let Some(limit) = input.tags_per_page {
            size = resources_within(&found[start..], limit.unsigned_abs() as usize);
        }
        if !arns.is_empty() {
            size = found.len();
        }
        let page = &found[start..found.len().min(start + size)];
        let more = start + page.len() < found.len();
        let last = page.last().filter(|_| more);
        let mappings = page.iter().map(|(arn, tags)| wire::ResourceTagMapping {
            compliance_details: None,
            resource_arn: Some(arn.clone()),
            tags: Some(
                tags.iter()
                    .map(|(key, value)| wire::Tag {
                        key: key.clone(),
                        value: value.clone(),
                    })
                    .collect(),
            ),
        });
        Ok(wire::GetResourcesOutput {
            // AWS sends an empty token, not none, with the last page.
            pagination_token: Some(last.map(|(arn, _)| hex::encode(arn)).unwrap_or_default()),
            resource_tag_mapping_list: Some(mappings.collect()),
        })
    }

    /// Every resource that can have tags, by ARN.
    fn tagged_resources(&self) -> BTreeMap<String, &Tags> {
        let mut out = BTreeMap::new();
        let elb = &self.elbv2;
        out.extend(
            elb.load_balancers
                .values()
                .map(|item| (item.arn.clone(), &item.tags)),
        );
        out.extend(
            elb.listeners
                .values()
                .map(|item| (item.arn.clone(), &item.tags)),
        );
        out.extend(
            elb.rules
                .values()
                .map(|item| (item.arn.clone(), &item.tags)),
        );
        out.extend(
            elb.target_groups
                .values()
                .map(|item| (item.arn.clone(), &item.tags)),
        );
        out.extend(
            self.acm
                .certificates
                .values()
                .map(|item| (item.arn.clone(), &item.tags)),
        );
        let crate::Config {
            region, account_id, ..
        } = &self.config;
        let mut ec2 = |kind: &str, id: &str, tags| {
            out.insert(
                format!("arn:aws:ec2:{region}:{account_id}:{kind}/{id}"),
                tags,
            );
        };
        let state = &self.ec2;
        state
            .vpcs
            .values()
            .for_each(|item| ec2("vpc", &item.id, &item.tags));
        state
            .subnets
            .values()
            .for_each(|item| ec2("subnet", &item.id, &item.tags));
        state
            .route_tables
            .values()
            .for_each(|item| ec2("route-table", &item.id, &item.tags));
        state
            .instances
            .values()
            .for_each(|item| ec2("instance", &item.id, &item.tags));
        state
            .interfaces
            .values()
            .for_each(|item| ec2("network-interface", &item.id, &item.tags));
        state
            .addresses
            .values()
            .for_each(|i| ec2("elastic-ip", &i.allocation_id, &i.tags));
        for group in state.security_groups.values() {
            ec2("security-group", &group.id, &group.tags);
            for rule in group.rules.values() {
                ec2("security-group-rule", &rule.id, &rule.tags);
            }
        }
        out
    }

    fn tag_resources(
        &mut self,
        now: Timestamp,
        input: &wire::TagResourcesInput,
    ) -> Result<wire::TagResourcesOutput, ApiError> {
        if input
            .tags
            .keys()
            .any(|key| key.to_ascii_lowercase().starts_with("aws:"))
        {
            return Err(invalid("Tag keys that begin with aws: are reserved"));
        }
        let failed = self.each(
            &input.resource_arn_list,
            |emulator, arn, owner| match owner {
                Owner::ElbV2 => {
                    let tags = input.tags.iter().map(|(key, value)| elbv2::Tag {
                        key: key.clone(),
                        value: Some(value.clone()),
                    });
                    let tags = tags.collect();
                    let request = elbv2::AddTagsInput {
                        resource_arns: vec![arn.into()],
                        tags,
                    };
                    emulator.elbv2(now, request.into()).map(drop)
                }
                Owner::Ec2(id) => {
                    let tags = input.tags.iter().map(|(key, value)| ec2::Tag {
                        key: Some(key.clone()),
                        value: Some(value.clone()),
                    });
                    let tags = tags.collect();
                    let request = ec2::CreateTagsInput {
                        dry_run: None,
                        resources: vec![id],
                        tags,
                    };
                    emulator.ec2(now, request.into()).map(drop)
                }
                Owner::Acm => {
                    let tags = input.tags.iter().map(|(key, value)| acm::Tag {
                        key: key.clone(),
                        value: Some(value.clone()),
                    });
                    let tags = tags.collect();
                    let request = acm::AddTagsToCertificateInput {
                        certificate_arn: arn.into(),
                        tags,
                    };
                    emulator.acm(now, request.into()).map(drop)
                }
            },
        )?;
        Ok(wire::TagResourcesOutput {
            failed_resources_map: Some(failed),
        })
    }

    fn untag_resources(
        &mut self,
        now: Timestamp,
        input: &wire::UntagResourcesInput,
    ) -> Result<wire::UntagResourcesOutput, ApiError> {
        let keys = &input.tag_keys;
        let failed = self.each(
            &input.resource_arn_list,
            |emulator, arn, owner| match owner {
                Owner::ElbV2 => {
                    let (resource_arns, tag_keys) = (vec![arn.into()], keys.clone());
                    let request = elbv2::RemoveTagsInput {
                        resource_arns,
                        tag_keys,
                    };
                    emulator.elbv2(now, request.into()).map(drop)
                }
                Owner::Ec2(id) => {
                    let tags = keys.iter().map(|key| ec2::Tag {
                        key: Some(key.clone()),
                        value: None,
                    });
                    let tags = Some(tags.collect());
                    let request = ec2::DeleteTagsInput {
                        dry_run: None,
                        resources: vec![id],
                        tags,
                    };
                    emulator.ec2(now, request.into()).map(drop)
                }
                Owner::Acm => {
                    let tags = keys.iter().map(|key| acm::Tag {
                        key: key.clone(),
                        value: None,
                    });
                    let (certificate_arn, tags) = (arn.into(), tags.collect());
                    let request = acm::RemoveTagsFromCertificateInput {
                        certificate_arn,
                        tags,
                    };
                    emulator.acm(now, request.into()).map(drop)
                }
            },
        )?;
        Ok(wire::UntagResourcesOutput {
            failed_resources_map: Some(failed),
        })
    }

    /// Acts on each ARN for itself; what fails is told by ARN.
    fn each(
        &mut self,
        arns: &[String],
        mut act: impl FnMut(&mut Self, &str, Owner) -> Result<(), ApiError>,
    ) -> Result<BTreeMap<String, wire::FailureInfo>, ApiError> {
        let owners = arns.iter().map(|arn| Ok((arn, Owner::of(arn)?)));
        let owners = owners.collect::<Result<Vec<_>, ApiError>>()?;
        let mut failed = BTreeMap::new();
        for (arn, owner) in owners {
            if let Err(error) = act(self, arn, owner) {
                let info = wire::FailureInfo {
                    // The API has two codes of its own and gives the service's in the message.
                    error_code: Some("InvalidParameterException".into()),
                    error_message: Some(error.to_string()),
                    status_code: Some(i32::from(error.status)),
                };
                failed.insert(arn.clone(), info);
            }
        }
        Ok(failed)
    }
}

/// The service that keeps a resource's tags.
enum Owner {
    ElbV2,
    /// With the resource's id.
    Ec2(String),
    Acm,
}

impl Owner {
    fn of(arn: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "elasticloadbalancing", _, _, _] => Ok(Self::ElbV2),
            ["arn", _, "acm", _, _, _] => Ok(Self::Acm),
            ["arn", _, "ec2", _, _, resource] => {
                let id = resource.split_once('/').map_or(*resource, |(_, id)| id);
                Ok(Self::Ec2(id.to_owned()))
            }
            ["arn", _, service, _, _, _] => Err(invalid(format!(
                "The service '{service}' is not modelled by this emulator"
            ))),
            _ => Err(invalid(format!("'{arn}' is not an ARN"))),
        }
    }
}

/// Whether an ARN is of a type such as `ec2` or `elasticloadbalancing:loadbalancer`.
fn is_of_type(arn: &str, kind: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, _, _, resource] = parts.as_slice() else {
        return false;
    };
    match kind.split_once(':') {
        None => kind == *service,
        Some((wanted, resource_type)) => {
            let own = resource.split('/').next().unwrap_or_default();
            // `elasticloadbalancing:loadbalancer/app` narrows further.
            let deeper = resource.starts_with(&format!("{resource_type}/"));
            wanted == *service && (own == resource_type || deeper)
        }
    }
}

fn has_tag(tags: &Tags, filter: &wire::TagFilter) -> bool {
    let own = tags.get(filter.key.as_deref().unwrap_or_default());
    let values = filter.values.as_deref().unwrap_or_default();
    own.is_some_and(|own| values.is_empty() || values.contains(own))
}

/// How many resources from the front have at most `limit` tags together; at least one.
fn resources_within(found: &[(String, &Tags)], limit: usize) -> usize {
    let mut total = 0;
    let fitting = found.iter().take_while(|(_, tags)| {
        total += tags.len();
        total <= limit
    });
    fitting.count().max(1)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidParameterException", message)
}
