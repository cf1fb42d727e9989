//! DescribeCapacityReservation: no load balancer has a reservation, since the default quota of
//! reserved capacity is zero and ModifyCapacityReservation is not modelled.

use super::arn::{self, Resource};
use super::error;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// Decreases of a reservation that AWS still takes today, for one that was never decreased.
/// Undocumented number.
const DECREASES_PER_DAY: i32 = 2;

impl Emulator {
    pub(super) fn describe_capacity_reservation(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeCapacityReservationInput,
    ) -> Result<wire::DescribeCapacityReservationOutput, ApiError> {
        arn::check(&input.load_balancer_arn, Resource::LoadBalancer)?;
        if !self
            .elbv2
            .load_balancers
            .contains_key(&input.load_balancer_arn)
        {
            return Err(error::no_load_balancer(&input.load_balancer_arn));
        }
        Ok(wire::DescribeCapacityReservationOutput {
            decrease_requests_remaining: Some(DECREASES_PER_DAY),
            ..Default::default()
        })
    }
}
