//! Loopback addresses that are this process's own.
//!
//! In: nothing. Out: [`Claims`], addresses for load balancers. What always holds: two `elbow local` at
//! the same time, whoever runs them, hold different addresses, so that both have the real listener
//! ports; and a claim ends with the process that made it, however that ends.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// UDP port that is held at an address to claim it. No traffic ever goes there. Any number will do that
/// lies below the ephemeral ports (32768 on Linux, 49152 elsewhere), so that no client gets it by chance.
const CLAIM_PORT: u16 = 21_839;

/// Addresses that one process claims, so that four find some at the same time. More load balancers than
/// that share the first address, with mapped ports.
const CLAIMS_MAX: usize = 60;

/// The last numbers of 127.0.0.0/24 that are claimed. 1 is everybody's, 255 is a broadcast.
const LAST_NUMBERS: std::ops::RangeInclusive<u8> = 2..=254;

/// Claimed addresses, in their order, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claims {
    held: Vec<(IpAddr, UdpSocket)>,
}

impl Claims {
    /// Claims addresses that nobody claims. On a system where 127.0.0.1 is the only loopback address
    /// there are none.
    pub(crate) fn new() -> Self {
        let held = LAST_NUMBERS
            .map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
            .filter_map(|address| Some((address, UdpSocket::bind((address, CLAIM_PORT)).ok()?)))
            .take(CLAIMS_MAX)
            .collect();
        Self { held }
    }

    /// The addresses.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.held.iter().map(|(address, _)| *address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hold_different_addresses() {
        let (first, second) = (Claims::new(), Claims::new());
        let of_first = first.addresses();
        assert!(
            second.addresses().iter().all(|a| !of_first.contains(a)),
            "{first:?} {second:?}"
        );
    }
}
