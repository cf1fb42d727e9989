//! Which target groups a listener may forward to.
//!
//! Source: "Listeners for your Network Load Balancers", table of listener and target group
//! protocols, and "Target groups for your Application Load Balancers", protocol versions.

use super::error;
use super::state::{
    IpAddressType, LoadBalancer, LoadBalancerKind, Protocol, ProtocolVersion, TargetFamily,
    TargetGroup, TargetType,
};
use crate::error::ApiError;

/// The protocols that listeners of a load balancer may have, in AWS's order.
pub(super) fn of_listeners(kind: LoadBalancerKind) -> &'static [Protocol] {
    match kind {
        LoadBalancerKind::Application => &[Protocol::Http, Protocol::Https],
        LoadBalancerKind::Network => &[
            Protocol::Tcp,
            Protocol::Quic,
            Protocol::TcpQuic,
            Protocol::Udp,
            Protocol::TcpUdp,
            Protocol::Tls,
        ],
    }
}

/// Whether the listener ends TLS.
pub(super) fn is_secure(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Https | Protocol::Tls)
}

/// Whether datagrams are among what the protocol carries.
pub(super) fn is_udp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Udp | Protocol::TcpUdp)
}

/// Whether QUIC is among what the protocol carries.
pub(super) fn is_quic(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Quic | Protocol::TcpQuic)
}

/// Names joined as AWS's messages join them.
pub(super) fn joined(protocols: &[Protocol]) -> String {
    let names: Vec<&str> = protocols.iter().map(|protocol| protocol.as_str()).collect();
    names.join(", ")
}

/// Refuses a target group that a listener of that protocol cannot forward to.
pub(super) fn check(
    load_balancer: &LoadBalancer,
    listener: Protocol,
    group: &TargetGroup,
) -> Result<(), ApiError> {
    use Protocol::{Http, Https, Quic, Tcp, TcpQuic, TcpUdp, Tls, Udp};
    let groups: &[Protocol] = match listener {
        Http | Https => &[Http, Https],
        Tcp => &[Tcp, TcpUdp, TcpQuic],
        Tls => &[Tcp, Tls],
        Udp => &[Udp, TcpUdp],
        TcpUdp => &[TcpUdp],
        Quic => &[Quic, TcpQuic],
        TcpQuic => &[TcpQuic],
    };
    let alb_behind_other_than_tcp = group.target_type == TargetType::Alb && listener != Tcp;
    if !groups.contains(&group.protocol) || alb_behind_other_than_tcp {
        let message = format!(
            "The listener and the following target groups have incompatible protocols: {}",
            group.arn
        );
        return Err(ApiError::sender("IncompatibleProtocols", message));
    }
    let version = group.protocol_version.unwrap_or(ProtocolVersion::Http1);
    if listener == Http && version != ProtocolVersion::Http1 {
        return Err(error::action(format!(
            "Listener protocol 'HTTP' is not supported with a target group with the \
             protocol-version '{}'",
            version.as_str()
        )));
    }
    let ipv4_only = load_balancer.ip_address_type == IpAddressType::Ipv4;
    if group.family == TargetFamily::Ipv6 && ipv4_only {
        return Err(error::configuration(
            "You cannot associate an IPv6 target group with a load balancer that has an 'ipv4' IP \
             address type",
        ));
    }
    let dualstack = load_balancer.ip_address_type != IpAddressType::Ipv4;
    if is_udp(listener) && dualstack && group.family == TargetFamily::Ipv4 {
        // The NLB guide: UDP on dualstack needs IPv6 target groups. Text undocumented.
        return Err(error::configuration(format!(
            "Listener protocol '{}' on a load balancer with the 'dualstack' IP address type needs \
             an IPv6 target group",
            listener.as_str()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::tests::{load_balancer, target_group};

    #[test]
    fn compatibility_of_protocols() {
        let all = [
            "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC",
        ];
        // One row a listener protocol, one column a target group protocol.
        let rows = [
            ("HTTP", "xx......"),
            ("HTTPS", "xx......"),
            ("TCP", "..x..x.x"),
            ("TLS", "..xx...."),
            ("UDP", "....xx.."),
            ("TCP_UDP", ".....x.."),
            ("QUIC", "......xx"),
            ("TCP_QUIC", ".......x"),
        ];
        for (listener, fits) in rows {
            let listener = Protocol::parse(listener).unwrap();
            for (name, fits) in all.into_iter().zip(fits.chars()) {
                let group = target_group("g", Protocol::parse(name).unwrap());
                let lb = load_balancer(LoadBalancerKind::Network);
                let result = check(&lb, listener, &group).map_err(|refusal| refusal.code);
                let expected = if fits == 'x' {
                    Ok(())
                } else {
                    Err("IncompatibleProtocols".into())
                };
                assert_eq!(result, expected, "{listener:?} to {name}");
            }
        }
    }

    #[test]
    fn grpc_needs_https() {
        let lb = load_balancer(LoadBalancerKind::Application);
        let mut group = target_group("g", Protocol::Http);
        group.protocol_version = Some(ProtocolVersion::Grpc);
        let refusal = check(&lb, Protocol::Http, &group).unwrap_err();
        assert_eq!(refusal.code, "InvalidLoadBalancerAction");
        assert_eq!(check(&lb, Protocol::Https, &group), Ok(()));
    }

    #[test]
    fn an_alb_stands_behind_tcp_alone() {
        let lb = load_balancer(LoadBalancerKind::Network);
        let mut group = target_group("g", Protocol::Tcp);
        group.target_type = TargetType::Alb;
        assert_eq!(check(&lb, Protocol::Tcp, &group), Ok(()));
        assert!(check(&lb, Protocol::Tls, &group).is_err());
    }

    #[test]
    fn address_families() {
        let mut lb = load_balancer(LoadBalancerKind::Network);
        let mut group = target_group("g", Protocol::Udp);
        group.family = TargetFamily::Ipv6;
        assert!(
            check(&lb, Protocol::Udp, &group).is_err(),
            "IPv6 behind ipv4"
        );
        lb.ip_address_type = IpAddressType::Dualstack;
        assert_eq!(check(&lb, Protocol::Udp, &group), Ok(()));
        group.family = TargetFamily::Ipv4;
        assert!(
            check(&lb, Protocol::Udp, &group).is_err(),
            "UDP to IPv4 on dualstack"
        );
    }
}
