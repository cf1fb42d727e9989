//! Observation with scripted answers.

use elbow_model::observed::LoadBalancerState;
use elbow_model::{MutualAuthentication, Port, StackKind};

use super::*;

const CLUSTER: &str = "demo";

fn whose() -> Whose {
    Whose {
        cluster_name: CLUSTER.to_owned(),
        vpc_id: VpcId::new("vpc-1"),
        has_trust_stores: false,
    }
}

fn lb(name: &str, vpc: &str) -> LoadBalancerDescription {
    LoadBalancerDescription {
        arn: LoadBalancerArn::new(name),
        name: name.to_owned(),
        dns_name: String::new(),
        lb_type: Some(LoadBalancerType::Application),
        scheme: Some(elbow_model::stack::Scheme::Internal),
        state: LoadBalancerState::Active,
        vpc_id: Some(VpcId::new(vpc)),
        ip_address_type: Some(elbow_model::stack::IpAddressType::Ipv4),
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
        enforce_security_group_inbound_rules_on_private_link_traffic: None,
    }
}

fn tags(stack: &str) -> Tags {
    Tags::from([
        (CLUSTER_TAG.to_owned(), CLUSTER.to_owned()),
        (
            "gateway.k8s.aws.alb/stack".to_owned(),
            format!("app/{stack}"),
        ),
        (
            "gateway.k8s.aws.alb/resource".to_owned(),
            "LoadBalancer".to_owned(),
        ),
    ])
}

fn stack(name: &str) -> StackId {
    StackId::new(StackKind::AlbGateway, "app", name)
}

fn not_found() -> AwsError {
    AwsError::new(ErrorClass::NotFound, "LoadBalancerNotFound", "")
}

/// Answers every call by a function of it; gives back the calls in their order.
fn drive(
    scope: Scope,
    answer: &mut dyn FnMut(&AwsCall) -> Result<AwsAnswer, AwsError>,
) -> (Sighting, Vec<AwsCall>) {
    let (mut observation, mut next) = Observation::start(whose(), scope);
    let mut made = Vec::new();
    while !next.is_empty() {
        let call = next.remove(0);
        next.extend(observation.answered(&call, answer(&call)).unwrap());
        made.push(call);
    }
    assert!(observation.is_done());
    (observation.finish(), made)
}

/// An account with nothing but these load balancers, in pages of two.
fn account<'a>(
    balancers: &'a [LoadBalancerDescription],
    tagged: &'a BTreeMap<String, Tags>,
) -> impl FnMut(&AwsCall) -> Result<AwsAnswer, AwsError> + 'a {
    move |call| {
        Ok(match call {
            AwsCall::DescribeLoadBalancers { marker, .. } => {
                let page = marker
                    .as_deref()
                    .map_or(0, |marker| marker.parse().unwrap());
                let next = page + 2;
                AwsAnswer::LoadBalancers(Page {
                    items: balancers.iter().skip(page).take(2).cloned().collect(),
                    next_marker: (next < balancers.len()).then(|| next.to_string()),
                })
            }
            AwsCall::DescribeTargetGroups { .. } => AwsAnswer::TargetGroups(Page::last(Vec::new())),
            AwsCall::DescribeSecurityGroups { .. } => {
                AwsAnswer::SecurityGroups(Page::last(Vec::new()))
            }
            AwsCall::GetResources { .. } => AwsAnswer::TagsByArn(Page::last(Vec::new())),
            AwsCall::DescribeTags { arns } => {
                if arns.iter().any(|arn| arn == "gone") {
                    return Err(not_found());
                }
                let tags =
                    |arn: &String| (arn.clone(), tagged.get(arn).cloned().unwrap_or_default());
                AwsAnswer::TagsByArn(Page::last(arns.iter().map(tags).collect()))
            }
            AwsCall::DescribeListeners { .. } => AwsAnswer::Listeners(Page::last(Vec::new())),
            _ => AwsAnswer::Attributes(Attributes::new()),
        })
    }
}

#[test]
fn pages_are_followed_and_tags_asked_for_20_at_a_time_in_this_vpc_only() {
    let mut balancers: Vec<_> = (0..25)
        .map(|n| lb(&format!("lb-{n:02}"), "vpc-1"))
        .collect();
    balancers.push(lb("elsewhere", "vpc-2"));
    let tagged = BTreeMap::from([("lb-07".to_owned(), tags("web"))]);
    let (sighting, calls) = drive(Scope::Census, &mut account(&balancers, &tagged));
    let pages = calls
        .iter()
        .filter(|c| c.operation() == "DescribeLoadBalancers")
        .count();
    assert_eq!(pages, 13);
    let asked: Vec<usize> = calls
        .iter()
        .filter_map(|call| match call {
            AwsCall::DescribeTags { arns } => Some(arns.len()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [20, 5]);
    assert_eq!(
        sighting.census.stacks(CLUSTER),
        BTreeSet::from([stack("web")])
    );
    assert_eq!(
        sighting.observed,
        Observed::default(),
        "a census has no details"
    );
}

#[test]
fn what_is_gone_when_its_tags_are_asked_for_is_left_out() {
    let balancers = [lb("a", "vpc-1"), lb("gone", "vpc-1"), lb("z", "vpc-1")];
    let tagged = BTreeMap::from([("a".to_owned(), tags("web")), ("z".to_owned(), tags("api"))]);
    let (sighting, _) = drive(Scope::Census, &mut account(&balancers, &tagged));
    assert_eq!(
        sighting.census.stacks(CLUSTER),
        BTreeSet::from([stack("web"), stack("api")])
    );
}

#[test]
fn a_look_at_one_stack_passes_over_what_is_known_to_be_others() {
    let balancers = [lb("a", "vpc-1"), lb("foreign", "vpc-1"), lb("new", "vpc-1")];
    let tagged = BTreeMap::from([
        ("a".to_owned(), tags("web")),
        ("new".to_owned(), tags("web")),
    ]);
    let scope = Scope::Stacks {
        stacks: BTreeSet::from([stack("web")]),
        known_tags: BTreeMap::from([
            ("a".to_owned(), tags("web")),
            ("foreign".to_owned(), tags("api")),
        ]),
    };
    let (sighting, calls) = drive(scope, &mut account(&balancers, &tagged));
    let asked = calls.iter().find_map(|call| match call {
        AwsCall::DescribeTags { arns } => Some(arns.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap(), ["a", "new"]);
    let names: Vec<&str> = sighting.observed.stacks[&stack("web")]
        .load_balancers
        .iter()
        .map(|lb| lb.name.as_str())
        .collect();
    assert_eq!(names, ["a", "new"]);
}

#[test]
fn listeners_and_rules_without_our_tags_are_left_out() {
    let balancers = [lb("a", "vpc-1")];
    let listener = |arn: &str, port: u16| ListenerDescription {
        arn: ListenerArn::new(arn),
        port: Port::new(port).unwrap(),
        protocol: Some(elbow_model::stack::Protocol::Http),
        default_actions: Vec::new(),
        default_certificate: None,
        ssl_policy: None,
        alpn_policy: None,
        mutual_authentication: MutualAuthentication::Off,
    };
    let tagged = BTreeMap::from([
        ("a".to_owned(), tags("web")),
        ("ours".to_owned(), tags("web")),
    ]);
    let mut rest = account(&balancers, &tagged);
    let scope = Scope::Stacks {
        stacks: BTreeSet::from([stack("web")]),
        known_tags: BTreeMap::new(),
    };
    let (sighting, _) = drive(scope, &mut |call| match call {
        AwsCall::DescribeListeners { .. } => Ok(AwsAnswer::Listeners(Page::last(vec![
            listener("ours", 80),
            listener("theirs", 81),
        ]))),
        AwsCall::DescribeRules { .. } => Ok(AwsAnswer::Rules(Page::last(Vec::new()))),
        other => rest(other),
    });
    let lb = &sighting.observed.stacks[&stack("web")].load_balancers[0];
    let ports: Vec<u16> = lb.listeners.iter().map(|l| l.port.get()).collect();
    assert_eq!(ports, [80]);
}
