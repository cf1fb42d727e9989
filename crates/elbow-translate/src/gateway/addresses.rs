//! Addresses that a Gateway asks for.
//!
//! In: `spec.addresses`. Out: [`Addresses`], for the Gateway's status. AWS chooses the addresses of a
//! load balancer, so that what is asked for is never what it has; an address without a value leaves the
//! choice to AWS. The load balancer is built in any case, as with LBC, which ignores the field.

use gateway_api::apis::experimental::gateways as gw;

/// What a Gateway asks for in `spec.addresses`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Nothing, or any address.
    Any,
    /// Addresses that a load balancer cannot be given.
    NotUsable(Vec<String>),
    /// An address of this type, which no load balancer has.
    Unsupported(String),
}

/// Types of the Gateway API that a load balancer could have.
const TYPES: [&str; 2] = ["IPAddress", "Hostname"];

pub(crate) fn of(spec: &gw::GatewaySpec) -> Addresses {
    let asked = || spec.addresses.iter().flatten();
    let stranger = asked()
        .filter_map(|a| a.r#type.as_deref())
        .find(|t| !TYPES.contains(t));
    if let Some(stranger) = stranger {
        return Addresses::Unsupported(stranger.to_owned());
    }
    let values: Vec<_> = asked()
        .filter_map(|a| a.value.clone().filter(|v| !v.is_empty()))
        .collect();
    if values.is_empty() {
        Addresses::Any
    } else {
        Addresses::NotUsable(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type and value of an address.
    type Asked<'a> = (Option<&'a str>, Option<&'a str>);

    #[test]
    fn only_an_address_without_a_value_can_be_had() {
        let rows: [(&[Asked<'_>], Addresses); 5] = [
            (&[], Addresses::Any),
            (&[(Some("IPAddress"), None)], Addresses::Any),
            (&[(Some("Hostname"), Some(""))], Addresses::Any),
            (
                &[(None, Some("192.0.2.1"))],
                Addresses::NotUsable(vec!["192.0.2.1".to_owned()]),
            ),
            (
                &[
                    (None, Some("192.0.2.1")),
                    (Some("example.com/pool"), Some("a")),
                ],
                Addresses::Unsupported("example.com/pool".to_owned()),
            ),
        ];
        for (asked, expected) in rows {
            let spec = gw::GatewaySpec {
                addresses: Some(
                    asked
                        .iter()
                        .map(|(t, value)| gw::GatewayAddresses {
                            r#type: t.map(str::to_owned),
                            value: value.map(str::to_owned),
                        })
                        .collect(),
                ),
                ..gw::GatewaySpec::default()
            };
            assert_eq!(of(&spec), expected, "{asked:?}");
        }
    }
}
