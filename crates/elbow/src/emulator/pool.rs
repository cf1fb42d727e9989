//! Pools of addresses for load balancers, as the command line writes them.
//!
//! In: networks, ranges and single addresses. Out: the addresses, in the order in which load balancers
//! get them. What always holds: each is in there once.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, ensure};
use ipnet::IpNet;

/// Most addresses of a pool. A network such as 127.0.0.0/8 has more than anybody needs load balancers.
const ADDRESSES_MAX: usize = 1_024;

/// Reads each of `10.0.1.0/26`, `10.0.1.10-10.0.1.20` and `10.0.1.10`.
pub(super) fn parse(texts: &[String]) -> anyhow::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for text in texts {
        let form = || format!("--addresses: `{text}` is no network, range or address");
        let more: Vec<IpAddr> = if let Some((first, last)) = text.split_once('-') {
            let first: Ipv4Addr = first.parse().with_context(form)?;
            let last: Ipv4Addr = last.parse().with_context(form)?;
            ensure!(first <= last, "--addresses: `{text}` ends before it begins");
            (first.to_bits()..=last.to_bits())
                .take(ADDRESSES_MAX)
                .map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)))
                .collect()
        } else if text.contains('/') {
            let network: IpNet = text.parse().with_context(form)?;
            // 127.0.0.1 is everybody's: the API may listen there.
            let hosts = network.hosts().filter(|host| *host != Ipv4Addr::LOCALHOST);
            hosts.take(ADDRESSES_MAX).collect()
        } else {
            vec![text.parse().with_context(form)?]
        };
        for address in more {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_ranges_and_addresses_are_read() {
        let rows = [
            ("10.0.1.0/30", "10.0.1.1 10.0.1.2"),
            ("127.0.0.0/30", "127.0.0.2"),
            ("10.0.1.9-10.0.1.11", "10.0.1.9 10.0.1.10 10.0.1.11"),
            ("10.0.1.9,10.0.1.9", "10.0.1.9"),
            ("10.0.1.9-10.0.1.8", "error"),
            ("10.0.1.0/33", "error"),
            ("pool", "error"),
        ];
        for (text, expected) in rows {
            let texts: Vec<String> = text.split(',').map(str::to_owned).collect();
            let got = match parse(&texts) {
                Ok(addresses) => {
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
        let all = parse(&["127.0.0.0/8".to_owned()]).expect("a network");
        assert_eq!(all.len(), ADDRESSES_MAX);
    }
}
