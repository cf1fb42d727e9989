//! Health checks of target groups: defaults, validation, matchers.
//!
//! Comes in: the health check parameters of CreateTargetGroup or ModifyTargetGroup. Goes out:
//! AWS's refusal, or a [`HealthCheck`] with nothing left open.

use super::error;
use super::protocols::joined;
use super::state::{HealthCheck, HealthCheckPort, Matcher, Protocol, ProtocolVersion, TargetType};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// Longest interval of the framework's check, only used where a number does not fit otherwise.
const SECONDS_MAX: u16 = 300;

/// The parameters of a request; absent ones keep what there is, or take the default.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) enabled: Option<bool>,
    pub(super) protocol: Option<&'a str>,
    pub(super) port: Option<&'a str>,
    pub(super) path: Option<&'a str>,
    pub(super) interval_seconds: Option<i32>,
    pub(super) timeout_seconds: Option<i32>,
    pub(super) healthy_threshold: Option<i32>,
    pub(super) unhealthy_threshold: Option<i32>,
    pub(super) matcher: Option<&'a wire::Matcher>,
}

/// What the check is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    pub(super) protocol: Protocol,
    pub(super) version: Option<ProtocolVersion>,
    pub(super) target_type: TargetType,
}

impl Purpose {
    fn is_application(self) -> bool {
        matches!(self.protocol, Protocol::Http | Protocol::Https)
    }

    fn is_grpc(self) -> bool {
        self.version == Some(ProtocolVersion::Grpc)
    }
}

/// The health check after the request.
pub(super) fn check(
    purpose: Purpose,
    asked: &Asked<'_>,
    old: Option<&HealthCheck>,
) -> Result<HealthCheck, ApiError> {
    if asked.enabled == Some(false) {
        return Err(error::validation(format!(
            "Health check enabled must be true for target groups with target type '{}'",
            purpose.target_type.as_str()
        )));
    }
    let protocol = protocol(purpose, asked, old)?;
    let is_http = protocol != Protocol::Tcp;
    // What an earlier check had of HTTP does not outlive a change to TCP.
    let old_http = old.filter(|old| old.protocol != Protocol::Tcp && is_http);
    let path = match asked.path {
        Some(_) if !is_http => {
            // Undocumented text.
            return Err(error::validation(
                "A health check path cannot be specified for health checks with the TCP protocol",
            ));
        }
        Some(path) if !path.starts_with('/') => {
            // Undocumented text.
            return Err(error::validation(format!(
                "Health check path '{path}' must begin with a '/' character"
            )));
        }
        Some(path) => Some(path.to_owned()),
        None if is_http => {
            let default = if purpose.is_grpc() {
                "/AWS.ALB/healthcheck"
            } else {
                "/"
            };
            old_http
                .and_then(|old| old.path.clone())
                .or_else(|| Some(default.to_owned()))
        }
        None => None,
    };
    let (interval_seconds, timeout_seconds) = times(purpose, protocol, asked, old)?;
    let threshold = |asked: Option<i32>, old: Option<u8>, default: u8| {
        asked
            .and_then(|n| u8::try_from(n).ok())
            .or(old)
            .unwrap_or(default)
    };
    Ok(HealthCheck {
        protocol,
        port: port(asked.port)?
            .or(old.map(|old| old.port))
            .unwrap_or(HealthCheckPort::TrafficPort),
        path,
        interval_seconds,
        timeout_seconds,
        healthy_threshold: threshold(asked.healthy_threshold, old.map(|o| o.healthy_threshold), 5),
        unhealthy_threshold: threshold(
            asked.unhealthy_threshold,
            old.map(|o| o.unhealthy_threshold),
            2,
        ),
        matcher: matcher(purpose, is_http, asked.matcher, old_http)?,
    })
}

fn protocol(
    purpose: Purpose,
    asked: &Asked<'_>,
    old: Option<&HealthCheck>,
) -> Result<Protocol, ApiError> {
    let http_only = purpose.is_application() || purpose.target_type == TargetType::Alb;
    let allowed: &[Protocol] = if http_only {
        &[Protocol::Http, Protocol::Https]
    } else {
        &[Protocol::Http, Protocol::Https, Protocol::Tcp]
    };
    let default = if http_only {
        Protocol::Http
    } else {
        Protocol::Tcp
    };
    let Some(text) = asked.protocol else {
        return Ok(old.map_or(default, |old| old.protocol));
    };
    match Protocol::parse(text) {
        Some(protocol) if allowed.contains(&protocol) => Ok(protocol),
        _ => Err(error::validation(format!(
            "Health check protocol '{text}' must be one of '{}'",
            joined(allowed)
        ))),
    }
}

fn port(text: Option<&str>) -> Result<Option<HealthCheckPort>, ApiError> {
    match text {
        None => Ok(None),
        Some("traffic-port") => Ok(Some(HealthCheckPort::TrafficPort)),
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Some(HealthCheckPort::Fixed(port))),
            _ => Err(error::validation(format!(
                "Health check port '{text}' must be within '1-65535' or 'traffic-port'"
            ))),
        },
    }
}

/// Interval and timeout. AWS's pages disagree about the default timeout: the guides of the two
/// kinds of load balancers are followed (5 seconds for ALB; 6 for HTTP and 10 else for NLB).
fn times(
    purpose: Purpose,
    protocol: Protocol,
    asked: &Asked<'_>,
    old: Option<&HealthCheck>,
) -> Result<(u16, u16), ApiError> {
    let seconds = |n: i32| u16::try_from(n).unwrap_or(SECONDS_MAX);
    let interval = asked.interval_seconds.map(seconds);
    let interval = interval
        .or(old.map(|old| old.interval_seconds))
        .unwrap_or(30);
    let default = match (purpose.is_application(), protocol) {
        (true, _) => 5,
        (false, Protocol::Http) => 6,
        (false, _) => 10,
    };
    let given = asked.timeout_seconds.map(seconds);
    let timeout = given
        .or(old.map(|old| old.timeout_seconds))
        .unwrap_or(default);
    // HTTP and HTTPS target groups need a shorter timeout, the others take an equal one.
    let fits = if purpose.is_application() {
        timeout < interval
    } else {
        timeout <= interval
    };
    match given {
        _ if fits => Ok((interval, timeout)),
        Some(_) => Err(error::validation(format!(
            "Health check timeout '{timeout}' must be smaller than the interval '{interval}'"
        ))),
        None => Err(error::validation(
            "Health check interval must be greater than the timeout.",
        )),
    }
}

fn matcher(
    purpose: Purpose,
    is_http: bool,
    asked: Option<&wire::Matcher>,
    old: Option<&HealthCheck>,
) -> Result<Option<Matcher>, ApiError> {
    let Some(asked) = asked else {
        let default = || match (is_http, purpose.is_grpc(), purpose.is_application()) {
            (false, _, _) => None,
            (_, true, _) => Some(Matcher::Grpc("12".into())),
            (_, _, true) => Some(Matcher::Http("200".into())),
            (_, _, false) => Some(Matcher::Http("200-399".into())),
        };
        return Ok(old.and_then(|old| old.matcher.clone()).or_else(default));
    };
    if !is_http {
        return Err(error::configuration(format!(
            "Custom health check matchers are not supported for health checks for target groups \
             with the {} protocol",
            purpose.protocol.as_str()
        )));
    }
    let (codes, name, max) = if purpose.is_grpc() {
        (&asked.grpc_code, "GRPC", (0, 99))
    } else {
        let max = if purpose.is_application() { 499 } else { 599 };
        (&asked.http_code, "HTTP", (200, max))
    };
    let Some(codes) = codes.as_deref().filter(|codes| !codes.is_empty()) else {
        return Err(error::validation(format!(
            "Health check matcher {name} code cannot be empty"
        )));
    };
    for code in codes.split([',', '-']) {
        let number = code.trim().parse::<u32>().ok();
        if !number.is_some_and(|n| (max.0..=max.1).contains(&n)) {
            return Err(error::validation(format!(
                "Health check matcher {name} code '{code}' must be within '{}-{}' inclusive",
                max.0, max.1
            )));
        }
    }
    if ranges(codes).is_none() {
        // Undocumented text.
        return Err(error::validation(format!(
            "Health check matcher {name} code '{codes}' is not valid"
        )));
    }
    let kind = if purpose.is_grpc() {
        Matcher::Grpc
    } else {
        Matcher::Http
    };
    Ok(Some(kind(codes.to_owned())))
}

/// The ranges of a list such as `200,204-299`; `None` if it is none.
fn ranges(codes: &str) -> Option<Vec<(u32, u32)>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (range.0 <= range.1).then_some(range)
    };
    codes.split(',').map(range).collect()
}

impl Matcher {
    /// Whether a code is one of the matcher's.
    pub(super) fn matches(&self, code: u32) -> bool {
        let (Self::Http(codes) | Self::Grpc(codes)) = self;
        let ranges = ranges(codes).unwrap_or_default();
        ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(protocol: Protocol) -> Purpose {
        Purpose {
            protocol,
            version: None,
            target_type: TargetType::Ip,
        }
    }

    fn codes(codes: &str) -> wire::Matcher {
        wire::Matcher {
            http_code: Some(codes.into()),
            grpc_code: None,
        }
    }

    #[test]
    fn defaults() {
        let http = check(purpose(Protocol::Http), &Asked::default(), None).unwrap();
        assert_eq!((http.interval_seconds, http.timeout_seconds), (30, 5));
        assert_eq!(http.matcher, Some(Matcher::Http("200".into())));
        assert_eq!(http.path.as_deref(), Some("/"));
        let tcp = check(purpose(Protocol::Tcp), &Asked::default(), None).unwrap();
        assert_eq!((tcp.protocol, tcp.timeout_seconds), (Protocol::Tcp, 10));
        assert_eq!((tcp.path, tcp.matcher), (None, None));
        let asked = Asked {
            protocol: Some("HTTP"),
            ..Asked::default()
        };
        let over_http = check(purpose(Protocol::Tcp), &asked, None).unwrap();
        assert_eq!(over_http.timeout_seconds, 6);
        assert_eq!(over_http.matcher, Some(Matcher::Http("200-399".into())));
        let grpc = Purpose {
            version: Some(ProtocolVersion::Grpc),
            ..purpose(Protocol::Http)
        };
        let grpc = check(grpc, &Asked::default(), None).unwrap();
        assert_eq!(grpc.path.as_deref(), Some("/AWS.ALB/healthcheck"));
        assert_eq!(grpc.matcher, Some(Matcher::Grpc("12".into())));
    }

    #[test]
    fn refuses() {
        let http = Protocol::Http;
        let matcher = codes("200-599");
        let empty = wire::Matcher {
            grpc_code: Some("0".into()),
            http_code: None,
        };
        let backwards = codes("299-200");
        let rows = [
            (
                http,
                Asked {
                    enabled: Some(false),
                    ..Asked::default()
                },
                "Health check enabled must be true",
            ),
            (
                http,
                Asked {
                    protocol: Some("TCP"),
                    ..Asked::default()
                },
                "'TCP' must be one of 'HTTP, HTTPS'",
            ),
            (
                Protocol::Udp,
                Asked {
                    protocol: Some("UDP"),
                    ..Asked::default()
                },
                "'UDP' must be one of 'HTTP, HTTPS, TCP'",
            ),
            (
                http,
                Asked {
                    port: Some("65536"),
                    ..Asked::default()
                },
                "Health check port '65536' must be within '1-65535' or 'traffic-port'",
            ),
            (
                http,
                Asked {
                    port: Some("traffic_port"),
                    ..Asked::default()
                },
                "must be within",
            ),
            (
                http,
                Asked {
                    interval_seconds: Some(5),
                    timeout_seconds: Some(5),
                    ..Asked::default()
                },
                "Health check timeout '5' must be smaller than the interval '5'",
            ),
            (
                http,
                Asked {
                    interval_seconds: Some(5),
                    ..Asked::default()
                },
                "Health check interval must be greater than the timeout.",
            ),
            (
                http,
                Asked {
                    matcher: Some(&matcher),
                    ..Asked::default()
                },
                "HTTP code '599' must be within '200-499' inclusive",
            ),
            (
                http,
                Asked {
                    matcher: Some(&empty),
                    ..Asked::default()
                },
                "matcher HTTP code cannot be empty",
            ),
            (
                http,
                Asked {
                    matcher: Some(&backwards),
                    ..Asked::default()
                },
                "is not valid",
            ),
            (
                Protocol::Tcp,
                Asked {
                    matcher: Some(&matcher),
                    ..Asked::default()
                },
                "Custom health check matchers",
            ),
            (
                Protocol::Tcp,
                Asked {
                    path: Some("/"),
                    ..Asked::default()
                },
                "health check path cannot be specified",
            ),
            (
                http,
                Asked {
                    path: Some("health"),
                    ..Asked::default()
                },
                "must begin with a '/'",
            ),
        ];
        for (protocol, asked, expected) in rows {
            let refusal = check(purpose(protocol), &asked, None).unwrap_err();
            assert!(
                refusal.message.contains(expected),
                "expected {expected:?}, got {refusal}"
            );
        }
        let equal = Asked {
            interval_seconds: Some(10),
            timeout_seconds: Some(10),
            ..Asked::default()
        };
        assert!(check(purpose(Protocol::Tcp), &equal, None).is_ok());
    }

    #[test]
    fn matchers() {
        let matcher = Matcher::Http("200,204-299, 302".into());
        for (code, fits) in [
            (200, true),
            (201, false),
            (204, true),
            (299, true),
            (302, true),
            (500, false),
        ] {
            assert_eq!(matcher.matches(code), fits, "{code}");
        }
    }

    #[test]
    fn a_change_of_protocol_drops_what_no_longer_applies() {
        let asked = Asked {
            protocol: Some("HTTP"),
            path: Some("/health"),
            ..Asked::default()
        };
        let http = check(purpose(Protocol::Tcp), &asked, None).unwrap();
        let asked = Asked {
            protocol: Some("TCP"),
            ..Asked::default()
        };
        let tcp = check(purpose(Protocol::Tcp), &asked, Some(&http)).unwrap();
        assert_eq!((tcp.path, tcp.matcher), (None, None));
        let kept = check(purpose(Protocol::Tcp), &Asked::default(), Some(&http)).unwrap();
        assert_eq!(kept, http);
    }
}
