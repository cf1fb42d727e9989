//! Answers [`AwsCall`]s from an emulator in the same process.
//!
//! In: a call, the time. Out: the answer or the classified error that the adapter over HTTP would give
//! for the same account. What always holds: one call is one request to the emulator, and nothing of
//! the emulator's shapes leaves this crate. Start at [`answer`]; [`world`] builds the account that
//! `elbow local` starts from.

mod convert;
pub mod world;

use elbow_emulator::{ApiError, Emulator, Timestamp};
use elbow_model::classify::refusal;
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateMaterial};

/// Carries out one call, other than an import: see [`answer_with`].
///
/// A VPC that does not exist is an answer (`None`), as the model wants it, and no error.
pub fn answer(
    emulator: &mut Emulator,
    now: Timestamp,
    call: &AwsCall,
) -> Result<AwsAnswer, AwsError> {
    answer_with(emulator, now, call, None)
}

/// Carries out one call, with what it takes from a Secret if it is an import. Without that, an import
/// fails with `SecretNotRead`, a conflict: the Secret changed or vanished since the plan was made.
pub fn answer_with(
    emulator: &mut Emulator,
    now: Timestamp,
    call: &AwsCall,
    material: Option<&CertificateMaterial>,
) -> Result<AwsAnswer, AwsError> {
    if let Some(request) = convert::requests::s3_request(call) {
        let refused = |error: ApiError| refusal(call, &error.code, error.status, error.message);
        return emulator
            .s3(now, request)
            .map(|_| AwsAnswer::Done)
            .map_err(refused);
    }
    let request = convert::requests::request(call, material)?;
    match emulator.handle(now, request) {
        Ok(response) => convert::responses::answer(call, response),
        Err(error)
            if matches!(call, AwsCall::DescribeVpcs { .. })
                && error.code == "InvalidVpcID.NotFound" =>
        {
            Ok(AwsAnswer::Vpc(None))
        }
        Err(error) => Err(refusal(call, &error.code, error.status, error.message)),
    }
}

/// An emulator that answers calls, for drivers that want one value to hold.
#[derive(Debug)]
pub struct Loopback {
    /// The account. The data plane and the wire protocols may use it at the same time.
    pub emulator: Emulator,
}

impl Loopback {
    /// Answers from this emulator.
    pub fn new(emulator: Emulator) -> Self {
        Self { emulator }
    }

    /// Carries out one call: [`answer`].
    pub fn answer(&mut self, now: Timestamp, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        answer(&mut self.emulator, now, call)
    }
}
