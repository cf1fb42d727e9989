//! Edits: what people do to a cluster.
//!
//! In: a cluster and a random stream. Out: the cluster after one edit, and its name for the trace. What
//! always holds: an edit that finds nothing to change changes nothing.

use crate::cluster::{
    self, Balancer, Cluster, GATEWAYS, Gateway, ROUTES, Route, SERVICES, Service,
};
use crate::random::Random;

/// Edits the cluster and says what was done. `number` counts edits, for creation times.
pub(crate) fn edit(cluster: &mut Cluster, random: &mut Random, number: u64) -> &'static str {
    match random.below(100) {
        0..12 => add_route(cluster, random, number),
        12..20 => remove_route(cluster, random),
        20..45 => change_route(cluster, random),
        45..60 => change_endpoints(cluster, random),
        60..70 => change_service(cluster, random),
        70..78 => change_listeners(cluster, random),
        78..92 => change_configuration(cluster, random),
        92..98 => change_gateways(cluster, random, number),
        _ => change_node(cluster, random),
    }
}

fn add_route(cluster: &mut Cluster, random: &mut Random, number: u64) -> &'static str {
    if let Some(route) = cluster::route(random, cluster, number) {
        cluster.routes.insert(random.below(ROUTES), route);
    }
    "adds or replaces a route"
}

fn remove_route(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let numbers: Vec<u64> = cluster.routes.keys().copied().collect();
    if let Some(number) = random.pick(&numbers) {
        cluster.routes.remove(number);
    }
    "removes a route"
}

fn any_route<'a>(cluster: &'a mut Cluster, random: &mut Random) -> Option<&'a mut Route> {
    let numbers: Vec<u64> = cluster.routes.keys().copied().collect();
    cluster.routes.get_mut(random.pick(&numbers)?)
}

fn any_service<'a>(cluster: &'a mut Cluster, random: &mut Random) -> Option<&'a mut Service> {
    let numbers: Vec<u64> = cluster.services.keys().copied().collect();
    cluster.services.get_mut(random.pick(&numbers)?)
}

fn any_gateway<'a>(cluster: &'a mut Cluster, random: &mut Random) -> Option<&'a mut Gateway> {
    let numbers: Vec<u64> = cluster.gateways.keys().copied().collect();
    cluster.gateways.get_mut(random.pick(&numbers)?)
}

fn change_route(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let Some(route) = any_route(cluster, random) else {
        return "finds no route";
    };
    let choice = random.below(6);
    if route.is_tcp {
        route.rules = vec![cluster::rule(random)];
        return "changes the backends of a TCP route";
    }
    match choice {
        0 => {
            let at = random.index(route.rules.len() + 1);
            route.rules.insert(at, cluster::rule(random));
            "inserts a rule"
        }
        1 if route.rules.len() > 1 => {
            let at = random.index(route.rules.len());
            route.rules.remove(at);
            "removes a rule"
        }
        2 => {
            route.rules.rotate_left(1);
            "moves a rule to the end"
        }
        3 => {
            let host = random.one(cluster::HOSTS);
            if !route.hosts.remove(host) {
                route.hosts.insert(host);
            }
            "changes the hostnames of a route"
        }
        4 => {
            for backend in route.rules.iter_mut().flat_map(|rule| &mut rule.backends) {
                backend.weight = random.one([0, 1, 1, 2, 3]);
            }
            "changes weights"
        }
        _ => {
            let at = random.index(route.rules.len());
            if let Some(rule) = route.rules.get_mut(at) {
                *rule = cluster::rule(random);
            }
            "replaces a rule"
        }
    }
}

fn change_endpoints(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    if let Some(service) = any_service(cluster, random) {
        let pod = cluster::pod(random);
        if !service.pods.remove(&pod) {
            service.pods.insert(pod);
        }
        return "adds or removes a pod";
    }
    "finds no Service"
}

fn change_service(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    match random.below(5) {
        0 => {
            cluster.services.remove(&random.below(SERVICES));
            "removes a Service"
        }
        1 => {
            let number = random.below(SERVICES);
            cluster.services.insert(number, cluster::service(random));
            "adds or replaces a Service"
        }
        2 => {
            if let Some(service) = any_service(cluster, random) {
                service.target_port = random.one([8080, 8081, 9000]);
            }
            "changes a target port"
        }
        3 => {
            if let Some(service) = any_service(cluster, random) {
                service.targets = None;
            }
            "removes a TargetGroupConfiguration"
        }
        _ => {
            if let Some(service) = any_service(cluster, random) {
                service.targets = Some(cluster::targets(random));
            }
            "changes a TargetGroupConfiguration"
        }
    }
}

fn change_listeners(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let Some(gateway) = any_gateway(cluster, random) else {
        return "finds no Gateway";
    };
    let port = cluster::any_port(random);
    if gateway.listeners.len() > 1 && random.chance(400) {
        gateway.listeners.remove(&port);
        if gateway.listeners.is_empty() {
            gateway
                .listeners
                .insert(80, cluster::listener(random, gateway.balancer));
        }
        return "removes a listener";
    }
    gateway
        .listeners
        .insert(port, cluster::listener(random, gateway.balancer));
    "adds or changes a listener"
}

fn change_configuration(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let Some(gateway) = any_gateway(cluster, random) else {
        return "finds no Gateway";
    };
    let config = &mut gateway.config;
    match random.below(10) {
        0 => {
            config.exists = !config.exists;
            "adds or removes a LoadBalancerConfiguration"
        }
        1 => {
            config.is_public = !config.is_public;
            "changes a scheme"
        }
        2 => {
            config.idle_timeout_seconds = Some(random.one([30, 60, 120]));
            "changes an attribute"
        }
        3 | 4 => {
            let key = random.one(["team", "stage"]);
            if config.tags.remove(key).is_none() {
                config.tags.insert(key, random.below(3));
            }
            "changes tags"
        }
        5 => {
            let range = random.one(["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"]);
            if !config.source_ranges.remove(range) {
                config.source_ranges.insert(range);
            }
            "changes source ranges"
        }
        6 => {
            config.security_groups = !config.security_groups;
            "changes security groups"
        }
        7 => {
            config.certificate = random.index(cluster::CERTIFICATES);
            "changes a default certificate"
        }
        8 => {
            let certificate = random.index(cluster::CERTIFICATES);
            if !config.more_certificates.remove(&certificate) {
                config.more_certificates.insert(certificate);
            }
            "changes certificates"
        }
        _ => {
            config.has_new_tls_policy = !config.has_new_tls_policy;
            "changes a security policy"
        }
    }
}

fn change_gateways(cluster: &mut Cluster, random: &mut Random, number: u64) -> &'static str {
    match random.below(5) {
        0 => {
            let gateway = random.below(GATEWAYS);
            cluster.gateways.remove(&gateway);
            "removes a Gateway"
        }
        1 => {
            if let Some(gateway) = any_gateway(cluster, random) {
                gateway.is_deleting = true;
            }
            "begins to delete a Gateway"
        }
        2 => {
            if let Some(gateway) = any_gateway(cluster, random) {
                gateway.balancer = match gateway.balancer {
                    Balancer::Application => Balancer::Network,
                    Balancer::Network => Balancer::Application,
                };
                gateway.listeners = cluster::listeners(random, gateway.balancer);
            }
            "changes the class of a Gateway"
        }
        3 => {
            if let Some(gateway) = any_gateway(cluster, random) {
                gateway.incarnation = number;
                gateway.is_deleting = false;
            }
            "re-creates a Gateway"
        }
        _ => {
            let gateway = cluster::gateway(random, number);
            cluster.gateways.insert(random.below(GATEWAYS), gateway);
            "adds or replaces a Gateway"
        }
    }
}

fn change_node(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let number = random.between(1, 3);
    if let Some(is_ready) = cluster.nodes.get_mut(&number) {
        *is_ready = !*is_ready;
    }
    "changes the state of a node"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_seeds_reach_tls_and_every_edit_keeps_a_listener() {
        let mut seen_tls = false;
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let mut cluster = cluster::cluster(&mut random);
            for number in 1..50 {
                edit(&mut cluster, &mut random, number);
                assert!(cluster.gateways.values().all(|g| !g.listeners.is_empty()));
                let mut listeners = cluster.gateways.values().flat_map(|g| g.listeners.values());
                seen_tls |= listeners.any(|l| l.protocol == cluster::Protocol::Https);
            }
        }
        assert!(seen_tls);
    }
}
