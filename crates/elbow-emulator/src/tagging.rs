//! Resource Groups Tagging API.

use crate::generated::tagging as wire;
use crate::{ApiError, Emulator, Timestamp};

impl Emulator {
    pub(crate) fn tagging(
        &mut self,
        _now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        Err(ApiError::sender("InvalidAction", request.name()))
    }
}
