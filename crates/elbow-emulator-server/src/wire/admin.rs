//! Paths below `/_emulator/` that change what goes wrong while the endpoint runs.
//!
//! In: requests of clients on this machine, where that is allowed. Out: their effect. Always: what a
//! client cannot have meant is refused and changes nothing.
//!
//! ```text
//! GET    /_emulator/faults   the faults, with how often each was met
//! POST   /_emulator/faults   adds: {"faults": […], "quotas": {…}, "readLagMilliseconds": 500}
//! DELETE /_emulator/faults   takes all faults away and restores AWS's quotas
//! ```

use elbow_emulator::Quotas;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};

use super::respond;
use crate::faults::{FaultPlan, Faults};
use crate::shared::SharedEmulator;

const FAULTS_PATH: &str = "/_emulator/faults";

/// Bytes of a request: more faults than a test can tell apart.
const BODY_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn is_for(request: &Request<Incoming>) -> bool {
    request.uri().path() == FAULTS_PATH
}

pub(super) async fn answer(
    shared: &SharedEmulator,
    faults: &Faults,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match *request.method() {
        Method::GET => {
            let report = serde_json::to_string(&faults.report()).unwrap_or_default();
            respond(StatusCode::OK, "application/json", report)
        }
        Method::POST => {
            let plan = match Limited::new(request.into_body(), BODY_BYTES_MAX)
                .collect()
                .await
            {
                Ok(body) => serde_json::from_slice::<FaultPlan>(&body.to_bytes())
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match plan {
                Ok(plan) => {
                    plan.apply(shared, faults);
                    respond(StatusCode::NO_CONTENT, "text/plain", String::new())
                }
                Err(error) => respond(StatusCode::BAD_REQUEST, "text/plain", error),
            }
        }
        Method::DELETE => {
            faults.clear();
            shared.with(|emulator, _| {
                emulator.set_quotas(Quotas::default());
                emulator.set_read_lag(0);
            });
            respond(StatusCode::NO_CONTENT, "text/plain", String::new())
        }
        _ => respond(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET, POST or DELETE".to_owned(),
        ),
    }
}

impl FaultPlan {
    /// Lets it go wrong from now on.
    pub fn apply(self, shared: &SharedEmulator, faults: &Faults) {
        faults.add(self.faults);
        shared.with(|emulator, _| {
            if let Some(quotas) = self.quotas {
                emulator.set_quotas(quotas);
            }
            if let Some(milliseconds) = self.read_lag_milliseconds {
                emulator.set_read_lag(milliseconds);
            }
        });
    }
}
