//! Load balancers. In: the model's words. Out: answers. Always: a type or scheme that elbow does not
//! use comes back as `None`.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    EnforceSecurityGroupInboundRulesOnPrivateLinkTrafficEnum as Enforce,
    IpAddressType as SdkFamily, LoadBalancer, LoadBalancerAttribute, LoadBalancerSchemeEnum,
    LoadBalancerStateEnum, LoadBalancerTypeEnum, SubnetMapping as SdkSubnet,
};
use elbow_model::aws_call::LoadBalancerDescription;
use elbow_model::observed::LoadBalancerState;
use elbow_model::stack::{IpAddressType, LoadBalancerType, Scheme, SubnetMapping};
use elbow_model::{
    Attributes, AwsAnswer, AwsCall, AwsError, LoadBalancerArn, Ref, SecurityGroupId, SubnetId,
    VpcId,
};

use super::attributes;
use super::tags::to_tags;
use crate::convert::{Answer, all_known, each, first, known, page, some_if_any, texts};

pub(crate) async fn create(elb: &Client, call: &AwsCall) -> Answer {
    let AwsCall::CreateLoadBalancer {
        name,
        lb_type,
        scheme,
        ip_address_type,
        subnets,
        security_groups,
        tags,
    } = call
    else {
        return Err(AwsError::unexpected(call.operation()).into());
    };
    let output = elb
        .create_load_balancer()
        .name(name)
        .r#type(LoadBalancerTypeEnum::from(lb_type.as_str()))
        .scheme(LoadBalancerSchemeEnum::from(scheme.as_str()))
        .ip_address_type(SdkFamily::from(ip_address_type.as_str()))
        .set_subnet_mappings(Some(subnets.iter().map(to_subnet).collect()))
        .set_security_groups(some_if_any(all_known(security_groups)?))
        .set_tags(some_if_any(to_tags(tags)))
        .send()
        .await?;
    let created = first(output.load_balancers).and_then(description);
    let created =
        created.ok_or_else(|| AwsError::unexpected("the answer to CreateLoadBalancer"))?;
    Ok(AwsAnswer::LoadBalancerCreated(created))
}

pub(crate) async fn delete(elb: &Client, load_balancer: &Ref<LoadBalancerArn>) -> Answer {
    elb.delete_load_balancer()
        .load_balancer_arn(known(load_balancer)?)
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn set_groups(
    elb: &Client,
    load_balancer: &Ref<LoadBalancerArn>,
    groups: &[Ref<SecurityGroupId>],
    enforce_on_private_link: Option<&str>,
) -> Answer {
    elb.set_security_groups()
        .load_balancer_arn(known(load_balancer)?)
        .set_security_groups(Some(all_known(groups)?))
        .set_enforce_security_group_inbound_rules_on_private_link_traffic(
            enforce_on_private_link.map(Enforce::from),
        )
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn set_subnets(
    elb: &Client,
    load_balancer: &Ref<LoadBalancerArn>,
    subnets: &[SubnetMapping],
) -> Answer {
    elb.set_subnets()
        .load_balancer_arn(known(load_balancer)?)
        .set_subnet_mappings(Some(subnets.iter().map(to_subnet).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn set_ip_address_type(
    elb: &Client,
    load_balancer: &Ref<LoadBalancerArn>,
    ip_address_type: IpAddressType,
) -> Answer {
    elb.set_ip_address_type()
        .load_balancer_arn(known(load_balancer)?)
        .ip_address_type(SdkFamily::from(ip_address_type.as_str()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn modify_attributes(
    elb: &Client,
    load_balancer: &Ref<LoadBalancerArn>,
    attributes: &Attributes,
) -> Answer {
    let attribute = |(key, value): (&String, &String)| {
        let attribute = LoadBalancerAttribute::builder().key(key).value(value);
        attribute.build()
    };
    elb.modify_load_balancer_attributes()
        .load_balancer_arn(known(load_balancer)?)
        .set_attributes(Some(attributes.iter().map(attribute).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(
    elb: &Client,
    arns: &[LoadBalancerArn],
    marker: Option<&str>,
) -> Answer {
    let output = elb
        .describe_load_balancers()
        .set_load_balancer_arns(some_if_any(texts(arns)))
        .set_marker(marker.map(str::to_owned))
        .send()
        .await?;
    Ok(AwsAnswer::LoadBalancers(page(
        each(output.load_balancers, description),
        output.next_marker,
    )))
}

pub(crate) async fn describe_attributes(elb: &Client, load_balancer: &LoadBalancerArn) -> Answer {
    let output = elb
        .describe_load_balancer_attributes()
        .load_balancer_arn(load_balancer.as_str())
        .send()
        .await?;
    let pairs = output.attributes.into_iter().flatten();
    let found = attributes(pairs.map(|pair| (pair.key, pair.value)));
    Ok(AwsAnswer::Attributes(found))
}

// === conversions ===

fn to_subnet(subnet: &SubnetMapping) -> SdkSubnet {
    SdkSubnet::builder()
        .subnet_id(subnet.subnet_id.as_str())
        .set_allocation_id(subnet.allocation_id.clone())
        .set_private_ipv4_address(subnet.private_ipv4_address.clone())
        .set_ipv6_address(subnet.ipv6_address.clone())
        .build()
}

fn description(lb: LoadBalancer) -> Option<LoadBalancerDescription> {
    let subnets = each(lb.availability_zones, |zone| zone.subnet_id);
    let groups = lb.security_groups.into_iter().flatten();
    Some(LoadBalancerDescription {
        arn: LoadBalancerArn::new(lb.load_balancer_arn?),
        name: lb.load_balancer_name.unwrap_or_default(),
        dns_name: lb.dns_name.unwrap_or_default(),
        lb_type: match lb.r#type {
            Some(LoadBalancerTypeEnum::Application) => Some(LoadBalancerType::Application),
            Some(LoadBalancerTypeEnum::Network) => Some(LoadBalancerType::Network),
            _ => None,
        },
        scheme: match lb.scheme {
            Some(LoadBalancerSchemeEnum::Internal) => Some(Scheme::Internal),
            Some(LoadBalancerSchemeEnum::InternetFacing) => Some(Scheme::InternetFacing),
            _ => None,
        },
        state: match lb.state.and_then(|state| state.code) {
            Some(LoadBalancerStateEnum::Active) => LoadBalancerState::Active,
            Some(LoadBalancerStateEnum::ActiveImpaired) => LoadBalancerState::ActiveImpaired,
            Some(LoadBalancerStateEnum::Failed) => LoadBalancerState::Failed,
            _ => LoadBalancerState::Provisioning,
        },
        vpc_id: lb.vpc_id.map(VpcId::new),
        ip_address_type: match lb.ip_address_type {
            Some(SdkFamily::Ipv4) => Some(IpAddressType::Ipv4),
            Some(SdkFamily::Dualstack) => Some(IpAddressType::Dualstack),
            Some(SdkFamily::DualstackWithoutPublicIpv4) => {
                Some(IpAddressType::DualstackWithoutPublicIpv4)
            }
            _ => None,
        },
        subnets: subnets.into_iter().map(SubnetId::new).collect(),
        security_groups: groups.map(SecurityGroupId::new).collect(),
        enforce_security_group_inbound_rules_on_private_link_traffic: lb
            .enforce_security_group_inbound_rules_on_private_link_traffic,
    })
}
