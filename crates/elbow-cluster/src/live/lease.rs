//! Leader election on a Lease, by the protocol that controllers written with client-go follow.
//!
//! In: a client and the Lease's name. Out: [`Leadership`], as it changes. What always holds: of all
//! that follow the protocol, this program and the AWS Load Balancer Controller (LBC) alike, one acts
//! at a time; a Lease is taken over only after it was seen unchanged for its whole duration by the
//! own monotonic clock, so clocks of nodes need not agree; a leader that cannot renew stops before
//! anybody else may start.
//!
//! It is our own since no library fits: kubert 0.25 brings a second, older kube client, and the others
//! judge a holder by comparing its wall clock with theirs. Start at [`elect`].

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a Lease is believed after it was last seen to change. These three are the defaults of
/// controller-runtime, which LBC has.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// After so long without a successful renewal a leader gives up. The rest of the duration is for what
/// it still has under way.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks of a standby. Shorter than client-go's 2 s: it bounds how long nobody leads after
/// a leader has stopped in good order, and a look costs one read.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);
/// A request that takes longer is given up, so that a renewal can be tried again in time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Which Lease, and who asks for it.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name; LBC's is `aws-load-balancer-controller-leader`.
    pub name: String,
    /// Who this process is; no two may share it.
    pub identity: String,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// Somebody else, or nobody yet.
    Standby,
    /// This process.
    Leader,
    /// This process did, and may not any more. Final.
    Lost,
    /// This process did, and has handed over. Final.
    Released,
}

/// Takes part in the election from `begin` on, until `release` is cancelled; then the Lease, if it is ours,
/// is handed over, and the task ends. Whoever could not act yet should not begin: it would keep others from it.
pub fn elect(
    client: Client,
    settings: LeaseSettings,
    begin: impl Future<Output = ()> + Send + 'static,
    release: CancellationToken,
) -> (watch::Receiver<Leadership>, JoinHandle<()>) {
    let (sender, receiver) = watch::channel(Leadership::Standby);
    let api = Api::namespaced(client, &settings.namespace);
    let candidate = Candidate {
        api,
        settings,
        observed: None,
    };
    let task = tokio::spawn(async move {
        tokio::select! {
            () = begin => candidate.run(sender, release).await,
            () = release.cancelled() => {}
        }
    });
    (receiver, task)
}

/// A failed try, for the log.
#[derive(Debug, thiserror::Error)]
enum ElectionError {
    #[error("the API server refused a request about the lease")]
    Api(#[source] kube::Error),
    #[error("the API server did not answer in time")]
    Timeout,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    /// The Lease is ours from now on.
    Ours,
    /// Somebody else holds it.
    Theirs,
    /// Somebody else wrote to it in the same moment: the next look says whose it is.
    Overtaken,
}

/// Takes part in an election.
struct Candidate {
    api: Api<Lease>,
    settings: LeaseSettings,
    observed: Option<Observed>,
}

/// What was last seen of the Lease, and since when it looks like that.
struct Observed {
    spec: LeaseSpec,
    since: Instant,
}

impl Candidate {
    async fn run(mut self, leadership: watch::Sender<Leadership>, release: CancellationToken) {
        if !self.acquire(&release).await {
            return;
        }
        tracing::info!(lease = %self.settings.name, identity = %self.settings.identity, "Leading");
        leadership.send_replace(Leadership::Leader);
        if self.hold(&release).await {
            self.hand_over().await;
            leadership.send_replace(Leadership::Released);
        } else {
            tracing::error!(lease = %self.settings.name, "Lost the lease");
            leadership.send_replace(Leadership::Lost);
        }
    }

    /// Tries until the Lease is ours (`true`), or until nobody wants it any more.
    async fn acquire(&mut self, release: &CancellationToken) -> bool {
        let mut last_holder = None;
        loop {
            match self.try_acquire_or_renew().await {
                Ok(Try::Ours) => return true,
                Ok(Try::Overtaken) => {}
                Ok(Try::Theirs) => {
                    let holder = self.holder().map(str::to_owned);
                    if holder != last_holder {
                        tracing::info!(
                            holder = holder.as_deref().unwrap_or_default(),
                            "Standing by"
                        );
                        last_holder = holder;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %report(&error), "Cannot ask for the lease");
                }
            }
            tokio::select! {
                () = release.cancelled() => return false,
                () = tokio::time::sleep(STANDBY_INTERVAL) => {}
            }
        }
    }

    /// Renews until the Lease is to be handed over (`true`), or until it is lost.
    async fn hold(&mut self, release: &CancellationToken) -> bool {
        let mut renewed_at = Instant::now();
        loop {
            tokio::select! {
                () = release.cancelled() => return true,
                () = tokio::time::sleep(RENEW_INTERVAL) => {}
            }
            let started_at = Instant::now();
            let deadline = renewed_at + RENEW_DEADLINE;
            match tokio::time::timeout_at(deadline, self.try_acquire_or_renew()).await {
                Ok(Ok(Try::Ours)) => renewed_at = started_at,
                // Nothing was renewed: others count from the last time.
                Ok(Ok(Try::Overtaken)) if Instant::now() < deadline => {}
                Ok(Err(error)) if Instant::now() < deadline => {
                    tracing::warn!(error = %report(&error), "Cannot renew the lease");
                }
                // Somebody else has it, for it was ours too long without a renewal; or it may be so soon.
                Ok(Ok(Try::Theirs | Try::Overtaken) | Err(_)) | Err(_) => return false,
            }
        }
    }

    /// Takes or renews the Lease if that may be done.
    async fn try_acquire_or_renew(&mut self) -> Result<Try, ElectionError> {
        let name = self.settings.name.clone();
        let Some(mut lease) = request(self.api.get_opt(&name)).await? else {
            let spec = self.own_spec(None);
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name),
                    ..ObjectMeta::default()
                },
                spec: Some(spec.clone()),
            };
            let created = request(self.api.create(&PostParams::default(), &lease)).await;
            return self.written(created, spec);
        };
        let spec = lease.spec.take().unwrap_or_default();
        self.observe(&spec);
        if !self.may_take() {
            return Ok(Try::Theirs);
        }
        let spec = self.own_spec(Some(&spec));
        lease.spec = Some(spec.clone());
        let replaced = request(self.api.replace(&name, &PostParams::default(), &lease)).await;
        self.written(replaced, spec)
    }

    /// A write that another's came before is no error: that one may lead now.
    fn written(
        &mut self,
        result: Result<Lease, ElectionError>,
        spec: LeaseSpec,
    ) -> Result<Try, ElectionError> {
        match result {
            Ok(_) => {
                self.observed = Some(Observed {
                    spec,
                    since: Instant::now(),
                });
                Ok(Try::Ours)
            }
            Err(ElectionError::Api(kube::Error::Api(status))) if status.code == 409 => {
                Ok(Try::Overtaken)
            }
            Err(error) => Err(error),
        }
    }

    fn observe(&mut self, spec: &LeaseSpec) {
        if self.observed.as_ref().map(|o| &o.spec) != Some(spec) {
            self.observed = Some(Observed {
                spec: spec.clone(),
                since: Instant::now(),
            });
        }
    }

    fn holder(&self) -> Option<&str> {
        let holder = self.observed.as_ref()?.spec.holder_identity.as_deref();
        holder.filter(|holder| !holder.is_empty())
    }

    /// Whether the Lease is ours, nobody's, or was left alone for its whole duration.
    fn may_take(&self) -> bool {
        let (Some(holder), Some(observed)) = (self.holder(), &self.observed) else {
            return true;
        };
        let seconds = observed.spec.lease_duration_seconds.unwrap_or_default();
        let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        holder == self.settings.identity || observed.since.elapsed() >= duration
    }

    /// The Lease as ours: taken now, or renewed.
    fn own_spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let identity = Some(self.settings.identity.clone());
        let is_renewal = before.is_some_and(|spec| spec.holder_identity == identity);
        let transitions = before.map(|spec| spec.lease_transitions.unwrap_or_default());
        LeaseSpec {
            holder_identity: identity,
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: before
                .filter(|_| is_renewal)
                .and_then(|spec| spec.acquire_time.clone())
                .or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(match transitions {
                Some(count) if !is_renewal => count.saturating_add(1),
                Some(count) => count,
                None => 0,
            }),
            ..LeaseSpec::default()
        }
    }

    /// Gives the Lease up, so that the next one need not wait until it runs out. Left alone if it
    /// cannot be written: then it runs out.
    async fn hand_over(&mut self) {
        let name = &self.settings.name;
        let handed_over = async {
            let Some(mut lease) = request(self.api.get_opt(name)).await? else {
                return Ok(());
            };
            let spec = lease.spec.take().unwrap_or_default();
            if spec.holder_identity.as_deref() != Some(self.settings.identity.as_str()) {
                return Ok(());
            }
            let now = MicroTime(Timestamp::now());
            lease.spec = Some(LeaseSpec {
                holder_identity: Some(String::new()),
                // client-go writes the shortest that the API takes.
                lease_duration_seconds: Some(1),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                ..spec
            });
            request(self.api.replace(name, &PostParams::default(), &lease)).await?;
            tracing::info!(lease = %name, "Handed over the lease");
            Ok::<(), ElectionError>(())
        };
        if let Err(error) = handed_over.await {
            tracing::warn!(error = %report(&error), "Cannot hand over the lease; it will run out");
        }
    }
}

async fn request<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ElectionError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(result) => result.map_err(ElectionError::Api),
        Err(_) => Err(ElectionError::Timeout),
    }
}

fn report(error: &ElectionError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
