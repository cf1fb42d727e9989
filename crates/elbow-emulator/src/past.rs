//! What reads see while they lag behind writes.
//!
//! In: the state before each write. Out: the state that a read may show. Always: a read shows a state
//! that was true at one moment, no older than the lag.

use std::collections::VecDeque;

use crate::{Emulator, Timestamp, acm, ec2, elbv2};

/// The state of all services that have one.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    elbv2: elbv2::State,
    ec2: ec2::State,
    acm: acm::State,
}

/// States that writes have changed, oldest first, each with the time of that write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past(VecDeque<(Timestamp, Held)>);

impl Past {
    /// Notes the state before a write.
    pub(crate) fn remember(&mut self, at: Timestamp, before: Held) {
        self.0.push_back((at, before));
    }

    /// What is shown at `now`: the state before the first write that is younger than the lag; none
    /// when there is no such write, and the present is shown.
    pub(crate) fn shown(&mut self, now: Timestamp, lag_ms: u64) -> Option<Held> {
        while self
            .0
            .front()
            .is_some_and(|(at, _)| now.millis_since(*at) >= lag_ms)
        {
            self.0.pop_front();
        }
        self.0.front().map(|(_, held)| held.clone())
    }
}

impl Emulator {
    pub(crate) fn held(&self) -> Held {
        Held {
            elbv2: self.elbv2.clone(),
            ec2: self.ec2.clone(),
            acm: self.acm.clone(),
        }
    }

    /// Puts another state in place and returns the one that was.
    pub(crate) fn replace_held(&mut self, held: Held) -> Held {
        Held {
            elbv2: std::mem::replace(&mut self.elbv2, held.elbv2),
            ec2: std::mem::replace(&mut self.ec2, held.ec2),
            acm: std::mem::replace(&mut self.acm, held.acm),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::operation::find;
    use crate::world::VpcSpec;
    use crate::{Config, Service};

    fn ask(emulator: &mut Emulator, at: u64, name: &str, request: Value) -> Result<Value, String> {
        let operation = find(Service::Ec2, name).unwrap();
        let answer = emulator.handle_value(Timestamp::from_millis(at), operation, request);
        answer
            .map(|answer| answer.to_value())
            .map_err(|error| error.code)
    }

    #[test]
    fn a_new_group_is_not_found_until_the_lag_is_over() {
        let mut emulator = Emulator::new(Config {
            read_lag_ms: 2_000,
            ..Config::default()
        });
        let vpc = emulator
            .add_vpc(VpcSpec::new("10.0.0.0/16".parse().unwrap()))
            .unwrap();
        let request = |name: &str| json!({"GroupName": name, "Description": "d", "VpcId": vpc});
        let created = ask(&mut emulator, 1_000, "CreateSecurityGroup", request("a")).unwrap();
        let group = json!({"GroupIds": [created["GroupId"]]});
        let describe = |emulator: &mut Emulator, at| {
            ask(emulator, at, "DescribeSecurityGroups", group.clone()).map(|_| ())
        };
        let unknown = Err("InvalidGroup.NotFound".to_owned());
        assert_eq!(describe(&mut emulator, 1_000), unknown);
        assert_eq!(describe(&mut emulator, 2_999), unknown);
        // A write sees it, and does not hide it again.
        let again = ask(&mut emulator, 2_500, "CreateSecurityGroup", request("a"));
        assert_eq!(again.unwrap_err(), "InvalidGroup.Duplicate");
        ask(&mut emulator, 2_500, "CreateSecurityGroup", request("b")).unwrap();
        assert_eq!(describe(&mut emulator, 3_000), Ok(()));
        let all = ask(&mut emulator, 4_499, "DescribeSecurityGroups", json!({})).unwrap();
        assert_eq!(
            all["SecurityGroups"].as_array().map(Vec::len),
            Some(2),
            "b lags"
        );
        let all = ask(&mut emulator, 4_500, "DescribeSecurityGroups", json!({})).unwrap();
        assert_eq!(all["SecurityGroups"].as_array().map(Vec::len), Some(3));
    }
}
