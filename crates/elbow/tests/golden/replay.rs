//! A change, watched from the outside: what does each request get after each call?
//!
//! In: an account before a change, each call of it, the account after it. Out: whether every request
//! got, at every moment, the answer of the old or of the new configuration; and where the two agree,
//! that one alone. An answer is where a request ends up: the target group and the rewritten URL, the
//! redirect, the fixed response, or the error.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use elbow::offline::{Account, Done};
use elbow_emulator::dataplane::ServedProtocol;
use elbow_emulator::dataplane::nlb::{Flow, FlowDecision};
use elbow_emulator::dataplane::request::{Decision, RequestHead};
use elbow_emulator::{Emulator, Timestamp};
use elbow_model::{AwsCall, Stack};
use elbow_plan::{Hazard, Plan};
use elbow_reconcile::PlanReport;

use crate::requests::requests;

/// How often a request is asked for, so that every group with a weight takes its turn.
const PICKS: u64 = 24;

/// Where a request ends up.
type Answer = String;
/// By load balancer, port and request: all answers that it gets by chance.
type Answers = BTreeMap<(String, u16, usize), BTreeSet<Answer>>;

/// A change under watch.
pub(crate) struct Replay {
    requests: BTreeMap<u16, Vec<RequestHead>>,
    before: Answers,
    /// After each call that changes something: its operation, and what was answered.
    meanwhile: Vec<(String, Answers)>,
}

impl Replay {
    /// Notes what is answered before the change.
    pub(crate) fn start(account: &mut Account, before: &Done, after: &PlanReport) -> Self {
        let old = before
            .reports
            .values()
            .filter_map(|r| r.translation.stack.as_ref());
        let mut all: BTreeMap<u16, Vec<RequestHead>> = BTreeMap::new();
        let stacks: Vec<&Stack> = old.chain(after.stacks.values()).collect();
        for a in &stacks {
            for b in stacks.iter().filter(|b| b.id == a.id) {
                for (port, requests) in requests([a, b]) {
                    all.entry(port).or_default().extend(requests);
                }
            }
        }
        for requests in all.values_mut() {
            requests.sort_by_cached_key(|r| format!("{r:?}"));
            requests.dedup();
        }
        let now = Timestamp::from_millis(account.now().as_millis());
        let before = ask(&account.emulator, now, &all);
        Self {
            requests: all,
            before,
            meanwhile: Vec::new(),
        }
    }

    /// Notes what is answered after a call.
    pub(crate) fn watch(
        &mut self,
        emulator: &mut Emulator,
        now: elbow_reconcile::Timestamp,
        call: &AwsCall,
    ) {
        if call.is_mutating() {
            let now = Timestamp::from_millis(now.as_millis());
            let answers = ask(emulator, now, &self.requests);
            self.meanwhile.push((call.operation().to_owned(), answers));
        }
    }

    /// Judges it all, now that the change is done.
    pub(crate) fn judge(self, account: &mut Account, plan: &Plan) -> Result<(), String> {
        // What a hazard announces may happen; everything else may not.
        let announces_loss = plan.hazards().any(|(_, hazard)| {
            matches!(
                hazard,
                Hazard::DropsTraffic { .. } | Hazard::DeletesLoadBalancer { .. }
            )
        });
        if announces_loss {
            return Ok(());
        }
        if self.before.is_empty() || (self.meanwhile.is_empty() && !plan.is_empty()) {
            return Err("nothing was asked, so nothing is shown".to_owned());
        }
        let now = Timestamp::from_millis(account.now().as_millis());
        let after = ask(&account.emulator, now, &self.requests);
        for (number, (operation, answers)) in self.meanwhile.iter().enumerate() {
            for (key, got) in answers {
                let (Some(old), Some(new)) = (self.before.get(key), after.get(key)) else {
                    continue; // A listener that is new or gone has no answer on one of the sides.
                };
                let allowed: BTreeSet<&Answer> = old.union(new).collect();
                if let Some(wrong) = got.iter().find(|answer| !allowed.contains(answer)) {
                    let (load_balancer, port, request) = key;
                    return Err(format!(
                        "after call {} ({operation}), {load_balancer}:{port} answers\n  {:?}\nwith\n  \
                         {wrong}\nwhich is neither the old answer {old:?}\nnor the new one {new:?}",
                        number + 1,
                        self.requests.get(port).and_then(|r| r.get(*request)),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn ask(emulator: &Emulator, now: Timestamp, requests: &BTreeMap<u16, Vec<RequestHead>>) -> Answers {
    let mut answers = Answers::new();
    for listener in emulator.listeners(now) {
        let is_http = matches!(
            listener.protocol,
            ServedProtocol::Http | ServedProtocol::Https
        );
        let name = listener.load_balancer_name.clone();
        if is_http {
            for (number, request) in requests
                .get(&listener.port)
                .into_iter()
                .flatten()
                .enumerate()
            {
                let got = (0..PICKS)
                    .map(|pick| answer(&emulator.route(now, &listener.arn, request, pick)))
                    .collect();
                answers.insert((name.clone(), listener.port, number), got);
            }
        } else {
            let got = (0..PICKS)
                .map(|pick| flow_answer(&emulator.route_flow(now, &listener.arn, &flow(pick))))
                .collect();
            answers.insert((name, listener.port, 0), got);
        }
    }
    answers
}

fn answer(decision: &Decision) -> Answer {
    match decision {
        Decision::Forward(forward) => format!(
            "forward to {} as {:?} {:?}",
            forward.target_group_arn, forward.host, forward.path_and_query
        ),
        Decision::Redirect(redirect) => format!("{} to {}", redirect.status, redirect.location),
        Decision::Fixed(fixed) => format!("{} {:?}", fixed.status, fixed.body),
        Decision::Error(error) => format!("error {} {:?}", error.status, error.reason),
    }
}

fn flow_answer(decision: &FlowDecision) -> Answer {
    match decision {
        FlowDecision::Forward(forward) => format!("forward to {}", forward.target_group_arn),
        FlowDecision::Refuse(reason) => format!("refuse: {reason:?}"),
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
