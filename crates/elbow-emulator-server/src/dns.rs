//! A name server for the DNS names of load balancers.
//!
//! In: where the data plane serves ([`Bindings`]), and queries over UDP and TCP. Out: `A` and `AAAA`
//! records. Always: nothing is forwarded. A name below `amazonaws.com` that is no load balancer's does
//! not exist (`NXDOMAIN`); for any other name the query is refused, so that a resolver which has
//! another name server asks that one.
//!
//! Start at [`serve_dns`].

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dataplane::Bindings;

/// The domain that this server speaks for.
const DOMAIN: &str = ".amazonaws.com";

/// Seconds that a record may be kept, "Application Load Balancers" in AWS's user guide. A test that
/// runs on a fast clock must see a new address sooner, and AWS's own clients ask anew.
const TTL_SECONDS: u32 = 60;

/// Bytes of a query over UDP: the largest that EDNS clients send in practice.
const QUERY_BYTES_MAX: usize = 4096;

/// How long a TCP client may take between two queries.
const TCP_PATIENCE: Duration = Duration::from_secs(10);

/// Sockets of a name server at one address.
#[derive(Debug)]
pub struct DnsSockets {
    /// For UDP.
    pub udp: UdpSocket,
    /// For TCP.
    pub tcp: TcpListener,
}

impl DnsSockets {
    /// Binds both at the same address and port; with port 0, at a port that is free for both.
    pub async fn bind(address: std::net::SocketAddr) -> io::Result<Self> {
        /// Times that a free TCP port may turn out to be taken for UDP.
        const TRIES: usize = 20;
        let mut result = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..TRIES {
            let tcp = TcpListener::bind(address).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Self { udp, tcp }),
                Err(error) if address.port() == 0 => result = Err(error),
                Err(error) => return Err(error),
            }
        }
        result
    }

    /// Where they listen.
    pub fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.udp.local_addr()
    }
}

/// Answers queries until `shutdown`. `speed` is the emulator's: time to live shrinks with it.
pub async fn serve_dns(
    sockets: DnsSockets,
    names: watch::Receiver<Bindings>,
    speed: f64,
    shutdown: CancellationToken,
) {
    let ttl = scaled(speed);
    let mut buffer = vec![0; QUERY_BYTES_MAX];
    let DnsSockets { udp, tcp } = sockets;
    let names = Arc::new(names);
    loop {
        tokio::select! {
            received = udp.recv_from(&mut buffer) => {
                let Ok((length, client)) = received else { continue };
                let query = buffer.get(..length).unwrap_or_default();
                let answer = answer(query, &names.borrow(), ttl);
                if let Some(answer) = answer
                    && let Err(error) = udp.send_to(&answer, client).await
                {
                    tracing::debug!(%error, "Could not answer a DNS query");
                }
            }
            accepted = tcp.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (names, shutdown) = (Arc::clone(&names), shutdown.clone());
                tokio::spawn(async move {
                    let served = serve_stream(stream, &names, ttl);
                    if let Some(Err(error)) = shutdown.run_until_cancelled(served).await {
                        tracing::debug!(%error, "DNS connection ended early");
                    }
                });
            }
            () = shutdown.cancelled() => return,
        }
    }
}

fn scaled(speed: f64) -> u32 {
    let seconds = Duration::from_secs(TTL_SECONDS.into()).as_secs_f64() / speed.max(1.0);
    Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|ttl| u32::try_from(ttl.as_secs()).ok())
        .unwrap_or(TTL_SECONDS)
}

/// RFC 1035, section 4.2.2: each message is preceded by its length.
async fn serve_stream(
    mut stream: TcpStream,
    names: &watch::Receiver<Bindings>,
    ttl: u32,
) -> io::Result<()> {
    loop {
        let length = match tokio::time::timeout(TCP_PATIENCE, stream.read_u16()).await {
            Ok(Ok(length)) => length,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        let mut query = vec![0; usize::from(length)];
        tokio::time::timeout(TCP_PATIENCE, stream.read_exact(&mut query)).await??;
        let answer = answer(&query, &names.borrow(), ttl);
        let Some(answer) = answer else {
            return Ok(());
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
}

/// The answer to a query; none for what is no query.
fn answer(query: &[u8], bindings: &Bindings, ttl: u32) -> Option<Vec<u8>> {
    let Ok(query) = Packet::parse(query) else {
        let id = query.first_chunk::<2>().map(|id| u16::from_be_bytes(*id))?;
        let mut reply = Packet::new_reply(id);
        *reply.rcode_mut() = RCODE::FormatError;
        return reply.build_bytes_vec().ok();
    };
    if query.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut reply = Packet::new_reply(query.id());
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    *reply.opcode_mut() = query.opcode();
    let [question] = query.questions.as_slice() else {
        *reply.rcode_mut() = RCODE::FormatError;
        return reply.build_bytes_vec().ok();
    };
    reply.questions.push(question.clone());
    if query.opcode() != OPCODE::StandardQuery {
        *reply.rcode_mut() = RCODE::NotImplemented;
        return reply.build_bytes_vec().ok();
    }
    let name = question.qname.to_string().to_ascii_lowercase();
    let found = bindings
        .load_balancers
        .values()
        .find(|balancer| balancer.dns_name.eq_ignore_ascii_case(&name));
    match found {
        Some(balancer) => {
            reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
            let records = balancer.addresses.iter().filter_map(|address| {
                let data = record(*address, question.qtype)?;
                Some(ResourceRecord::new(
                    question.qname.clone(),
                    CLASS::IN,
                    ttl,
                    data,
                ))
            });
            reply.answers.extend(records);
        }
        None if name.ends_with(DOMAIN) => {
            reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
            *reply.rcode_mut() = RCODE::NameError;
        }
        None => *reply.rcode_mut() = RCODE::Refused,
    }
    reply.build_bytes_vec_compressed().ok()
}

fn record(address: IpAddr, wanted: QTYPE) -> Option<RData<'static>> {
    match (address, wanted) {
        (IpAddr::V4(address), QTYPE::TYPE(TYPE::A) | QTYPE::ANY) => {
            Some(RData::A(A::from(address)))
        }
        (IpAddr::V6(address), QTYPE::TYPE(TYPE::AAAA) | QTYPE::ANY) => {
            Some(RData::AAAA(AAAA::from(address)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use simple_dns::{Name, QCLASS, Question};

    use super::*;
    use crate::dataplane::LoadBalancerBinding;

    fn bindings() -> Bindings {
        let balancer = LoadBalancerBinding {
            name: "web".to_owned(),
            dns_name: "web-1.eu-west-1.elb.amazonaws.com".to_owned(),
            addresses: vec![[127, 0, 0, 7].into()],
            listeners: BTreeMap::new(),
        };
        Bindings {
            revision: 1,
            load_balancers: BTreeMap::from([("arn".to_owned(), balancer)]),
        }
    }

    fn query(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).unwrap();
        let question = Question::new(name, kind.into(), QCLASS::CLASS(CLASS::IN), false);
        packet.questions.push(question);
        packet.build_bytes_vec().unwrap()
    }

    fn told(bytes: &[u8]) -> String {
        let packet = Packet::parse(bytes).unwrap();
        assert_eq!(packet.id(), 7);
        assert!(packet.has_flags(PacketFlag::RESPONSE));
        let answers = packet.answers.iter().map(|record| match &record.rdata {
            RData::A(a) => format!(
                "{} for {} s",
                std::net::Ipv4Addr::from(a.address),
                record.ttl
            ),
            other => format!("{other:?}"),
        });
        format!(
            "{:?} {}",
            packet.rcode(),
            answers.collect::<Vec<_>>().join(" ")
        )
    }

    #[test]
    fn names_of_load_balancers_resolve_and_no_others() {
        let rows = [
            (
                "its address",
                "web-1.eu-west-1.elb.amazonaws.com",
                TYPE::A,
                "NoError 127.0.0.7 for 60 s",
            ),
            (
                "any case",
                "WEB-1.eu-west-1.elb.amazonaws.com",
                TYPE::A,
                "NoError 127.0.0.7 for 60 s",
            ),
            (
                "no IPv6",
                "web-1.eu-west-1.elb.amazonaws.com",
                TYPE::AAAA,
                "NoError ",
            ),
            (
                "another load balancer",
                "web-2.eu-west-1.elb.amazonaws.com",
                TYPE::A,
                "NameError ",
            ),
            ("the world", "example.com", TYPE::A, "Refused "),
        ];
        for (row, name, kind, expected) in rows {
            let bytes = answer(&query(name, kind), &bindings(), 60).unwrap();
            assert_eq!(told(&bytes), expected, "{row}");
        }
    }

    #[test]
    fn nonsense_is_answered_as_such_and_answers_are_not() {
        let mut garbage = query("example.com", TYPE::A);
        garbage.truncate(14);
        let refusal = answer(&garbage, &bindings(), 60).unwrap();
        assert_eq!(told(&refusal), "FormatError ");
        assert_eq!(answer(&[1], &bindings(), 60), None);
        assert_eq!(
            answer(&refusal, &bindings(), 60),
            None,
            "no loops of answers"
        );
    }

    #[test]
    fn time_to_live_follows_the_clock() {
        assert_eq!(
            (scaled(1.0), scaled(0.1), scaled(20.0), scaled(600.0)),
            (60, 60, 3, 0)
        );
    }

    #[tokio::test]
    async fn both_transports_answer() {
        let shutdown = CancellationToken::new();
        let sockets = DnsSockets::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = sockets.local_addr().unwrap();
        let (_keep, names) = watch::channel(bindings());
        let serving = tokio::spawn(serve_dns(sockets, names, 1.0, shutdown.clone()));
        let query = query("web-1.eu-west-1.elb.amazonaws.com", TYPE::A);

        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&query, address).await.unwrap();
        let mut buffer = [0; 512];
        let (length, _) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(told(&buffer[..length]), "NoError 127.0.0.7 for 60 s");

        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            stream
                .write_u16(u16::try_from(query.len()).unwrap())
                .await
                .unwrap();
            stream.write_all(&query).await.unwrap();
            let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(told(&answer), "NoError 127.0.0.7 for 60 s");
        }
        shutdown.cancel();
        serving.await.unwrap();
    }
}
