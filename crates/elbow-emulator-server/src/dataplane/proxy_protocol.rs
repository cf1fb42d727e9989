//! The header of PROXY protocol version 2, in front of what a network load balancer sends to a
//! target.
//!
//! In: client and load balancer address. Out: bytes. Source: the PROXY protocol specification of
//! HAProxy, section 2.2.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const PROXY: u8 = 0x21;
/// Version 2, command LOCAL: health checks, which have no client.
const LOCAL: u8 = 0x20;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a client's connection. Two addresses of different families are both written as
/// IPv6.
pub(crate) fn header(client: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.push(PROXY);
    match (client.ip().to_canonical(), local.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(local)) => {
            out.push(TCP_OVER_IPV4);
            // Two addresses of 4 bytes and two ports.
            out.extend(12u16.to_be_bytes());
            out.extend(client.octets());
            out.extend(local.octets());
        }
        (client, local) => {
            out.push(TCP_OVER_IPV6);
            // Two addresses of 16 bytes and two ports.
            out.extend(36u16.to_be_bytes());
            for address in [client, local] {
                let address = match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped(),
                    IpAddr::V6(address) => address,
                };
                out.extend(address.octets());
            }
        }
    }
    out.extend(client.port().to_be_bytes());
    out.extend(local.port().to_be_bytes());
    out
}

/// The header of a health check.
pub(crate) fn local_header() -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend([LOCAL, 0, 0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let v4 = header(
            "192.0.2.1:4711".parse().unwrap(),
            "127.0.0.9:9000".parse().unwrap(),
        );
        assert_eq!(
            v4[12..],
            [
                0x21, 0x11, 0, 12, 192, 0, 2, 1, 127, 0, 0, 9, 0x12, 0x67, 0x23, 0x28
            ]
        );
        let v6 = header(
            "[2001:db8::1]:1".parse().unwrap(),
            "127.0.0.9:2".parse().unwrap(),
        );
        assert_eq!((v6.len(), v6[13], v6[15]), (12 + 4 + 36, 0x21, 36));
        assert_eq!(v6[42..48], [0xff, 0xff, 127, 0, 0, 9]);
        assert_eq!(local_header()[12..], [0x20, 0, 0, 0]);
    }
}
