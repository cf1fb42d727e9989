//! What is kept about the targets of groups that several clusters share: a ConfigMap beside each binding.
//!
//! In: what the rounds ask to read or to keep. Out: for each, once, what is kept then. What always holds: a
//! task that panics or never ends is answered all the same; then it is not known what is kept, and the rounds
//! read it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use elbow_api::NamespacedName;
use elbow_cluster::live::{Remedy, WriteError};
use elbow_model::{AwsError, ErrorClass, OwnTargets};
use elbow_reconcile::Input;
use tokio::task::{Id, JoinSet};

use crate::ports::ClusterWriter;

/// How long reading or writing may take. It is one small object.
const TIME_MAX: Duration = Duration::from_secs(15);

/// The code of the failure: no code of AWS's.
const CODE: &str = "OwnTargetsUnknown";

type Answer = Result<Option<OwnTargets>, AwsError>;

/// What is being read and written.
#[derive(Debug, Default)]
pub(crate) struct OwnTargetsIo {
    tasks: JoinSet<Answer>,
    binding_of_task: HashMap<Id, NamespacedName>,
}

impl OwnTargetsIo {
    /// Begins to read.
    pub(crate) fn read<C: ClusterWriter>(&mut self, cluster: &Arc<C>, binding: NamespacedName) {
        let (cluster, of) = (Arc::clone(cluster), binding.clone());
        let task = self.tasks.spawn(async move {
            let read = tokio::time::timeout(TIME_MAX, cluster.read_own_targets(&of)).await;
            read.unwrap_or_else(|_| Err(late("get", &of)))
                .map_err(|error| failed(&error))
        });
        self.binding_of_task.insert(task.id(), binding);
    }

    /// Begins to write.
    pub(crate) fn keep<C: ClusterWriter>(
        &mut self,
        cluster: &Arc<C>,
        binding: NamespacedName,
        targets: OwnTargets,
    ) {
        let (cluster, of) = (Arc::clone(cluster), binding.clone());
        let task = self.tasks.spawn(async move {
            let kept = cluster.keep_own_targets(&of, &targets);
            let kept = tokio::time::timeout(TIME_MAX, kept).await;
            kept.unwrap_or_else(|_| Err(late("patch", &of)))
                .map(|()| Some(targets))
                .map_err(|error| failed(&error))
        });
        self.binding_of_task.insert(task.id(), binding);
    }

    /// The next answer, for the rounds; `None` when nothing is out.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        loop {
            let (task, result) = match self.tasks.join_next_with_id().await? {
                Ok(done) => done,
                Err(aborted) => {
                    tracing::error!(error = %aborted, "Reading or writing own targets was aborted");
                    let why = "the task was aborted";
                    let error = AwsError::new(ErrorClass::Transient, CODE, why);
                    (aborted.id(), Err(error))
                }
            };
            let Some(binding) = self.binding_of_task.remove(&task) else {
                continue;
            };
            if let Err(error) = &result {
                tracing::warn!(%binding, %error, "Own targets cannot be read or kept");
            }
            return Some(Input::OwnTargets { binding, result });
        }
    }

    /// Whether nothing is out.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }
}

fn late(verb: &'static str, binding: &NamespacedName) -> WriteError {
    WriteError::TimedOut {
        verb,
        object: format!("the ConfigMap of TargetGroupBinding {binding}"),
        seconds: TIME_MAX.as_secs(),
    }
}

/// For the rounds it is like a call that failed: somebody has to help, or it passes.
fn failed(error: &WriteError) -> AwsError {
    let class = match error.remedy() {
        Remedy::Ask => ErrorClass::Denied,
        Remedy::ReadAgain | Remedy::Drop | Remedy::Retry => ErrorClass::Transient,
    };
    AwsError::new(class, CODE, error.to_string())
}
