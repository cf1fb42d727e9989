//! Traffic: what clients get, now and under a configuration that nothing disturbs.
//!
//! In: emulators, and requests that tell the rules of Stacks apart. Out: where each request ends up:
//! the address of a target and the URL that it sees, a redirect, a fixed response, or an error. What
//! always holds: an answer names nothing that differs between two accounts with the same objects.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use elbow_emulator::dataplane::ServedProtocol;
use elbow_emulator::dataplane::nlb::{Flow, FlowDecision};
use elbow_emulator::dataplane::request::{Decision, RequestHead, Scheme};
use elbow_emulator::{Emulator, Timestamp};
use elbow_model::rule::{Condition, Pattern};
use elbow_model::stack::{Protocol, Stack};

/// Hosts and paths that no route names.
const OTHER_HOST: &str = "nobody.invalid";
const OTHER_PATH: &str = "/elsewhere";
/// Choices by chance that are tried to know all answers: weights sum to 6 at most, and a group has at
/// most 6 targets.
pub(crate) const PICKS_ALL: u64 = 36;

/// Where a request ends up.
pub(crate) type Answer = String;

/// One thing that a client may ask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    Request(Box<RequestHead>),
    Connection,
}

/// What an answer is asked of: a listener of a Gateway's load balancer. The load balancer's type is in
/// the protocol; its scheme is not, for clients of one scheme are not served by the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Door {
    /// The Stack, by its tags.
    pub(crate) stack: String,
    pub(crate) is_public: bool,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
}

/// The doors of an account with the ARNs of their listeners. Several load balancers may have the same
/// door for a while.
pub(crate) fn doors(
    emulator: &Emulator,
    now: u64,
    balancers: &BTreeMap<String, (String, bool)>,
) -> Vec<(Door, String)> {
    let listeners = emulator.listeners(Timestamp::from_millis(now));
    let known = listeners.into_iter().filter_map(|listener| {
        let (stack, is_public) = balancers.get(&listener.load_balancer_arn)?.clone();
        let door = Door {
            stack,
            is_public,
            protocol: listener.protocol.as_str(),
            port: listener.port,
        };
        Some((door, listener.arn))
    });
    known.collect()
}

/// Whether a door is one for requests, or one for connections.
pub(crate) fn takes_requests(door: &Door) -> bool {
    [ServedProtocol::Http, ServedProtocol::Https]
        .iter()
        .any(|protocol| protocol.as_str() == door.protocol)
}

/// Asks once.
pub(crate) fn ask(emulator: &Emulator, now: u64, listener: &str, what: &Ask, pick: u64) -> Answer {
    let now = Timestamp::from_millis(now);
    match what {
        Ask::Request(request) => answer(&emulator.route(now, listener, request, pick)),
        Ask::Connection => flow_answer(&emulator.route_flow(now, listener, &flow(pick))),
    }
}

/// Choices by chance that have to be tried to see all answers. Flows are hashed, which spreads less
/// evenly than a count does.
pub(crate) fn picks(what: &Ask) -> u64 {
    match what {
        Ask::Request(_) => PICKS_ALL,
        Ask::Connection => 4 * PICKS_ALL,
    }
}

/// Whether nobody answers: the load balancer's own error, or the response that stands for a backend that
/// cannot be resolved or a route that is not there.
pub(crate) fn is_error(answer: &Answer) -> bool {
    ["error 4", "error 5", "fixed 404", "fixed 5", "refuse "]
        .iter()
        .any(|start| answer.starts_with(start))
}

/// The address or instance in an answer, and the answer without it: what a rule decides.
pub(crate) fn target_of(answer: &str) -> Option<(&str, String)> {
    let (target, rest) = answer.strip_prefix("target ")?.split_once(':')?;
    let (service, _) = target.rsplit_once('.').unwrap_or(("a node", ""));
    Some((target, format!("target of {service}:{rest}")))
}

fn answer(decision: &Decision) -> Answer {
    match decision {
        Decision::Forward(forward) => format!(
            "target {}:{} over {:?} as {:?} {:?}",
            forward.target.id,
            forward.target.port,
            forward.version,
            forward.host,
            forward.path_and_query
        ),
        Decision::Redirect(redirect) => format!("{} to {}", redirect.status, redirect.location),
        Decision::Fixed(fixed) => format!("fixed {} {:?}", fixed.status, fixed.body),
        Decision::Error(error) => format!("error {} {:?}", error.status, error.reason),
    }
}

fn flow_answer(decision: &FlowDecision) -> Answer {
    match decision {
        FlowDecision::Forward(forward) => {
            format!("target {}:{}", forward.target.id, forward.target.port)
        }
        FlowDecision::Refuse(reason) => format!("refuse {reason:?}"),
    }
}

/// A connection of its own for each pick; addresses are those of RFC 5737, which are nobody's.
fn flow(pick: u64) -> Flow {
    let port = 40_000 + u16::try_from(pick).unwrap_or_default();
    Flow {
        client: SocketAddr::from(([192, 0, 2, 1], port)),
        local: SocketAddr::from(([192, 0, 2, 2], 9000)),
        sequence: pick,
    }
}

// --- requests ---

/// Values that rules look at.
#[derive(Default)]
struct Values {
    hosts: BTreeSet<String>,
    paths: BTreeSet<String>,
    methods: BTreeSet<String>,
    headers: BTreeSet<(String, String)>,
    queries: BTreeSet<String>,
}

/// Requests that meet, and that miss, the conditions of the rules of these Stacks.
pub(crate) fn requests<'a>(stacks: impl IntoIterator<Item = &'a Stack>) -> Vec<Ask> {
    let mut values = Values::default();
    for stack in stacks {
        for listener in stack.listeners.values() {
            if matches!(listener.protocol, Protocol::Http | Protocol::Https) {
                for condition in listener.rules.iter().flat_map(|rule| &rule.conditions) {
                    values.add(condition);
                }
            }
        }
    }
    values.requests()
}

impl Values {
    fn add(&mut self, condition: &Condition) {
        match condition {
            Condition::HostHeader { matches } => self.hosts.extend(samples(matches)),
            Condition::PathPattern { matches } => self.paths.extend(samples(matches)),
            Condition::HttpHeader { name, matches } => self.headers.extend(
                samples(matches)
                    .into_iter()
                    .map(|value| (name.clone(), value)),
            ),
            Condition::HttpRequestMethod { values } => self.methods.extend(values.iter().cloned()),
            Condition::QueryString { values } => self.queries.extend(
                values
                    .iter()
                    .map(|pair| format!("{}={}", pair.key.as_deref().unwrap_or("any"), pair.value)),
            ),
            Condition::SourceIp { .. } => {}
        }
    }

    fn requests(mut self) -> Vec<Ask> {
        self.hosts.insert(OTHER_HOST.to_owned());
        self.paths.extend([OTHER_PATH.to_owned(), "/".to_owned()]);
        self.methods.insert("GET".to_owned());
        let mut header_sets = vec![Vec::new()];
        header_sets.extend(self.headers.iter().map(|header| vec![header.clone()]));
        let mut queries = vec![None];
        queries.extend(self.queries.iter().cloned().map(Some));
        let mut requests = Vec::new();
        for host in &self.hosts {
            for path in &self.paths {
                for method in &self.methods {
                    for headers in &header_sets {
                        for query in &queries {
                            let mut request = RequestHead::get(host, path);
                            request.scheme = Scheme::Http;
                            request.method.clone_from(method);
                            request.headers.clone_from(headers);
                            request.query.clone_from(query);
                            requests.push(Ask::Request(Box::new(request)));
                        }
                    }
                }
            }
        }
        requests
    }
}

/// Texts that a pattern matches, and some that its neighbors match.
fn samples(pattern: &Pattern) -> Vec<String> {
    let (Pattern::Values(values) | Pattern::RegexValues(values)) = pattern;
    values
        .iter()
        .flat_map(|value| [value.replace('*', "x"), value.replace('*', "x/y")])
        .filter(|value| value.starts_with('/') || !value.contains('/'))
        .collect()
}
