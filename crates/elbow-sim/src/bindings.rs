//! TargetGroupBindings that users write, in the simulation: target groups of nobody's, one of which other
//! clusters fill as well.
//!
//! In: edits of bindings, calls about their groups. Out: objects, and what does not hold. What always holds:
//! the account is asked for what is registered, not the machine.

use std::collections::BTreeMap;

use elbow_api::{Object, crds};
use elbow_emulator::Emulator;
use elbow_emulator::world::TargetGroupSpec;
use elbow_model::observed::TargetState;
use elbow_model::stack::Target;
use elbow_model::{AwsAnswer, AwsCall, Port, Ref, TargetGroupArn};
use serde_json::json;

use crate::account::{Account, VPC};
use crate::cluster::{Cluster, SERVICES};
use crate::objects::{NAMESPACE, metadata, typed, uid};
use crate::random::Random;

/// The groups: of addresses, of instances, and of addresses shared with other clusters.
const GROUPS: [(&str, &str); 3] = [("ext-0", "ip"), ("ext-1", "instance"), ("ext-2", "ip")];
/// Which is shared.
const SHARED: u64 = 2;
/// What other clusters have registered in it. No pod of ours has these addresses.
const OTHERS: [&str; 2] = ["192.168.100.201", "192.168.100.202"];

/// A TargetGroupBinding; there is at most one for each group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) service: u64,
    /// Counts re-creations.
    pub(crate) incarnation: u64,
    pub(crate) is_deleting: bool,
}

/// Bindings by the number of their group.
pub(crate) type Bindings = BTreeMap<u64, Binding>;

fn arn(number: u64) -> String {
    let (name, _) = GROUPS[usize::try_from(number).unwrap_or_default() % GROUPS.len()];
    format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/{number:016}")
}

/// The number of the group that an ARN names, if it is one of these.
fn group_of(arn: &str) -> Option<u64> {
    (0..)
        .zip(GROUPS)
        .map(|(n, _)| n)
        .find(|n| self::arn(*n) == arn)
}

/// Puts the groups into an account.
pub(crate) fn add_groups(emulator: &mut Emulator) {
    for (number, (name, target_type)) in (0..).zip(GROUPS) {
        let spec = TargetGroupSpec {
            arn: Some(arn(number)),
            name: name.to_owned(),
            target_type: target_type.to_owned(),
            protocol: "HTTP".to_owned(),
            port: 80,
            vpc_id: VPC.to_owned(),
            ip_address_type: "ipv4".to_owned(),
        };
        if let Err(error) = emulator.add_target_group(spec) {
            unreachable!("the simulator's own target group: {error}")
        }
    }
}

/// Other clusters register their targets in the shared group.
pub(crate) fn fill_shared(account: &mut Account) {
    let call = AwsCall::RegisterTargets {
        target_group: TargetGroupArn::new(arn(SHARED)).into(),
        targets: others(),
    };
    if let Err(error) = account.answer(0, &call) {
        unreachable!("the simulator's own targets: {error}")
    }
}

fn others() -> Vec<Target> {
    let port = Port::new(8080_u16);
    let targets = OTHERS.iter().zip(port.into_iter().cycle());
    targets
        .map(|(id, port)| Target {
            id: (*id).to_owned(),
            port,
            availability_zone: None,
            quic_server_id: None,
        })
        .collect()
}

/// The bindings of targets by address: Service, name, and whether it is being deleted.
pub(crate) fn gates(bindings: &Bindings) -> Vec<(u64, String, bool)> {
    let takes_addresses = |number: u64| {
        let group = usize::try_from(number).ok().and_then(|n| GROUPS.get(n));
        group.is_some_and(|(_, target_type)| *target_type == "ip")
    };
    let of_addresses = bindings.iter().filter(|(n, _)| takes_addresses(**n));
    of_addresses
        .map(|(n, binding)| (binding.service, format!("ext-{n}"), binding.is_deleting))
        .collect()
}

/// The objects of bindings.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let one = |(number, binding): (&u64, &Binding)| {
        let name = format!("ext-{number}");
        let mut meta = metadata(
            &name,
            &uid(7, *number, binding.incarnation),
            Some(NAMESPACE),
        );
        meta["finalizers"] = json!(["elbv2.k8s.aws/resources"]);
        if binding.is_deleting {
            meta["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        }
        let mut spec = json!({
            "targetGroupARN": arn(*number),
            "serviceRef": {"name": format!("svc-{}", binding.service), "port": 80},
        });
        if *number == SHARED {
            spec["multiClusterTargetGroup"] = json!(true);
        }
        if let Some(networking) = cluster.extras.networking_of(*number) {
            spec["networking"] = networking;
        }
        typed::<crds::TargetGroupBinding>(json!({
            "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
            "metadata": meta, "spec": spec,
        }))
    };
    cluster.bindings.iter().map(one).collect()
}

/// Edits the bindings and says what was done.
pub(crate) fn edit(bindings: &mut Bindings, random: &mut Random, number: u64) -> &'static str {
    let group = random.below(3);
    let service = random.below(SERVICES + 1);
    match bindings.get_mut(&group) {
        None => {
            let binding = Binding {
                service,
                incarnation: number,
                is_deleting: false,
            };
            bindings.insert(group, binding);
            "adds a TargetGroupBinding"
        }
        Some(binding) if binding.is_deleting => "waits for a TargetGroupBinding to go",
        Some(binding) if random.chance(400) => {
            binding.is_deleting = true;
            "deletes a TargetGroupBinding"
        }
        Some(binding) => {
            binding.service = service;
            "points a TargetGroupBinding at another Service"
        }
    }
}

/// A binding goes once its targets are gone. Answers whether there was one.
pub(crate) fn release(bindings: &mut Bindings, name: &str) -> bool {
    let number = name.strip_prefix("ext-").and_then(|n| n.parse().ok());
    let is_going = |number: &u64| bindings.get(number).is_some_and(|b| b.is_deleting);
    match number.filter(is_going) {
        Some(number) => bindings.remove(&number).is_some(),
        None => false,
    }
}

/// Whether a call changes the targets of one of these groups.
pub(crate) fn is_about(call: &AwsCall) -> bool {
    let (AwsCall::RegisterTargets { target_group, .. }
    | AwsCall::DeregisterTargets { target_group, .. }) = call
    else {
        return false;
    };
    target_group
        .known()
        .is_some_and(|group| group_of(group.as_str()).is_some())
}

/// Whether a call of a machine that was killed may come late for one of these groups, so that the next machine
/// can find what it has done. Of a binding that is going, or gone, nobody looks at the group again; and of what
/// is registered late in a shared group nobody knows any more whose it is.
pub(crate) fn may_come_late(bindings: &Bindings, call: &AwsCall) -> bool {
    let (AwsCall::RegisterTargets {
        target_group: Ref::Known(group),
        ..
    }
    | AwsCall::DeregisterTargets {
        target_group: Ref::Known(group),
        ..
    }) = call
    else {
        return false;
    };
    let Some(number) = group_of(group.as_str()) else {
        return false;
    };
    let is_there = bindings.get(&number).is_some_and(|b| !b.is_deleting);
    let is_registration = matches!(call, AwsCall::RegisterTargets { .. });
    is_there && !(is_registration && number == SHARED)
}

/// Judges a call that is about to arrive. `Ok(true)`: it changes targets of one of these groups, for a
/// binding that is there. An error says what it must not do.
pub(crate) fn judge(
    account: &mut Account,
    bindings: &Bindings,
    call: &AwsCall,
    is_undisturbed: bool,
) -> Result<bool, String> {
    let (AwsCall::RegisterTargets {
        target_group: Ref::Known(group),
        targets,
    }
    | AwsCall::DeregisterTargets {
        target_group: Ref::Known(group),
        targets,
    }) = call
    else {
        return Ok(false);
    };
    let Some(number) = group_of(group.as_str()) else {
        return Ok(false);
    };
    if !bindings.contains_key(&number) {
        return Err(format!("{} without a binding", call.operation()));
    }
    let is_registration = matches!(call, AwsCall::RegisterTargets { .. });
    if !is_registration && number == SHARED {
        let mut others = others().into_iter();
        if let Some(other) = others.find(|other| targets.contains(other)) {
            return Err(format!("deregisters another cluster's {}", other.id));
        }
    }
    if is_registration && is_undisturbed {
        let there = registered(account, number);
        if let Some(twice) = targets.iter().find(|target| there.contains(target)) {
            return Err(format!("registers {} in ext-{number} twice", twice.id));
        }
    }
    Ok(true)
}

/// Fails where the targets of a group are not those of a fresh run. What a binding has that is not in force,
/// or that was not from the beginning the only one of its cluster in a shared group, only the past tells.
pub(crate) fn check_rest(
    account: &mut Account,
    fresh: &mut Account,
    bindings: &Bindings,
) -> Result<(), String> {
    for (number, _) in (0..).zip(GROUPS) {
        let there = registered(account, number);
        let others = if number == SHARED {
            others()
        } else {
            Vec::new()
        };
        if let Some(gone) = others.iter().find(|other| !there.contains(other)) {
            return Err(format!("another cluster's {} is gone", gone.id));
        }
        if !bindings.contains_key(&number) && there.len() > others.len() {
            return Err(format!(
                "ext-{number} has no binding, and targets: {there:?}"
            ));
        }
        let should_be = registered(fresh, number);
        if bindings
            .get(&number)
            .is_some_and(|b| !b.is_deleting && b.service < SERVICES)
            && there != should_be
        {
            return Err(format!(
                "ext-{number} has the targets {there:?}, and should have {should_be:?}"
            ));
        }
    }
    Ok(())
}

fn registered(account: &mut Account, number: u64) -> Vec<Target> {
    let call = AwsCall::DescribeTargetHealth {
        target_group: TargetGroupArn::new(arn(number)),
    };
    match account.answer(0, &call) {
        Ok(AwsAnswer::TargetHealth(targets)) => { targets.into_iter() }
            .filter(|target| target.state != TargetState::Draining)
            .map(|target| target.target)
            .collect(),
        _ => Vec::new(),
    }
}
