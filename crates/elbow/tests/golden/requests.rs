//! Requests that tell configurations apart.
//!
//! In: Stacks. Out: for each HTTP listener port, requests that meet each condition of each rule and
//! requests that miss it. What always holds: the same Stacks give the same requests, and there are few
//! enough to ask all of them after every call.

use std::collections::{BTreeMap, BTreeSet};

use elbow_emulator::dataplane::request::{RequestHead, Scheme};
use elbow_model::rule::{Condition, Pattern, QueryPair};
use elbow_model::stack::{Protocol, Stack};

/// A host and a path that no case uses.
const OTHER_HOST: &str = "nobody.invalid";
const OTHER_PATH: &str = "/elsewhere";

/// Values that rules look at.
#[derive(Default)]
struct Values {
    hosts: BTreeSet<String>,
    paths: BTreeSet<String>,
    methods: BTreeSet<String>,
    headers: BTreeSet<(String, String)>,
    queries: BTreeSet<String>,
}

/// Requests by port. A port that either Stack has is in the result.
pub(crate) fn requests(stacks: [&Stack; 2]) -> BTreeMap<u16, Vec<RequestHead>> {
    let mut values: BTreeMap<u16, (Scheme, Values)> = BTreeMap::new();
    for stack in stacks {
        for (port, listener) in &stack.listeners {
            let scheme = match listener.protocol {
                Protocol::Http => Scheme::Http,
                Protocol::Https => Scheme::Https,
                _ => continue,
            };
            let (_, values) = values
                .entry(port.get())
                .or_insert((scheme, Values::default()));
            for condition in listener.rules.iter().flat_map(|rule| &rule.conditions) {
                values.add(condition);
            }
        }
    }
    values
        .into_iter()
        .map(|(port, (scheme, values))| (port, values.requests(scheme)))
        .collect()
}

impl Values {
    fn add(&mut self, condition: &Condition) {
        match condition {
            Condition::HostHeader { matches } => self.hosts.extend(samples(matches)),
            Condition::PathPattern { matches } => self.paths.extend(samples(matches)),
            Condition::HttpHeader { name, matches } => {
                self.headers
                    .extend(samples(matches).into_iter().map(|v| (name.clone(), v)));
            }
            Condition::HttpRequestMethod { values } => self.methods.extend(values.iter().cloned()),
            Condition::QueryString { values } => {
                self.queries
                    .extend(values.iter().map(|QueryPair { key, value }| {
                        format!("{}={value}", key.as_deref().unwrap_or("any"))
                    }));
            }
            Condition::SourceIp { .. } => {}
        }
    }

    fn requests(mut self, scheme: Scheme) -> Vec<RequestHead> {
        self.hosts.insert(OTHER_HOST.to_owned());
        self.paths.extend([OTHER_PATH.to_owned(), "/".to_owned()]);
        self.methods.insert("GET".to_owned());
        // None, each alone, and all together.
        let each: Vec<Vec<(String, String)>> = self
            .headers
            .iter()
            .map(|header| vec![header.clone()])
            .collect();
        let mut header_sets = vec![Vec::new()];
        header_sets.extend(each);
        header_sets.push(self.headers.iter().cloned().collect());
        let mut queries: Vec<Option<String>> = vec![None];
        queries.extend(self.queries.iter().cloned().map(Some));
        queries.push(Some(
            self.queries.iter().cloned().collect::<Vec<_>>().join("&"),
        ));
        header_sets.dedup();
        queries.dedup();

        let mut requests = Vec::new();
        for host in &self.hosts {
            for path in &self.paths {
                for method in &self.methods {
                    for headers in &header_sets {
                        for query in &queries {
                            let mut request = RequestHead::get(host, path);
                            request.scheme = scheme;
                            request.method.clone_from(method);
                            request.headers.clone_from(headers);
                            request.query = query.clone().filter(|q| !q.is_empty());
                            requests.push(request);
                        }
                    }
                }
            }
        }
        requests
    }
}

/// Texts that a pattern matches. Of a regular expression only its plain letters are kept, which is
/// enough for the simple ones that cases use.
fn samples(pattern: &Pattern) -> Vec<String> {
    match pattern {
        Pattern::Values(values) => values
            .iter()
            .flat_map(|v| [v.replace('*', "x").replace('?', "y"), v.replace('*', "x/y")])
            .filter(|v| v.starts_with('/') || !v.contains('/'))
            .collect(),
        Pattern::RegexValues(values) => values
            .iter()
            .map(|v| {
                v.replace("[0-9]+", "1")
                    .replace("[12]", "1")
                    .replace(['^', '$'], "")
                    .replace(".*", "x")
            })
            .collect(),
    }
}
