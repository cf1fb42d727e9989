//! AWS as a pure state machine: ELBv2, EC2, ACM, STS, a little of S3, and the routing decisions of ALB and NLB.
//!
//! In: a [`Config`], a world ([`Emulator::add_vpc`] and its like), requests with the time at which
//! they arrive. Out: responses and errors as AWS would give them, and read access for a data plane.
//! Always: the same configuration and the same calls give the same answers, byte for byte; nothing
//! here reads a clock, draws a random number or looks at the environment; a parameter that is not
//! acted on is refused by name.
//!
//! Start at [`Emulator::handle`].

pub mod acm;
mod blob;
mod calls;
mod config;
pub mod dataplane;
pub mod ec2;
pub mod elbv2;
mod error;
pub mod generated;
mod ids;
pub mod operation;
mod past;
pub mod reference;
pub mod s3;
pub mod shape;
mod sts;
mod tagging;
mod throttle;
mod time;
pub mod unmodelled;
pub mod validate;
pub mod world;

pub use blob::Blob;
pub use calls::{Call, CallLog, is_read};
pub use config::{Config, HealthMode, Latencies, Quotas};
pub use error::{ApiError, Fault};
pub use operation::{Operation, Request, Response, Service};
pub use throttle::Throttling;
pub use time::Timestamp;

use ids::IdSource;

/// One emulated account in one region.
#[derive(Debug)]
pub struct Emulator {
    pub(crate) config: Config,
    pub(crate) ids: IdSource,
    pub(crate) elbv2: elbv2::State,
    pub(crate) ec2: ec2::State,
    pub(crate) acm: acm::State,
    pub(crate) s3: s3::State,
    /// Request ids have a source of their own, so that resource ids do not depend on how requests
    /// arrive.
    request_ids: IdSource,
    /// Counts what the data plane serves from besides ELBv2's state: certificates.
    other_revision: u64,
    calls: CallLog,
    buckets: throttle::Buckets,
    past: past::Past,
}

impl Emulator {
    /// An account that holds nothing.
    pub fn new(config: Config) -> Self {
        Self {
            ids: IdSource::new(config.seed),
            request_ids: IdSource::new(!config.seed),
            config,
            elbv2: elbv2::State::default(),
            ec2: ec2::State::default(),
            acm: acm::State::default(),
            s3: s3::State::default(),
            other_revision: 0,
            calls: CallLog::default(),
            buckets: throttle::Buckets::default(),
            past: past::Past::default(),
        }
    }

    /// Answers one request as AWS would.
    ///
    /// Time only moves forward: `now` before an earlier call's is taken as it is, and whatever had
    /// fallen due by then stays done.
    pub fn handle(
        &mut self,
        now: Timestamp,
        request: impl Into<Request>,
    ) -> Result<Response, ApiError> {
        let request = request.into();
        let operation = request.operation();
        let value = request.to_value();
        let admitted = self.admit(now, operation, &value);
        let checked = admitted.and_then(|()| check(operation, &value));
        self.answer(now, operation, checked.map(|()| request))
    }

    /// Answers one request that came over a wire: a value keyed by member names.
    pub fn handle_value(
        &mut self,
        now: Timestamp,
        operation: &'static Operation,
        request: serde_json::Value,
    ) -> Result<Response, ApiError> {
        let admitted = self.admit(now, operation, &request);
        let checked = admitted.and_then(|()| check(operation, &request));
        let checked = checked.and_then(|()| {
            // What has passed the check fits the type, unless a value is of another kind than its
            // shape says; codecs do not make such values.
            Request::from_value(operation, request)
                .map_err(|error| ApiError::sender("SerializationException", error.to_string()))
        });
        self.answer(now, operation, checked)
    }

    /// What stands before an operation, whatever the request says.
    fn admit(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        request: &serde_json::Value,
    ) -> Result<(), ApiError> {
        if self.config.throttling == Throttling::None {
            return Ok(());
        }
        let asks_for_all = throttle::asks_for_all(operation, request);
        self.buckets.take(now, operation, asks_for_all)
    }

    /// Does what a request that has passed its checks asks for, and logs the call.
    fn answer(
        &mut self,
        now: Timestamp,
        operation: &'static Operation,
        request: Result<Request, ApiError>,
    ) -> Result<Response, ApiError> {
        self.advance(now);
        let result = request.and_then(|request| self.perform(now, operation, request));
        let error = result.as_ref().err().map(|error| error.code.clone());
        self.calls.record(Call {
            at: now,
            service: operation.service,
            operation: operation.name,
            error,
        });
        result
    }

    /// Reads from what may be shown, writes to what is.
    fn perform(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        request: Request,
    ) -> Result<Response, ApiError> {
        if self.config.read_lag_ms == 0 {
            return self.dispatch(now, request);
        }
        if !calls::is_read(operation.name) {
            let before = self.held();
            let result = self.dispatch(now, request);
            if result.is_ok() {
                self.past.remember(now, before);
            }
            return result;
        }
        let Some(shown) = self.past.shown(now, self.config.read_lag_ms) else {
            return self.dispatch(now, request);
        };
        let current = self.replace_held(shown);
        self.advance(now);
        let result = self.dispatch(now, request);
        self.replace_held(current);
        result
    }

    fn dispatch(&mut self, now: Timestamp, request: Request) -> Result<Response, ApiError> {
        match request {
            Request::ElbV2(request) => self.elbv2(now, request).map(Response::ElbV2),
            Request::Ec2(request) => self.ec2(now, request).map(Response::Ec2),
            Request::Acm(request) => self.acm(now, request).map(Response::Acm),
            Request::Sts(request) => Ok(Response::Sts(self.sts(&request))),
            Request::Tagging(request) => self.tagging(now, request).map(Response::Tagging),
        }
    }

    /// Lets happen what falls due up to `now`: load balancers become active, drained targets go.
    pub fn advance(&mut self, now: Timestamp) {
        self.elbv2_advance(now);
    }

    /// When something falls due next; `None` while nothing is under way.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.elbv2_next_event()
    }

    /// Grows whenever what the data plane serves may have changed.
    pub fn revision(&self) -> u64 {
        self.elbv2.revision() + self.other_revision
    }

    /// The requests so far: how many of each operation, and the latest ones in order.
    pub fn calls(&self) -> &CallLog {
        &self.calls
    }

    /// What the emulator was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the quotas. What exists beyond a lowered one stays.
    pub fn set_quotas(&mut self, quotas: Quotas) {
        self.config.quotas = quotas;
    }

    /// Changes how long AWS's own work takes, for what begins from now on.
    pub fn set_latencies(&mut self, latencies: Latencies) {
        self.config.latencies = latencies;
    }

    /// Changes how fast calls may come. Buckets are full again.
    pub fn set_throttling(&mut self, throttling: Throttling) {
        self.config.throttling = throttling;
        self.buckets = throttle::Buckets::default();
    }

    /// Changes for how long reads lag behind writes, in milliseconds of virtual time.
    pub fn set_read_lag(&mut self, milliseconds: u64) {
        self.config.read_lag_ms = milliseconds;
    }

    /// The next request id: a UUID, the same for the same seed and calls.
    pub fn next_request_id(&mut self) -> String {
        self.request_ids.uuid()
    }

    pub(crate) fn touch(&mut self) {
        self.other_revision += 1;
    }
}

/// What is checked before an operation runs: the form, and that all of it is acted on.
fn check(operation: &Operation, request: &serde_json::Value) -> Result<(), ApiError> {
    validate::check(operation, request)?;
    unmodelled::refuse(operation, request)
}
