//! WebSockets: after the handshake the load balancer passes bytes and looks at nothing.
//!
//! In: both upgraded connections. Out: nothing; the tunnel lives until either side ends it or both
//! are silent.

use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::proxy::no_body;
use crate::dataplane::body::DataBody;
use crate::dataplane::picks::Outstanding;
use crate::dataplane::splice::splice;

/// The target's `101 Switching Protocols`, for the client.
pub(super) fn switching(response: Response<Incoming>) -> Response<DataBody> {
    let mut response = response.map(|_| no_body());
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response
        .headers_mut()
        .entry(UPGRADE)
        .or_insert(HeaderValue::from_static("websocket"));
    response
}

/// Passes bytes between client and target.
pub(super) async fn tunnel(
    client: OnUpgrade,
    target: OnUpgrade,
    idle_timeout: Duration,
    outstanding: Outstanding,
) {
    match tokio::try_join!(client, target) {
        Ok((client, target)) => {
            let ending = splice(
                &mut TokioIo::new(client),
                &mut TokioIo::new(target),
                idle_timeout,
            )
            .await;
            tracing::debug!(?ending, "WebSocket ended");
        }
        Err(error) => tracing::debug!(%error, "WebSocket did not begin"),
    }
    drop(outstanding);
}
