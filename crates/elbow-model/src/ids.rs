//! Identifiers of AWS resources. Each is a type of its own, so that an ARN never lands where an id
//! belongs.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($( $(#[$doc:meta])* $name:ident; )*) => {
        $(
            $(#[$doc])*
            #[derive(
                Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            )]
            #[serde(transparent)]
            pub struct $name(String);

            impl $name {
                /// Takes the identifier as AWS spells it.
                pub fn new(id: impl Into<String>) -> Self {
                    Self(id.into())
                }

                /// The identifier as AWS spells it.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl From<$name> for String {
                fn from(id: $name) -> Self {
                    id.0
                }
            }
        )*
    };
}

ids! {
    /// ARN of a load balancer.
    LoadBalancerArn;
    /// ARN of a listener.
    ListenerArn;
    /// ARN of a listener rule.
    RuleArn;
    /// ARN of a target group.
    TargetGroupArn;
    /// ARN of an ACM or IAM certificate.
    CertificateArn;
    /// ARN of a trust store.
    TrustStoreArn;
    /// Id of a security group, `sg-…`.
    SecurityGroupId;
    /// Id of a managed prefix list, `pl-…`.
    PrefixListId;
    /// Id of an instance, `i-…`.
    InstanceId;
    /// Id of a subnet, `subnet-…`.
    SubnetId;
    /// Id of a VPC, `vpc-…`.
    VpcId;
    /// The stable id of a resource inside a Stack: the value of the tag `<prefix>/resource`.
    ResourceId;
}

/// A TCP or UDP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(std::num::NonZeroU16);

impl Port {
    /// The port of that number; `None` for what is no port.
    pub fn new(number: impl TryInto<u16>) -> Option<Self> {
        number
            .try_into()
            .ok()
            .and_then(std::num::NonZeroU16::new)
            .map(Self)
    }

    /// The port's number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An ARN for which the resource does not exist yet, or exists: see [`crate::Ref`].
pub trait Arn: Clone + Ord + fmt::Display + From<String> {}

macro_rules! arns {
    ($($name:ident),*) => {
        $(
            impl From<String> for $name {
                fn from(id: String) -> Self {
                    Self(id)
                }
            }
            impl Arn for $name {}
        )*
    };
}

arns!(
    LoadBalancerArn,
    ListenerArn,
    RuleArn,
    TargetGroupArn,
    CertificateArn,
    TrustStoreArn,
    SecurityGroupId
);
