//! What the cluster of a simulation with everything has besides: Secrets, authorities, classes of other
//! controllers, shared target groups, finalizers.
//!
//! In: a random stream. Out: [`Extras`], edits of them, and what of the cluster only its past explains.
//! What always holds: without extras the objects are those of a simpler cluster.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{GatewayController, Object};
use gateway_api::apis::experimental as gw;
use serde_json::{Value, json};

use crate::cluster::{self, Balancer, Cluster, Gateway, SERVICES};
use crate::fabric::Fabric;
use crate::objects::{NAMESPACE, SECURITY_GROUP, metadata, typed, uid};
use crate::pods::Pods;
use crate::random::Random;
use crate::secrets::{self, BUNDLES, Bundle, Content, SECRETS};

/// The class of somebody else's controller.
pub(crate) const FOREIGN_CLASS: &str = "other";

/// What a simpler cluster does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    /// Whether there are any.
    pub(crate) is_on: bool,
    pub(crate) secrets: BTreeMap<u64, Content>,
    pub(crate) bundles: BTreeMap<u64, Bundle>,
    /// Whether Gateways may refer to what lies in the other namespace.
    pub(crate) is_granted: bool,
    /// Classes of ours that are not there.
    pub(crate) missing_classes: BTreeSet<&'static str>,
    pub(crate) of_gateways: BTreeMap<u64, OfGateway>,
    /// Services whose target groups other clusters fill, too.
    pub(crate) shared: BTreeSet<u64>,
    /// Whom users' bindings let in, by the number of their group.
    pub(crate) networking: BTreeMap<u64, Networking>,
    /// Finalizers of Gateways.
    pub(crate) finalizers: BTreeMap<u64, BTreeSet<GatewayController>>,
    /// Pods behind the endpoints.
    pub(crate) pods: Pods,
    /// The interfaces that they have.
    pub(crate) fabric: Fabric,
}

/// What a Gateway has besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OfGateway {
    /// Secrets that its HTTPS listeners name; where there are none, its configuration names certificates.
    pub(crate) secrets: Vec<u64>,
    /// ConfigMaps with the authorities of clients.
    pub(crate) bundles: BTreeSet<u64>,
    /// Whether its class is somebody else's.
    pub(crate) is_foreign: bool,
}

/// Whom a user's binding lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Networking {
    Block(&'static str, u16),
    Group(u16),
}

impl Extras {
    /// Extras to begin with.
    pub(crate) fn new(random: &mut Random) -> Self {
        let usable = [Content::Web, Content::Leaf];
        let mut extras = Self {
            is_on: true,
            secrets: (0..SECRETS).map(|n| (n, random.one(usable))).collect(),
            bundles: (0..BUNDLES).map(|n| (n, random.one(Bundle::ALL))).collect(),
            is_granted: random.chance(800),
            ..Self::default()
        };
        if random.chance(400) {
            extras.shared.insert(random.below(SERVICES));
        }
        for gateway in 0..crate::cluster::GATEWAYS {
            let of_gateway = OfGateway {
                secrets: if random.chance(600) {
                    references(random)
                } else {
                    Vec::new()
                },
                bundles: if random.chance(400) {
                    [random.below(BUNDLES)].into()
                } else {
                    BTreeSet::new()
                },
                is_foreign: false,
            };
            extras.of_gateways.insert(gateway, of_gateway);
        }
        extras
    }

    /// What a Gateway has.
    pub(crate) fn of(&self, gateway: u64) -> OfGateway {
        self.of_gateways.get(&gateway).cloned().unwrap_or_default()
    }

    fn may_refer(&self, number: u64, of: u64) -> bool {
        self.is_granted || secrets::namespace(number, of) == NAMESPACE
    }

    /// Whether a Gateway refers to something that cannot be used at present: then what it has stays as it
    /// is, and only its past tells what that is.
    fn is_unsettled(&self, gateway: u64) -> bool {
        let of_gateway = self.of(gateway);
        let is_usable = |n: &u64| {
            self.may_refer(*n, SECRETS) && self.secrets.get(n).is_some_and(|c| c.is_usable())
        };
        let is_authority = |n: &u64| {
            self.may_refer(*n, BUNDLES) && self.bundles.get(n).is_some_and(|b| b.is_usable())
        };
        !of_gateway.secrets.iter().all(is_usable)
            || !(of_gateway.bundles.is_empty() || of_gateway.bundles.iter().any(is_authority))
    }

    /// Classes, Secrets and the like.
    pub(crate) fn objects(&self) -> Vec<Object> {
        if !self.is_on {
            return Vec::new();
        }
        let mut objects = secrets::vault(self.is_granted);
        objects.push(typed::<gw::gatewayclasses::GatewayClass>(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": metadata(FOREIGN_CLASS, &uid(1, 1, 0), None),
            "spec": {"controllerName": "example.com/other"},
        })));
        let kept = self.secrets.iter();
        objects.extend(kept.map(|(n, content)| secrets::secret(*n, *content)));
        let kept = self.bundles.iter();
        objects.extend(kept.map(|(n, bundle)| secrets::config_map(*n, *bundle)));
        objects
    }

    /// The references of HTTPS listeners.
    pub(crate) fn certificate_refs(&self, gateway: u64) -> Vec<Value> {
        let secrets = self.of(gateway).secrets.into_iter();
        let reference = |n| {
            json!({"group": "", "kind": "Secret", "name": format!("tls-{n}"),
                "namespace": secrets::namespace(n, SECRETS)})
        };
        secrets.map(reference).collect()
    }

    /// `spec.tls` of a Gateway.
    pub(crate) fn client_validation(&self, gateway: u64) -> Option<Value> {
        let bundles = self.of(gateway).bundles.into_iter();
        let references: Vec<Value> = bundles
            .map(|n| {
                json!({"group": "", "kind": "ConfigMap", "name": format!("ca-{n}"),
                    "namespace": secrets::namespace(n, BUNDLES)})
            })
            .collect();
        let validation = json!({"caCertificateRefs": references});
        (!references.is_empty())
            .then(|| json!({"frontend": {"default": {"validation": validation}}}))
    }

    /// `spec.networking` of a user's binding.
    pub(crate) fn networking_of(&self, binding: u64) -> Option<Value> {
        let (from, port) = match self.networking.get(&binding)? {
            Networking::Block(cidr, port) => (json!({"ipBlock": {"cidr": cidr}}), port),
            Networking::Group(port) => {
                (json!({"securityGroup": {"groupID": SECURITY_GROUP}}), port)
            }
        };
        Some(json!({"ingress": [
            {"from": [from], "ports": [{"protocol": "TCP", "port": port}]},
        ]}))
    }
}

/// Gateways of which only the past tells what they have.
pub(crate) fn unsettled(cluster: &Cluster) -> BTreeSet<u64> {
    let numbers = cluster.gateways.keys().copied();
    numbers
        .filter(|n| cluster.extras.is_unsettled(*n))
        .collect()
}

/// Takes a class away, or gives it back, while pods come and go behind the Gateways that have it.
pub(crate) fn edit_behind_class(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let class = random.one(["alb", "nlb"]);
    if !cluster.extras.missing_classes.remove(class) {
        cluster.extras.missing_classes.insert(class);
    }
    for service in cluster.services.values_mut() {
        let pod = cluster::pod(random);
        if !service.pods.remove(&pod) {
            service.pods.insert(pod);
        }
    }
    "removes or adds a GatewayClass, while pods come and go"
}

fn references(random: &mut Random) -> Vec<u64> {
    let mut references = vec![random.below(SECRETS)];
    let second = random.below(SECRETS);
    if random.chance(300) && !references.contains(&second) {
        references.push(second);
    }
    references
}

/// Edits the extras and says what was done.
pub(crate) fn edit(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let gateway = random.below(crate::cluster::GATEWAYS);
    let extras = &mut cluster.extras;
    match random.below(100) {
        0..24 => {
            let secret = random.below(SECRETS);
            if random.chance(250) && extras.secrets.remove(&secret).is_some() {
                return "deletes a Secret";
            }
            let content = if random.chance(700) {
                random.one([Content::Web, Content::Leaf])
            } else {
                random.one(Content::ALL)
            };
            extras.secrets.insert(secret, content);
            "renews a Secret"
        }
        24..38 => {
            let bundle = random.below(BUNDLES);
            if random.chance(250) && extras.bundles.remove(&bundle).is_some() {
                return "deletes a ConfigMap";
            }
            extras.bundles.insert(bundle, random.one(Bundle::ALL));
            "changes a ConfigMap"
        }
        38..44 => {
            extras.is_granted = !extras.is_granted;
            "gives or takes back a ReferenceGrant"
        }
        44..60 => {
            let of_gateway = extras.of_gateways.entry(gateway).or_default();
            of_gateway.secrets = if random.chance(750) {
                references(random)
            } else {
                Vec::new()
            };
            "changes certificateRefs"
        }
        60..72 => {
            let of_gateway = extras.of_gateways.entry(gateway).or_default();
            let bundle = random.below(BUNDLES);
            if !of_gateway.bundles.remove(&bundle) {
                of_gateway.bundles.insert(bundle);
            }
            "changes whom clients are vouched for by"
        }
        72..84 => {
            let of_gateway = extras.of_gateways.entry(gateway).or_default();
            of_gateway.is_foreign = !of_gateway.is_foreign;
            "hands a Gateway to another controller, or takes it over"
        }
        84..90 => {
            let class = random.one(["alb", "nlb"]);
            if !extras.missing_classes.remove(class) {
                extras.missing_classes.insert(class);
            }
            "removes or adds a GatewayClass"
        }
        _ => {
            let binding = random.below(3);
            let port = random.one([8080, 8081, 9000]);
            let networking = match random.below(3) {
                0 => {
                    extras.networking.remove(&binding);
                    return "lets nobody in by a TargetGroupBinding";
                }
                1 => Networking::Block(random.one(["10.1.0.0/16", "10.0.0.0/8"]), port),
                _ => Networking::Group(port),
            };
            extras.networking.insert(binding, networking);
            "lets somebody in by a TargetGroupBinding"
        }
    }
}

/// The class of a Gateway.
pub(crate) fn class_of(cluster: &Cluster, number: u64, gateway: &Gateway) -> &'static str {
    match gateway.balancer {
        _ if cluster.extras.of(number).is_foreign => FOREIGN_CLASS,
        Balancer::Application => "alb",
        Balancer::Network => "nlb",
    }
}

/// What an API server does where an edit removes or replaces a Gateway that has finalizers: it stays, and
/// waits for them.
pub(crate) fn keep_protected(before: &Cluster, cluster: &mut Cluster) {
    for (number, finalizers) in &before.extras.finalizers {
        let Some(was) = before
            .gateways
            .get(number)
            .filter(|_| !finalizers.is_empty())
        else {
            continue;
        };
        let is = cluster.gateways.get(number);
        let is_same = is.is_some_and(|is| {
            is.incarnation == was.incarnation && (is.is_deleting || !was.is_deleting)
        });
        if !is_same {
            let mut kept = was.clone();
            kept.is_deleting = true;
            cluster.gateways.insert(*number, kept);
        }
    }
}

/// Puts a finalizer on a Gateway. Answers whether there is one that takes it.
pub(crate) fn protect(cluster: &mut Cluster, name: &str, by: GatewayController) -> bool {
    let Some(number) = number_of(name) else {
        return false;
    };
    // None is taken by an object that is about to go.
    let takes_it = { cluster.gateways.get(&number) }.is_some_and(|gateway| !gateway.is_deleting);
    takes_it
        && cluster
            .extras
            .finalizers
            .entry(number)
            .or_default()
            .insert(by)
}

/// Takes finalizers off a Gateway; one that waits for them goes. Answers whether anything changed.
pub(crate) fn release(
    cluster: &mut Cluster,
    name: &str,
    released: &BTreeSet<GatewayController>,
) -> bool {
    let Some(number) = number_of(name) else {
        return false;
    };
    let finalizers = cluster.extras.finalizers.entry(number).or_default();
    let before = finalizers.len();
    finalizers.retain(|by| !released.contains(by));
    let has_changed = finalizers.len() < before;
    if finalizers.is_empty() {
        cluster.extras.finalizers.remove(&number);
        if has_changed && cluster.gateways.get(&number).is_some_and(|g| g.is_deleting) {
            cluster.gateways.remove(&number);
        }
    }
    has_changed
}

fn number_of(gateway: &str) -> Option<u64> {
    gateway.strip_prefix("gw-")?.parse().ok()
}

/// Deletes one thing of what is left, if there is any; all of them once it was called often enough.
pub(crate) fn demolish(cluster: &mut Cluster, random: &mut Random) -> Option<String> {
    type Demolish = fn(&mut Cluster, u64);
    let mut all: Vec<(String, u64, Demolish)> = Vec::new();
    for (n, gateway) in &cluster.gateways {
        if !gateway.is_deleting {
            all.push((format!("gw-{n}"), *n, |cluster, n| {
                cluster.gateways.remove(&n);
            }));
        }
        if gateway.config.exists {
            all.push((format!("configuration gw-{n}"), *n, |cluster, n| {
                if let Some(gateway) = cluster.gateways.get_mut(&n) {
                    gateway.config.exists = false;
                }
            }));
        }
    }
    all.extend(cluster.routes.keys().map(|n| {
        let demolish: Demolish = |cluster, n| {
            cluster.routes.remove(&n);
        };
        (format!("route-{n}"), *n, demolish)
    }));
    all.extend(cluster.services.keys().map(|n| {
        let demolish: Demolish = |cluster, n| {
            cluster.services.remove(&n);
        };
        (format!("svc-{n}"), *n, demolish)
    }));
    let bindings = cluster.bindings.iter().filter(|(_, b)| !b.is_deleting);
    all.extend(bindings.map(|(n, _)| {
        let demolish: Demolish = |cluster, n| {
            if let Some(binding) = cluster.bindings.get_mut(&n) {
                binding.is_deleting = true;
            }
        };
        (format!("ext-{n}"), *n, demolish)
    }));
    all.extend(cluster.extras.secrets.keys().map(|n| {
        let demolish: Demolish = |cluster, n| {
            cluster.extras.secrets.remove(&n);
        };
        (format!("tls-{n}"), *n, demolish)
    }));
    all.extend(cluster.extras.bundles.keys().map(|n| {
        let demolish: Demolish = |cluster, n| {
            cluster.extras.bundles.remove(&n);
        };
        (format!("ca-{n}"), *n, demolish)
    }));
    for (place, class) in (0..).zip(["alb", "nlb"]) {
        if !cluster.extras.missing_classes.contains(class) {
            all.push((format!("class {class}"), place, |cluster, place| {
                let class = if place == 0 { "alb" } else { "nlb" };
                cluster.extras.missing_classes.insert(class);
            }));
        }
    }
    let (name, number, demolish) = random.pick(&all)?;
    demolish(cluster, *number);
    Some(name.clone())
}
