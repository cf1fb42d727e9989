//! The webhook beside the driver.
//!
//! In: what the watch sees. Out: the same for the driver, and the gates of new pods for whoever asks the
//! webhook. What always holds: it answers whether this instance leads or not, until the process ends;
//! by the time that this instance is ready, it knows every TargetGroupBinding.

use std::sync::{Arc, PoisonError, RwLock};

use elbow_cluster::live::{Event, Gates, Webhook, WebhookError, WebhookSettings};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admin::Readiness;

/// Events between the watch and the driver; the watch has a buffer of its own.
const EVENTS_MAX: usize = 1;

/// Begins to answer, until `over`. What the webhook has to know comes by [`follow`].
pub(crate) async fn serve(
    settings: &WebhookSettings,
    gates: Arc<RwLock<Gates>>,
    readiness: Readiness,
    over: CancellationToken,
) -> Result<(), WebhookError> {
    let webhook = Webhook::bind(settings, gates).await?;
    if let Ok(address) = webhook.address() {
        tracing::info!(%address, "Putting readiness gates into pods");
    }
    tokio::spawn(async move {
        let _answering = Answering::begin(readiness);
        tokio::select! {
            () = webhook.run() => {}
            () = over.cancelled() => {}
        }
    });
    Ok(())
}

/// Passes events on, and notes whatever of them is about gates.
pub(crate) fn follow(
    mut events: mpsc::Receiver<Event>,
    gates: Arc<RwLock<Gates>>,
) -> mpsc::Receiver<Event> {
    let (passed_on, receiver) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Event::Changed(changes) = &event {
                let mut gates = gates.write().unwrap_or_else(PoisonError::into_inner);
                gates.take_in(changes);
            }
            if passed_on.send(event).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Says that the webhook answers, for as long as it lives: also a panic ends it.
struct Answering(Readiness);

impl Answering {
    fn begin(readiness: Readiness) -> Self {
        readiness.lacks_webhook(false);
        Self(readiness)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.lacks_webhook(true);
    }
}

#[cfg(test)]
mod tests {
    use elbow_api::Object;
    use elbow_api::crds::{TargetGroupBinding, TargetGroupBindingSpec, TargetType};
    use elbow_cluster::live::Change;

    use super::*;

    #[tokio::test]
    async fn gates_are_known_before_the_driver_hears_of_them() {
        let gates: Arc<RwLock<Gates>> = Arc::default();
        let (watch, events) = mpsc::channel(8);
        let mut events = follow(events, Arc::clone(&gates));
        let mut binding = TargetGroupBinding::new("tg", TargetGroupBindingSpec::default());
        binding.metadata.namespace = Some("app".to_owned());
        binding.spec.target_type = Some(TargetType::Ip);
        let changes = vec![Change::Apply(Object::from(binding))];
        assert!(watch.send(Event::Changed(changes)).await.is_ok());
        assert!(watch.send(Event::Synced).await.is_ok());
        assert!(matches!(events.recv().await, Some(Event::Changed(_))));
        assert!(gates.read().is_ok_and(|gates| *gates != Gates::default()));
        assert_eq!(events.recv().await, Some(Event::Synced));
        // The watch ends when nobody listens any more.
        drop(events);
        assert!(watch.send(Event::Synced).await.is_ok());
        watch.closed().await;
    }

    #[tokio::test]
    async fn an_instance_does_not_start_without_its_certificate() {
        let settings = WebhookSettings {
            address: ([127, 0, 0, 1], 0).into(),
            certificate: "/nowhere/tls.crt".into(),
            key: "/nowhere/tls.key".into(),
        };
        let (readiness, over) = (Readiness::default(), CancellationToken::new());
        let served = serve(&settings, Arc::default(), readiness, over).await;
        assert!(matches!(served, Err(WebhookError::Certificate { .. })));
    }

    #[test]
    fn an_instance_is_ready_only_while_its_webhook_answers() {
        let readiness = Readiness::default();
        readiness.set_ready();
        let answering = Answering::begin(readiness.clone());
        assert!(readiness.is_ready());
        drop(answering);
        assert!(!readiness.is_ready());
    }
}
