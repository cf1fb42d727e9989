//! Network load balancers.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::client::{dead_port, get, says};
use super::world::{World, forward};
use crate::dataplane::BindOutcome;
use crate::dataplane::standin::{StandInKind, stand_in};

#[tokio::test]
async fn bytes_go_both_ways() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::TcpEcho,
        "app/db".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let nlb = world.nlb_to(target.port()).await;
    let mut stream = TcpStream::connect(nlb.address).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn half_a_close_is_passed_on() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nlb = world.nlb_to(listener.local_addr().unwrap().port()).await;
    let mut client = TcpStream::connect(nlb.address).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    target.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    // The client has said that it is done; the answer still reaches it.
    target.write_all(b"answer").await.unwrap();
    drop(target);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
}

/// Whether the connection was reset, as opposed to closed.
async fn is_reset(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]).await {
        Ok(read) => panic!("read {read} bytes instead of a reset"),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn a_target_that_refuses_resets_the_client() {
    let world = World::new().await;
    let (_held, dead) = dead_port();
    let nlb = world.nlb_to(dead).await;
    let mut stream = TcpStream::connect(nlb.address).await.unwrap();
    assert!(is_reset(&mut stream).await);
    world.deregister(&nlb.target_group, dead);
    let mut stream = TcpStream::connect(nlb.address).await.unwrap();
    assert!(is_reset(&mut stream).await, "no target at all");
}

#[tokio::test]
async fn a_flow_ends_when_its_group_has_no_weight() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::TcpEcho,
        "app/db".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let nlb = world.nlb_to(target.port()).await;
    let mut stream = TcpStream::connect(nlb.address).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    let other = world.target_group("other", "TCP", json!({}));
    world.set_default_action(&nlb.listener, forward(&other));
    assert!(is_reset(&mut stream).await);
}

#[tokio::test]
async fn a_deregistered_target_keeps_its_flows_and_gets_no_new_ones() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::TcpEcho,
        "app/db".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let nlb = world.nlb_to(target.port()).await;
    let mut stream = TcpStream::connect(nlb.address).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    world.deregister(&nlb.target_group, target.port());
    let mut new = TcpStream::connect(nlb.address).await.unwrap();
    assert!(is_reset(&mut new).await);
    stream.write_all(b"y").await.unwrap();
    let mut back = [0];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"y");
}

#[tokio::test]
async fn the_proxy_protocol_tells_the_client() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nlb = world.nlb_to(listener.local_addr().unwrap().port()).await;
    world.set_target_group(&nlb.target_group, "proxy_protocol_v2.enabled", "true");
    let mut client = TcpStream::connect(nlb.address).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    let mut header = [0; 28];
    target.read_exact(&mut header).await.unwrap();
    assert_eq!(header[16..20], [127, 0, 0, 1]);
    assert_eq!(
        u16::from_be_bytes([header[24], header[25]]),
        client.local_addr().unwrap().port()
    );
    assert_eq!(
        u16::from_be_bytes([header[26], header[27]]),
        nlb.address.port()
    );
    client.write_all(b"x").await.unwrap();
    target.read_exact(&mut [0]).await.unwrap();
}

#[tokio::test]
async fn tls_ends_at_the_listener() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::TcpEcho,
        "app/db".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let certificate = super::client::certificate("db.example.com");
    let load_balancer = world.load_balancer("net", "network");
    let target_group = world.target_group("net", "TCP", json!({}));
    let listener = world.listener(
        &load_balancer,
        "TLS",
        443,
        forward(&target_group),
        json!({ "Certificates": [{ "CertificateArn": world.certificate(&certificate) }], "AlpnPolicy": ["HTTP2Optional"] }),
    );
    world.register(&target_group, target.port());
    let address = world.address(&listener).await;
    let (mut stream, shown) = super::client::tls(address, "db.example.com", &["h2"]).await;
    assert_eq!(shown, certificate.der);
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn what_is_not_carried_is_said() {
    let world = World::new().await;
    let load_balancer = world.load_balancer("net", "network");
    let target_group = world.target_group("net", "QUIC", json!({ "HealthCheckProtocol": "TCP" }));
    let listener = world.listener(
        &load_balancer,
        "QUIC",
        443,
        forward(&target_group),
        json!({}),
    );
    let binding = world
        .wait(|bindings| {
            bindings
                .load_balancers
                .get(&load_balancer)?
                .listeners
                .get(&listener)
                .cloned()
        })
        .await;
    let reason = "the data plane does not carry QUIC".to_owned();
    assert_eq!(binding.outcome, BindOutcome::Failed { reason });
}

/// A UDP target that answers with what it got, and its own number before it.
async fn udp_target(number: u8) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, client)) = socket.recv_from(&mut buffer[1..]).await {
            buffer[0] = number;
            socket.send_to(&buffer[..=length], client).await.unwrap();
        }
    });
    port
}

async fn exchange(client: &UdpSocket, listener: SocketAddr, text: &[u8]) -> Vec<u8> {
    client.send_to(text, listener).await.unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = client.recv_from(&mut buffer).await.unwrap();
    assert_eq!(from, listener, "answers come from the load balancer");
    buffer[..length].to_vec()
}

/// An NLB with one listener of a protocol that carries datagrams, and its address.
async fn udp_nlb(world: &World, protocol: &str, targets: &[u16]) -> (String, SocketAddr) {
    let load_balancer = world.load_balancer("net", "network");
    let checked = json!({ "HealthCheckProtocol": "TCP" });
    let target_group = world.target_group("net", protocol, checked);
    let listener = world.listener(
        &load_balancer,
        protocol,
        53,
        forward(&target_group),
        json!({}),
    );
    for port in targets {
        world.register(&target_group, *port);
    }
    let address = world.address(&listener).await;
    (target_group, address)
}

#[tokio::test]
async fn datagrams_of_a_client_stay_with_their_target() {
    let world = World::new().await;
    let targets = [udp_target(1).await, udp_target(2).await];
    let (_, listener) = udp_nlb(&world, "UDP", &targets).await;
    let mut seen = [0; 2];
    for _ in 0..20 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let first = exchange(&client, listener, b"a").await;
        let second = exchange(&client, listener, b"b").await;
        assert_eq!((first[0], &second[1..]), (second[0], &b"b"[..]));
        seen[usize::from(first[0]) - 1] += 1;
    }
    assert!(
        seen.iter().all(|count| *count > 0),
        "both get flows: {seen:?}"
    );
}

#[tokio::test]
async fn datagrams_move_on_when_their_target_is_gone() {
    let world = World::new().await;
    let (leaving, staying) = (udp_target(1).await, udp_target(2).await);
    let (target_group, listener) = udp_nlb(&world, "UDP", &[leaving]).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(exchange(&client, listener, b"a").await, b"\x01a");
    // Connections to targets end with the deregistration delay, which is on for UDP.
    world.set_target_group(&target_group, "deregistration_delay.timeout_seconds", "0");
    world.register(&target_group, staying);
    world.deregister(&target_group, leaving);
    world.emulator.with(elbow_emulator::Emulator::advance);
    // The flow ends when the data plane hears of it, which is soon, not at once; what is on its way
    // then is lost, as datagrams may be, and the client sends again.
    let patience = std::time::Duration::from_millis(200);
    while tokio::time::timeout(patience, exchange(&client, listener, b"b")).await
        != Ok(b"\x02b".to_vec())
    {}
}

#[tokio::test]
async fn both_transports_share_a_port() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let tcp = stand_in(StandInKind::TcpEcho, "app/db".to_owned(), shutdown)
        .await
        .unwrap();
    let udp = UdpSocket::bind(("127.0.0.1", tcp.port())).await.unwrap();
    let (_, listener) = udp_nlb(&world, "TCP_UDP", &[tcp.port()]).await;
    let mut stream = TcpStream::connect(listener).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"hello", listener).await.unwrap();
    let mut buffer = [0; 16];
    let (length, _) = udp.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"hello");
}

#[tokio::test]
async fn datagrams_without_a_target_are_dropped() {
    let world = World::new().await;
    let (target_group, listener) = udp_nlb(&world, "UDP", &[]).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"lost", listener).await.unwrap();
    world.register(&target_group, udp_target(1).await);
    // What was sent before there was a target may still be on its way, so it may get an answer, too;
    // the second one does get its own.
    client.send_to(b"b", listener).await.unwrap();
    let mut buffer = [0; 16];
    loop {
        let (length, _) = client.recv_from(&mut buffer).await.unwrap();
        if &buffer[..length] == b"\x01b" {
            break;
        }
    }
}

#[tokio::test]
async fn an_application_load_balancer_is_a_target() {
    let world = World::new().await;
    let alb = world.alb_to(says("hello").await).await;
    let network = world.load_balancer("net", "network");
    let checked = json!({ "TargetType": "alb", "HealthCheckProtocol": "HTTP" });
    let target_group = world.target_group("front", "TCP", checked);
    let listener = world.listener(&network, "TCP", 80, forward(&target_group), json!({}));
    world.register_load_balancer(&target_group, &alb.load_balancer);
    let address = world.address(&listener).await;
    assert_eq!(get(address, "app.example.com", "/").await.body, "hello");
}
