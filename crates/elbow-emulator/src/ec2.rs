//! EC2, as far as load balancers need it: networks, instances, interfaces, security groups, tags.

pub(crate) mod state;

pub(crate) use state::State;

use crate::generated::ec2 as wire;
use crate::unmodelled::Unmodelled;
use crate::{ApiError, Emulator, Timestamp};

pub(crate) const UNMODELLED: &[Unmodelled] = &[];

impl Emulator {
    pub(crate) fn ec2(
        &mut self,
        _now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        Err(ApiError::sender("InvalidAction", request.name()))
    }
}
