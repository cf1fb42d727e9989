//! Which function carries out which call. In: a call. Out: its answer. Always: one arm for each call,
//! so that one without a function does not compile.

use std::future::{Future, ready};
use std::pin::Pin;

use elbow_model::{AwsCall, CertificateMaterial};

use crate::convert::Answer;
use crate::elbv2::{listeners, load_balancers, rules, tags, target_groups, trust_stores};
use crate::{Clients, acm, ec2, s3, tagging};

/// A call that is being carried out. Boxed, and made by a function that has returned when it is polled:
/// without optimization a function that awaits one of sixty calls has room for all of them on its stack,
/// which is more than a thread has.
type Carried<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

pub(crate) fn carry_out<'a>(
    clients: &'a Clients,
    call: &'a AwsCall,
    material: Option<&'a CertificateMaterial>,
) -> Carried<'a> {
    let Clients {
        elbv2: elb,
        ec2,
        acm,
        s3,
        tagging,
    } = clients;
    match call {
        // EC2, changes.
        AwsCall::CreateSecurityGroup {
            name,
            description,
            vpc_id,
            tags,
        } => Box::pin(ec2::groups::create(ec2, name, description, vpc_id, tags)),
        AwsCall::DeleteSecurityGroup { group } => Box::pin(ec2::groups::delete(ec2, group)),
        AwsCall::AuthorizeSecurityGroupIngress { group, rules } => {
            Box::pin(ec2::groups::authorize(ec2, group, rules))
        }
        AwsCall::RevokeSecurityGroupIngress { group, rules } => {
            Box::pin(ec2::groups::revoke(ec2, group, rules))
        }
        AwsCall::CreateSecurityGroupTags { group, tags } => {
            Box::pin(ec2::groups::tag(ec2, group, tags))
        }
        AwsCall::DeleteSecurityGroupTags { group, keys } => {
            Box::pin(ec2::groups::untag(ec2, group, keys))
        }

        // ELBv2, changes.
        AwsCall::CreateLoadBalancer { .. } => Box::pin(load_balancers::create(elb, call)),
        AwsCall::DeleteLoadBalancer { load_balancer } => {
            Box::pin(load_balancers::delete(elb, load_balancer))
        }
        AwsCall::SetSecurityGroups {
            load_balancer,
            security_groups,
            enforce_security_group_inbound_rules_on_private_link_traffic: enforce,
        } => {
            let enforce = enforce.as_deref();
            Box::pin(load_balancers::set_groups(
                elb,
                load_balancer,
                security_groups,
                enforce,
            ))
        }
        AwsCall::SetSubnets {
            load_balancer,
            subnets,
        } => Box::pin(load_balancers::set_subnets(elb, load_balancer, subnets)),
        AwsCall::SetIpAddressType {
            load_balancer,
            ip_address_type,
        } => Box::pin(load_balancers::set_ip_address_type(
            elb,
            load_balancer,
            *ip_address_type,
        )),
        AwsCall::ModifyLoadBalancerAttributes {
            load_balancer,
            attributes,
        } => Box::pin(load_balancers::modify_attributes(
            elb,
            load_balancer,
            attributes,
        )),
        AwsCall::CreateTargetGroup { .. } => Box::pin(target_groups::create(elb, call)),
        AwsCall::ModifyTargetGroup {
            target_group,
            health_check,
        } => Box::pin(target_groups::modify(elb, target_group, health_check)),
        AwsCall::ModifyTargetGroupAttributes {
            target_group,
            attributes,
        } => Box::pin(target_groups::modify_attributes(
            elb,
            target_group,
            attributes,
        )),
        AwsCall::DeleteTargetGroup { target_group } => {
            Box::pin(target_groups::delete(elb, target_group))
        }
        AwsCall::RegisterTargets {
            target_group,
            targets,
        } => Box::pin(target_groups::register(elb, target_group, targets)),
        AwsCall::DeregisterTargets {
            target_group,
            targets,
        } => Box::pin(target_groups::deregister(elb, target_group, targets)),
        AwsCall::CreateListener { .. } => Box::pin(listeners::create(elb, call)),
        AwsCall::ModifyListener { .. } => Box::pin(listeners::modify(elb, call)),
        AwsCall::ModifyListenerAttributes {
            listener,
            attributes,
        } => Box::pin(listeners::modify_attributes(elb, listener, attributes)),
        AwsCall::DeleteListener { listener } => Box::pin(listeners::delete(elb, listener)),
        AwsCall::AddListenerCertificates {
            listener,
            certificate,
        } => Box::pin(listeners::add_certificate(elb, listener, certificate)),
        AwsCall::RemoveListenerCertificates {
            listener,
            certificate,
        } => Box::pin(listeners::remove_certificate(elb, listener, certificate)),
        AwsCall::CreateRule { .. } => Box::pin(rules::create(elb, call)),
        AwsCall::ModifyRule {
            rule,
            conditions,
            action,
            transforms,
        } => {
            let (conditions, transforms) = (conditions.as_deref(), transforms.as_deref());
            Box::pin(rules::modify(
                elb,
                rule,
                conditions,
                action.as_ref(),
                transforms,
            ))
        }
        AwsCall::SetRulePriorities { priorities } => {
            Box::pin(rules::set_priorities(elb, priorities))
        }
        AwsCall::DeleteRule { rule } => Box::pin(rules::delete(elb, rule)),
        AwsCall::CreateTrustStore { .. } => Box::pin(trust_stores::create(elb, call)),
        AwsCall::ModifyTrustStore {
            trust_store,
            bucket,
            key,
        } => Box::pin(trust_stores::modify(elb, trust_store, bucket, key)),
        AwsCall::DeleteTrustStore { trust_store } => {
            Box::pin(trust_stores::delete(elb, trust_store))
        }
        AwsCall::AddTags {
            resource,
            tags: wanted,
        } => Box::pin(tags::add(elb, resource, wanted)),
        AwsCall::RemoveTags { resource, keys } => Box::pin(tags::remove(elb, resource, keys)),

        // ELBv2, look-ups.
        AwsCall::DescribeLoadBalancers { arns, marker } => {
            Box::pin(load_balancers::describe(elb, arns, marker.as_deref()))
        }
        AwsCall::DescribeLoadBalancerAttributes { load_balancer } => {
            Box::pin(load_balancers::describe_attributes(elb, load_balancer))
        }
        AwsCall::DescribeListeners {
            load_balancer,
            marker,
        } => Box::pin(listeners::describe(elb, load_balancer, marker.as_deref())),
        AwsCall::DescribeListenerAttributes { listener } => {
            Box::pin(listeners::describe_attributes(elb, listener))
        }
        AwsCall::DescribeListenerCertificates { listener, marker } => Box::pin(
            listeners::describe_certificates(elb, listener, marker.as_deref()),
        ),
        AwsCall::DescribeRules { listener, marker } => {
            Box::pin(rules::describe(elb, listener, marker.as_deref()))
        }
        AwsCall::DescribeTargetGroups {
            arns,
            names,
            marker,
        } => Box::pin(target_groups::describe(elb, arns, names, marker.as_deref())),
        AwsCall::DescribeTargetGroupAttributes { target_group } => {
            Box::pin(target_groups::describe_attributes(elb, target_group))
        }
        AwsCall::DescribeTargetHealth { target_group } => {
            Box::pin(target_groups::describe_health(elb, target_group))
        }
        AwsCall::DescribeTrustStores { names, marker } => {
            Box::pin(trust_stores::describe(elb, names, marker.as_deref()))
        }
        AwsCall::DescribeTags { arns } => Box::pin(tags::describe(elb, arns)),

        // EC2, look-ups.
        AwsCall::DescribeVpcs { vpc_id } => Box::pin(ec2::network::vpc(ec2, vpc_id)),
        AwsCall::DescribeSubnets { vpc_id, marker } => {
            Box::pin(ec2::network::subnets(ec2, vpc_id, marker.as_deref()))
        }
        AwsCall::DescribeRouteTables { vpc_id, marker } => {
            Box::pin(ec2::network::route_tables(ec2, vpc_id, marker.as_deref()))
        }
        AwsCall::DescribeAvailabilityZones => Box::pin(ec2::network::zones(ec2)),
        AwsCall::DescribeSecurityGroups {
            vpc_id,
            tags,
            marker,
        } => Box::pin(ec2::groups::describe(ec2, vpc_id, tags, marker.as_deref())),
        AwsCall::DescribeNodeSecurityGroups {
            vpc_id,
            cluster_name,
            marker,
        } => Box::pin(ec2::groups::describe_of_nodes(
            ec2,
            vpc_id,
            cluster_name,
            marker.as_deref(),
        )),
        AwsCall::DescribeSecurityGroupsThatLetIn {
            vpc_id,
            group,
            marker,
        } => Box::pin(ec2::groups::describe_that_let_in(
            ec2,
            vpc_id,
            group,
            marker.as_deref(),
        )),
        AwsCall::DescribeSecurityGroupsById { groups, marker } => {
            Box::pin(ec2::groups::describe_by_id(ec2, groups, marker.as_deref()))
        }
        AwsCall::DescribeInstances { instances, marker } => {
            Box::pin(ec2::endpoints::instances(ec2, instances, marker.as_deref()))
        }
        AwsCall::DescribeNetworkInterfaces {
            vpc_id,
            addresses,
            marker,
        } => Box::pin(ec2::endpoints::interfaces(
            ec2,
            vpc_id,
            addresses,
            marker.as_deref(),
        )),

        // ACM.
        AwsCall::ImportCertificate {
            certificate,
            content,
            tags,
        } => {
            let Some(material) = material else {
                return Box::pin(ready(Err(content.not_read().into())));
            };
            Box::pin(acm::import(acm, certificate.as_ref(), material, tags))
        }
        AwsCall::DeleteCertificate { certificate } => Box::pin(acm::delete(acm, certificate)),
        AwsCall::AddTagsToCertificate { certificate, tags } => {
            Box::pin(acm::tag(acm, certificate, tags))
        }
        AwsCall::RemoveTagsFromCertificate { certificate, keys } => {
            Box::pin(acm::untag(acm, certificate, keys))
        }
        AwsCall::ListTagsForCertificate { certificate } => Box::pin(acm::tags(acm, certificate)),
        AwsCall::ListImportedCertificates { marker } => {
            Box::pin(acm::list_imported(acm, marker.as_deref()))
        }
        AwsCall::ListCertificates { marker } => Box::pin(acm::list(acm, marker.as_deref())),
        AwsCall::DescribeCertificate { certificate } => Box::pin(acm::describe(acm, certificate)),

        // S3.
        AwsCall::PutObject {
            bucket,
            key,
            content,
        } => Box::pin(s3::put(s3, bucket, key, content)),
        AwsCall::DeleteObject { bucket, key } => Box::pin(s3::delete(s3, bucket, key)),

        // Resource Groups Tagging API.
        AwsCall::GetResources {
            tags,
            resource_types,
            marker,
        } => Box::pin(tagging::resources(
            tagging,
            tags,
            resource_types,
            marker.as_deref(),
        )),
    }
}
