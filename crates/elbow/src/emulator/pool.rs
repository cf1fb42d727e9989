//! Pools of addresses for load balancers, as the command line writes them.
//!
//! In: networks, ranges and single addresses. Out: a [`Pool`]. What always holds: each address is handed
//! out once, and what a network keeps for itself is not handed out.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use anyhow::{Context as _, ensure};
use ipnet::Ipv4Net;

/// Most addresses to hand out. A network such as 127.0.0.0/8 has more than anybody needs.
const ADDRESSES_MAX: usize = 1_024;

/// Addresses that load balancers may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pool(Vec<RangeInclusive<u32>>);

impl Pool {
    /// Reads each of `10.0.1.0/26`, `10.0.1.10-10.0.1.20` and `10.0.1.10`.
    pub(super) fn parse(texts: &[String]) -> anyhow::Result<Self> {
        texts
            .iter()
            .map(|text| range(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether an address is in it.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self
                .0
                .iter()
                .any(|range| range.contains(&address.to_bits())),
            IpAddr::V6(_) => false,
        }
    }

    /// Addresses to hand out, in their order.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        let all = self
            .0
            .iter()
            .flat_map(Clone::clone)
            .map(Ipv4Addr::from_bits);
        for address in all {
            if addresses.len() == ADDRESSES_MAX {
                break;
            }
            // 127.0.0.1 is everybody's: the API may listen there.
            if address != Ipv4Addr::LOCALHOST && !addresses.contains(&address.into()) {
                addresses.push(address.into());
            }
        }
        addresses
    }
}

fn range(text: &str) -> anyhow::Result<RangeInclusive<u32>> {
    let form = || format!("--addresses: `{text}` is no network, range or address");
    let address = |text: &str| text.parse::<Ipv4Addr>().with_context(form);
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (address(first)?, address(last)?);
        ensure!(first <= last, "--addresses: `{text}` ends before it begins");
        return Ok(first.to_bits()..=last.to_bits());
    }
    if text.contains('/') {
        let network: Ipv4Net = text.parse().with_context(form)?;
        let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
        // AWS keeps the first four addresses of a subnet and the last one; the second is the router's.
        // A network that is too small for that is no subnet.
        let is_subnet = network.prefix_len() <= 28;
        return Ok(if is_subnet {
            first + 4..=last - 1
        } else {
            first..=last
        });
    }
    let address = address(text)?.to_bits();
    Ok(address..=address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_ranges_and_addresses_are_read() {
        let rows = [
            ("10.0.1.0/30", "10.0.1.0 10.0.1.1 10.0.1.2 10.0.1.3"),
            (
                "10.0.1.0/28",
                "10.0.1.4 10.0.1.5 10.0.1.6 10.0.1.7 10.0.1.8 10.0.1.9 10.0.1.10 10.0.1.11 10.0.1.12 \
                 10.0.1.13 10.0.1.14",
            ),
            ("127.0.0.0-127.0.0.2", "127.0.0.0 127.0.0.2"),
            ("10.0.1.9-10.0.1.11", "10.0.1.9 10.0.1.10 10.0.1.11"),
            ("10.0.1.9,10.0.1.9", "10.0.1.9"),
            ("10.0.1.9-10.0.1.8", "error"),
            ("10.0.1.0/33", "error"),
            ("pool", "error"),
        ];
        for (text, expected) in rows {
            let texts: Vec<String> = text.split(',').map(str::to_owned).collect();
            let got = match Pool::parse(&texts) {
                Ok(pool) => {
                    let addresses = pool.addresses();
                    assert!(
                        addresses.iter().all(|address| pool.contains(*address)),
                        "{text}"
                    );
                    let addresses: Vec<String> =
                        addresses.iter().map(ToString::to_string).collect();
                    addresses.join(" ")
                }
                Err(error) => {
                    assert!(error.to_string().contains(text), "{error}");
                    "error".to_owned()
                }
            };
            assert_eq!(got, expected, "{text}");
        }
        let all = Pool::parse(&["127.0.0.0/8".to_owned()]).expect("a network");
        assert_eq!(all.addresses().len(), ADDRESSES_MAX);
        assert!(all.contains([127, 255, 0, 1].into()) && !all.contains([128, 0, 0, 1].into()));
    }
}
