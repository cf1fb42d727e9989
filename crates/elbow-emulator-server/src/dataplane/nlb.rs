//! Connections to the listeners of network load balancers.
//!
//! In: accepted TCP connections. Out: the same bytes at a target. Always: the target is connected
//! before a byte is read from the client, and a target that refuses makes a reset for the client; a
//! flow stays with its target for life; one that must end (target unhealthy, weight 0, idle) ends
//! with a reset on both sides.
//!
//! The target sees the load balancer's address as the source also where AWS would preserve the
//! client's: that takes privileges. The PROXY protocol carries the client's address.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use elbow_emulator::dataplane::ServedProtocol;
use elbow_emulator::dataplane::nlb::{Flow, FlowDecision, FlowFate, FlowForward};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::plane::ListenerContext;
use super::splice::{Ending, reset_on_close, splice};
use super::upstream::{UpstreamError, connect_tcp, connect_tls};
use super::{proxy_protocol, tls};

/// Time for a client's TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// One side of a flow: bytes, and the TCP connection beneath them.
pub(crate) trait Side: AsyncRead + AsyncWrite + Unpin + Send {
    /// The TCP connection.
    fn tcp(&self) -> &TcpStream;
}

impl Side for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Side for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Side for tokio_rustls::client::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, listener: ListenerContext) {
    let live = listener.live();
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let flow = Flow {
        client: peer,
        local,
        sequence: listener.plane.unique(),
    };
    let decision = listener
        .plane
        .emulator
        .with(|emulator, now| emulator.route_flow(now, &live.served.arn, &flow));
    let forward = match decision {
        FlowDecision::Forward(forward) => *forward,
        FlowDecision::Refuse(reason) => {
            tracing::debug!(listener = %live.served.arn, ?reason, "Flow refused");
            return reset_on_close(&stream);
        }
    };
    let mut target = match connect(&listener, &forward).await {
        Ok(target) => target,
        Err(error) => {
            tracing::debug!(target = %forward.target.address, ?error, "Target refused a flow");
            return reset_on_close(&stream);
        }
    };
    if forward.proxy_protocol {
        let header = proxy_protocol::header(peer, local);
        if target.write_all(&header).await.is_err() {
            return reset_on_close(&stream);
        }
    }
    let Some(mut client) = accept(stream, &live).await else {
        return;
    };
    let mut target = match secure(target, &forward, live.served.alpn_policy.as_deref()).await {
        Ok(target) => target,
        Err(error) => {
            tracing::debug!(target = %forward.target.address, ?error, "Target refused a flow");
            return reset_on_close(client.tcp());
        }
    };
    let ending = tokio::select! {
        ending = splice(client.as_mut(), target.as_mut(), forward.idle_timeout) => ending,
        () = must_end(&listener, &live.served.arn, peer, &forward) => Ending::Broken,
    };
    if ending != Ending::Finished {
        reset_on_close(client.tcp());
        reset_on_close(target.tcp());
    }
}

async fn connect(
    listener: &ListenerContext,
    forward: &FlowForward,
) -> Result<TcpStream, UpstreamError> {
    let address = listener.plane.locate(&forward.target);
    let address = address.ok_or_else(|| UpstreamError::Connect(ErrorKind::NotConnected.into()))?;
    connect_tcp(address).await
}

/// The client's side: as it came, or with TLS ended here.
async fn accept(stream: TcpStream, live: &super::plane::Live) -> Option<Box<dyn Side>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "Could not switch off delays");
    }
    if live.served.protocol != ServedProtocol::Tls {
        return Some(Box::new(stream));
    }
    let handshake = TlsAcceptor::from(live.tls.clone()?).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// The target's side: as it is, or inside TLS where the target group says so.
async fn secure(
    target: TcpStream,
    forward: &FlowForward,
    alpn_policy: Option<&str>,
) -> Result<Box<dyn Side>, UpstreamError> {
    if !forward.tls {
        return Ok(Box::new(target));
    }
    Ok(Box::new(
        connect_tls(target, tls::alpn_of_policy(alpn_policy)).await?,
    ))
}

/// Ends when the flow may not go on: its target is unhealthy, or its target group is out of the
/// listener.
pub(super) async fn must_end(
    listener: &ListenerContext,
    listener_arn: &str,
    peer: SocketAddr,
    forward: &FlowForward,
) {
    let plane = &listener.plane;
    let mut changes = plane.emulator.changes();
    loop {
        let fate = plane.emulator.with(|emulator, _| {
            emulator.flow_fate(
                listener_arn,
                peer.ip(),
                &forward.target_group_arn,
                &forward.target,
            )
        });
        if fate == FlowFate::Reset {
            return;
        }
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = plane.shutdown.cancelled() => return,
        }
    }
}
