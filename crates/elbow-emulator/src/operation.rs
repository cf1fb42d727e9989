//! Operations as values: which service, which shapes, which errors, and the two enums that carry
//! every request and every response.
//!
//! In: the generated operation lists. Out: [`Request`], [`Response`], [`Operation`], [`find`].
//! Always: each operation has exactly one variant in its service's `Request` and `Response`.

use serde_json::Value;

use crate::generated::{acm, ec2, elbv2, sts, tagging};
use crate::shape::Shape;

/// The services that the emulator answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Elastic Load Balancing, version 2 of its API: ALB and NLB.
    ElbV2,
    /// Elastic Compute Cloud, of which networks, instances, security groups and tags.
    Ec2,
    /// Certificate Manager.
    Acm,
    /// Security Token Service.
    Sts,
    /// Resource Groups Tagging API.
    Tagging,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 5] = [Self::ElbV2, Self::Ec2, Self::Acm, Self::Sts, Self::Tagging];

    /// The name in a request signature's credential scope.
    pub fn signing_name(self) -> &'static str {
        match self {
            Self::ElbV2 => "elasticloadbalancing",
            Self::Ec2 => "ec2",
            Self::Acm => "acm",
            Self::Sts => "sts",
            Self::Tagging => "tagging",
        }
    }

    /// The name that the AWS CLI and boto3 know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::ElbV2 => "elbv2",
            Self::Ec2 => "ec2",
            Self::Acm => "acm",
            Self::Sts => "sts",
            Self::Tagging => "resourcegroupstaggingapi",
        }
    }

    /// Its modelled operations, in alphabetical order.
    pub fn operations(self) -> &'static [Operation] {
        match self {
            Self::ElbV2 => elbv2::OPERATIONS,
            Self::Ec2 => ec2::OPERATIONS,
            Self::Acm => acm::OPERATIONS,
            Self::Sts => sts::OPERATIONS,
            Self::Tagging => tagging::OPERATIONS,
        }
    }
}

/// One modelled operation.
#[derive(Debug)]
pub struct Operation {
    /// The service it belongs to.
    pub service: Service,
    /// AWS's name for it.
    pub name: &'static str,
    /// Shape of its request.
    pub input: &'static Shape,
    /// Shape of its response.
    pub output: &'static Shape,
    /// Error codes that AWS's model lists for it (EC2's model lists none).
    pub errors: &'static [&'static str],
}

/// The modelled operation of that name.
pub fn find(service: Service, name: &str) -> Option<&'static Operation> {
    service
        .operations()
        .iter()
        .find(|operation| operation.name == name)
}

/// One request, already typed.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// To ELBv2.
    ElbV2(elbv2::Request),
    /// To EC2.
    Ec2(ec2::Request),
    /// To ACM.
    Acm(acm::Request),
    /// To STS.
    Sts(sts::Request),
    /// To the tagging API.
    Tagging(tagging::Request),
}

/// One successful response, the twin of [`Request`].
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "few are alive at a time, and a box would be in the way of every caller"
)]
pub enum Response {
    /// From ELBv2.
    ElbV2(elbv2::Response),
    /// From EC2.
    Ec2(ec2::Response),
    /// From ACM.
    Acm(acm::Response),
    /// From STS.
    Sts(sts::Response),
    /// From the tagging API.
    Tagging(tagging::Response),
}

impl Request {
    /// The operation asked for.
    pub fn operation(&self) -> &'static Operation {
        match self {
            Self::ElbV2(request) => request.operation(),
            Self::Ec2(request) => request.operation(),
            Self::Acm(request) => request.operation(),
            Self::Sts(request) => request.operation(),
            Self::Tagging(request) => request.operation(),
        }
    }

    /// The request as a value keyed by member names; members that are absent are null.
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::ElbV2(request) => request.to_value(),
            Self::Ec2(request) => request.to_value(),
            Self::Acm(request) => request.to_value(),
            Self::Sts(request) => request.to_value(),
            Self::Tagging(request) => request.to_value(),
        };
        // Generated types hold strings, numbers, booleans, lists and string maps only: these
        // always serialise.
        value.unwrap_or(Value::Null)
    }

    /// Types a value that has passed [`crate::validate::check`].
    pub fn from_value(operation: &Operation, value: Value) -> Result<Self, serde_json::Error> {
        let name = operation.name;
        match operation.service {
            Service::ElbV2 => elbv2::Request::from_value(name, value).map(Self::ElbV2),
            Service::Ec2 => ec2::Request::from_value(name, value).map(Self::Ec2),
            Service::Acm => acm::Request::from_value(name, value).map(Self::Acm),
            Service::Sts => sts::Request::from_value(name, value).map(Self::Sts),
            Service::Tagging => tagging::Request::from_value(name, value).map(Self::Tagging),
        }
    }
}

impl Response {
    /// The response as a value keyed by member names; members that are absent are null.
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::ElbV2(response) => response.to_value(),
            Self::Ec2(response) => response.to_value(),
            Self::Acm(response) => response.to_value(),
            Self::Sts(response) => response.to_value(),
            Self::Tagging(response) => response.to_value(),
        };
        value.unwrap_or(Value::Null)
    }
}

macro_rules! from_service {
    ($($module:ident $variant:ident)*) => {$(
        impl From<$module::Request> for Request {
            fn from(request: $module::Request) -> Self {
                Self::$variant(request)
            }
        }
        impl From<$module::Response> for Response {
            fn from(response: $module::Response) -> Self {
                Self::$variant(response)
            }
        }
    )*};
}
from_service!(elbv2 ElbV2 ec2 Ec2 acm Acm sts Sts tagging Tagging);

/// Declares `Request`, `Response` and `OPERATIONS` of one service; the generated files call it.
macro_rules! operations {
    ($service:ident $($operation:ident $input:ident $output:ident $in_shape:ident $out_shape:ident
      [$($error:literal),*])*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($operation($input),)*
        }

        #[derive(Clone, Debug, PartialEq)]
        pub enum Response {
            $($operation($output),)*
        }

        pub static OPERATIONS: &[Operation] = &[
            $(Operation {
                service: crate::operation::Service::$service,
                name: stringify!($operation),
                input: &shapes::$in_shape,
                output: &shapes::$out_shape,
                errors: &[$($error),*],
            },)*
        ];

        impl Request {
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$operation(_) => stringify!($operation),)*
                }
            }

            pub fn operation(&self) -> &'static Operation {
                let name = self.name();
                let found = OPERATIONS.iter().find(|operation| operation.name == name);
                found.expect("each variant comes from the same list as OPERATIONS")
            }

            pub(crate) fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self {
                    $(Self::$operation(input) => serde_json::to_value(input),)*
                }
            }

            pub(crate) fn from_value(
                name: &str,
                value: serde_json::Value,
            ) -> Result<Self, serde_json::Error> {
                match name {
                    $(stringify!($operation) => {
                        serde_json::from_value(value).map(Self::$operation)
                    })*
                    other => Err(serde::de::Error::custom(format!("no operation {other}"))),
                }
            }
        }

        impl Response {
            pub(crate) fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self {
                    $(Self::$operation(output) => serde_json::to_value(output),)*
                }
            }
        }

        $(
            impl From<$input> for Request {
                fn from(input: $input) -> Self {
                    Self::$operation(input)
                }
            }
            impl From<$input> for crate::operation::Request {
                fn from(input: $input) -> Self {
                    Self::$service(Request::$operation(input))
                }
            }
            impl TryFrom<crate::operation::Response> for $output {
                type Error = crate::operation::Response;

                fn try_from(response: crate::operation::Response) -> Result<Self, Self::Error> {
                    match response {
                        crate::operation::Response::$service(Response::$operation(output)) => {
                            Ok(output)
                        }
                        other => Err(other),
                    }
                }
            }
        )*
    };
}
pub(crate) use operations;
