//! Certificate Manager: imported certificates, and who uses them.

pub(crate) mod state;

pub(crate) use state::State;
pub use state::{CertificateOrigin, CertificatePem, CertificateStatus};

use crate::generated::acm as wire;
use crate::unmodelled::Unmodelled;
use crate::{ApiError, Emulator, Timestamp};

pub(crate) const UNMODELLED: &[Unmodelled] = &[];

impl Emulator {
    pub(crate) fn acm(
        &mut self,
        _now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        Err(ApiError::sender("InvalidAction", request.name()))
    }
}
