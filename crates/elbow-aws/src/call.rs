//! Which function carries out which call. In: a call. Out: its answer. Always: one arm for each call,
//! so that one without a function does not compile.

use elbow_model::{AwsCall, CertificateMaterial};

use crate::convert::Answer;
use crate::elbv2::{listeners, load_balancers, rules, tags, target_groups, trust_stores};
use crate::{Clients, acm, ec2, s3, tagging};

pub(crate) async fn carry_out(
    clients: &Clients,
    call: &AwsCall,
    material: Option<&CertificateMaterial>,
) -> Answer {
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
        } => ec2::groups::create(ec2, name, description, vpc_id, tags).await,
        AwsCall::DeleteSecurityGroup { group } => ec2::groups::delete(ec2, group).await,
        AwsCall::AuthorizeSecurityGroupIngress { group, rules } => {
            ec2::groups::authorize(ec2, group, rules).await
        }
        AwsCall::RevokeSecurityGroupIngress { group, rules } => {
            ec2::groups::revoke(ec2, group, rules).await
        }
        AwsCall::CreateSecurityGroupTags { group, tags } => {
            ec2::groups::tag(ec2, group, tags).await
        }
        AwsCall::DeleteSecurityGroupTags { group, keys } => {
            ec2::groups::untag(ec2, group, keys).await
        }

        // ELBv2, changes.
        AwsCall::CreateLoadBalancer { .. } => load_balancers::create(elb, call).await,
        AwsCall::DeleteLoadBalancer { load_balancer } => {
            load_balancers::delete(elb, load_balancer).await
        }
        AwsCall::SetSecurityGroups {
            load_balancer,
            security_groups,
            enforce_security_group_inbound_rules_on_private_link_traffic: enforce,
        } => {
            let enforce = enforce.as_deref();
            load_balancers::set_groups(elb, load_balancer, security_groups, enforce).await
        }
        AwsCall::SetSubnets {
            load_balancer,
            subnets,
        } => load_balancers::set_subnets(elb, load_balancer, subnets).await,
        AwsCall::SetIpAddressType {
            load_balancer,
            ip_address_type,
        } => load_balancers::set_ip_address_type(elb, load_balancer, *ip_address_type).await,
        AwsCall::ModifyLoadBalancerAttributes {
            load_balancer,
            attributes,
        } => load_balancers::modify_attributes(elb, load_balancer, attributes).await,
        AwsCall::CreateTargetGroup { .. } => target_groups::create(elb, call).await,
        AwsCall::ModifyTargetGroup {
            target_group,
            health_check,
        } => target_groups::modify(elb, target_group, health_check).await,
        AwsCall::ModifyTargetGroupAttributes {
            target_group,
            attributes,
        } => target_groups::modify_attributes(elb, target_group, attributes).await,
        AwsCall::DeleteTargetGroup { target_group } => {
            target_groups::delete(elb, target_group).await
        }
        AwsCall::RegisterTargets {
            target_group,
            targets,
        } => target_groups::register(elb, target_group, targets).await,
        AwsCall::DeregisterTargets {
            target_group,
            targets,
        } => target_groups::deregister(elb, target_group, targets).await,
        AwsCall::CreateListener { .. } => listeners::create(elb, call).await,
        AwsCall::ModifyListener { .. } => listeners::modify(elb, call).await,
        AwsCall::ModifyListenerAttributes {
            listener,
            attributes,
        } => listeners::modify_attributes(elb, listener, attributes).await,
        AwsCall::DeleteListener { listener } => listeners::delete(elb, listener).await,
        AwsCall::AddListenerCertificates {
            listener,
            certificate,
        } => listeners::add_certificate(elb, listener, certificate).await,
        AwsCall::RemoveListenerCertificates {
            listener,
            certificate,
        } => listeners::remove_certificate(elb, listener, certificate).await,
        AwsCall::CreateRule { .. } => rules::create(elb, call).await,
        AwsCall::ModifyRule {
            rule,
            conditions,
            action,
            transforms,
        } => {
            let (conditions, transforms) = (conditions.as_deref(), transforms.as_deref());
            rules::modify(elb, rule, conditions, action.as_ref(), transforms).await
        }
        AwsCall::SetRulePriorities { priorities } => rules::set_priorities(elb, priorities).await,
        AwsCall::DeleteRule { rule } => rules::delete(elb, rule).await,
        AwsCall::CreateTrustStore { .. } => trust_stores::create(elb, call).await,
        AwsCall::ModifyTrustStore {
            trust_store,
            bucket,
            key,
        } => trust_stores::modify(elb, trust_store, bucket, key).await,
        AwsCall::DeleteTrustStore { trust_store } => trust_stores::delete(elb, trust_store).await,
        AwsCall::AddTags {
            resource,
            tags: wanted,
        } => tags::add(elb, resource, wanted).await,
        AwsCall::RemoveTags { resource, keys } => tags::remove(elb, resource, keys).await,

        // ELBv2, look-ups.
        AwsCall::DescribeLoadBalancers { arns, marker } => {
            load_balancers::describe(elb, arns, marker.as_deref()).await
        }
        AwsCall::DescribeLoadBalancerAttributes { load_balancer } => {
            load_balancers::describe_attributes(elb, load_balancer).await
        }
        AwsCall::DescribeListeners {
            load_balancer,
            marker,
        } => listeners::describe(elb, load_balancer, marker.as_deref()).await,
        AwsCall::DescribeListenerAttributes { listener } => {
            listeners::describe_attributes(elb, listener).await
        }
        AwsCall::DescribeListenerCertificates { listener, marker } => {
            listeners::describe_certificates(elb, listener, marker.as_deref()).await
        }
        AwsCall::DescribeRules { listener, marker } => {
            rules::describe(elb, listener, marker.as_deref()).await
        }
        AwsCall::DescribeTargetGroups {
            arns,
            names,
            marker,
        } => target_groups::describe(elb, arns, names, marker.as_deref()).await,
        AwsCall::DescribeTargetGroupAttributes { target_group } => {
            target_groups::describe_attributes(elb, target_group).await
        }
        AwsCall::DescribeTargetHealth { target_group } => {
            target_groups::describe_health(elb, target_group).await
        }
        AwsCall::DescribeTrustStores { names, marker } => {
            trust_stores::describe(elb, names, marker.as_deref()).await
        }
        AwsCall::DescribeTags { arns } => tags::describe(elb, arns).await,

        // EC2, look-ups.
        AwsCall::DescribeVpcs { vpc_id } => ec2::network::vpc(ec2, vpc_id).await,
        AwsCall::DescribeSubnets { vpc_id, marker } => {
            ec2::network::subnets(ec2, vpc_id, marker.as_deref()).await
        }
        AwsCall::DescribeRouteTables { vpc_id, marker } => {
            ec2::network::route_tables(ec2, vpc_id, marker.as_deref()).await
        }
        AwsCall::DescribeAvailabilityZones => ec2::network::zones(ec2).await,
        AwsCall::DescribeSecurityGroups {
            vpc_id,
            tags,
            marker,
        } => ec2::groups::describe(ec2, vpc_id, tags, marker.as_deref()).await,
        AwsCall::DescribeNodeSecurityGroups {
            vpc_id,
            cluster_name,
            marker,
        } => ec2::groups::describe_of_nodes(ec2, vpc_id, cluster_name, marker.as_deref()).await,
        AwsCall::DescribeSecurityGroupsById { groups, marker } => {
            ec2::groups::describe_by_id(ec2, groups, marker.as_deref()).await
        }
        AwsCall::DescribeInstances { instances, marker } => {
            ec2::endpoints::instances(ec2, instances, marker.as_deref()).await
        }
        AwsCall::DescribeNetworkInterfaces {
            vpc_id,
            addresses,
            marker,
        } => ec2::endpoints::interfaces(ec2, vpc_id, addresses, marker.as_deref()).await,

        // ACM.
        AwsCall::ImportCertificate {
            certificate,
            content,
            tags,
        } => {
            let material = material.ok_or_else(|| content.not_read())?;
            acm::import(acm, certificate.as_ref(), material, tags).await
        }
        AwsCall::DeleteCertificate { certificate } => acm::delete(acm, certificate).await,
        AwsCall::AddTagsToCertificate { certificate, tags } => {
            acm::tag(acm, certificate, tags).await
        }
        AwsCall::RemoveTagsFromCertificate { certificate, keys } => {
            acm::untag(acm, certificate, keys).await
        }
        AwsCall::ListTagsForCertificate { certificate } => acm::tags(acm, certificate).await,
        AwsCall::ListImportedCertificates { marker } => {
            acm::list_imported(acm, marker.as_deref()).await
        }
        AwsCall::ListCertificates { marker } => acm::list(acm, marker.as_deref()).await,
        AwsCall::DescribeCertificate { certificate } => acm::describe(acm, certificate).await,

        // S3.
        AwsCall::PutObject {
            bucket,
            key,
            content,
        } => s3::put(s3, bucket, key, content).await,
        AwsCall::DeleteObject { bucket, key } => s3::delete(s3, bucket, key).await,

        // Resource Groups Tagging API.
        AwsCall::GetResources {
            tags,
            resource_types,
            marker,
        } => tagging::resources(tagging, tags, resource_types, marker.as_deref()).await,
    }
}
