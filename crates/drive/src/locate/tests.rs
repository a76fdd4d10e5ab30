//! Names of a little world of our own, answered by a name server on the loopback.

use std::collections::HashMap;

use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{Name, Record, RecordType, rdata::A},
};
use tokio::net::UdpSocket;

use super::*;

type World = HashMap<(String, RecordType), Vec<RData>>;

/// Answers from `world`, and not at all for names below `silent.`.
async fn serve(world: World) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            let Ok(question) = Message::from_vec(&buffer[..count]) else { continue };
            let Some(query) = question.queries.first().cloned() else { continue };
            let name = query.name().to_utf8();
            if name.ends_with("silent.") {
                continue;
            }
            let mut answer = question.clone();
            answer.metadata.message_type = MessageType::Response;
            let known = world.keys().any(|(n, _)| *n == name);
            answer.metadata.response_code =
                if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
            for data in world.get(&(name, query.query_type())).into_iter().flatten() {
                answer.answers.push(Record::from_rdata(query.name().clone(), 60, data.clone()));
            }
            let _ = socket.send_to(&answer.to_vec().expect("an answer"), from).await;
        }
    });
    at
}

fn name(text: &str) -> Name {
    Name::from_utf8(text).expect("a name")
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    RData::NAPTR(NAPTR::new(order, 0, bytes("s"), bytes(service), bytes(""), name(replacement)))
}

fn srv(priority: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, 0, port, name(target)))
}

fn a(last: u8) -> RData {
    RData::A(A::new(127, 0, 0, last))
}

async fn located(locator: &Locator, uri: &str) -> Result<Vec<String>, Unlocated> {
    let hops = locator.locate(&Uri::parse(uri.as_bytes()).expect("an address")).await?;
    assert!(hops.iter().all(|hop| hop.local.is_some_and(|ip| ip.is_loopback())));
    Ok(hops.iter().map(|hop| format!("{} {}", word(hop.protocol), hop.remote)).collect())
}

#[tokio::test]
async fn naptr_then_srv_then_addresses() {
    let key = |text: &str, kind| (text.to_owned(), kind);
    let world = World::from([
        (
            key("full.vn.", RecordType::NAPTR),
            vec![
                naptr(20, "SIP+D2U", "_sip._udp.full.vn."),
                naptr(10, "SIP+D2T", "_sip._tcp.full.vn."),
                naptr(5, "SIPS+D2T", "_sips._tcp.full.vn."),
            ],
        ),
        (
            key("_sip._tcp.full.vn.", RecordType::SRV),
            vec![srv(2, 5080, "b.full.vn."), srv(1, 5070, "a.full.vn.")],
        ),
        (key("_sip._udp.full.vn.", RecordType::SRV), vec![srv(1, 5060, "b.full.vn.")]),
        (key("a.full.vn.", RecordType::A), vec![a(11)]),
        (key("b.full.vn.", RecordType::A), vec![a(12)]),
        (key("_sip._udp.srv.vn.", RecordType::SRV), vec![srv(1, 6000, "plain.vn.")]),
        (key("plain.vn.", RecordType::A), vec![a(1), a(2)]),
        (key("srv.vn.", RecordType::A), vec![a(9)]),
    ]);
    let locator = Locator::new(&[serve(world).await]);
    let at = async |uri| located(&locator, uri).await.expect("found");
    assert_eq!(
        at("sip:x@full.vn").await,
        ["tcp 127.0.0.11:5070", "tcp 127.0.0.12:5080", "udp 127.0.0.12:5060"]
    );
    assert_eq!(at("sip:x@full.vn;transport=udp").await, ["udp 127.0.0.12:5060"]);
    assert_eq!(at("sip:x@srv.vn").await, ["udp 127.0.0.1:6000", "udp 127.0.0.2:6000"]);
    assert_eq!(at("sip:x@plain.vn").await, ["udp 127.0.0.1:5060", "udp 127.0.0.2:5060"]);
    assert_eq!(at("sip:x@plain.vn:7000;transport=tcp").await, ["tcp 127.0.0.1:7000", "tcp 127.0.0.2:7000"]);
    assert_eq!(located(&locator, "sip:x@nowhere.vn").await, Err(Unlocated::NoSuchName));
}

#[tokio::test]
async fn an_address_needs_no_name_server() {
    let locator = Locator::new(&["127.0.0.1:9".parse().expect("address")]);
    let at = async |uri| located(&locator, uri).await;
    assert_eq!(at("sip:127.0.0.3").await, Ok(vec!["udp 127.0.0.3:5060".to_owned()]));
    assert_eq!(at("sip:a@127.0.0.3:5070;transport=TCP").await, Ok(vec!["tcp 127.0.0.3:5070".to_owned()]));
    assert_eq!(at("sip:a@name.vn;maddr=127.0.0.4").await, Ok(vec!["udp 127.0.0.4:5060".to_owned()]));
    assert_eq!(at("sips:a@127.0.0.3").await, Err(Unlocated::Transport));
    assert_eq!(at("sip:a@127.0.0.3;transport=tls").await, Err(Unlocated::Transport));
}

#[tokio::test]
async fn a_silent_name_server_is_no_missing_name() {
    let locator = Locator::new(&[serve(World::new()).await]);
    assert_eq!(located(&locator, "sip:a@x.silent:5060").await, Err(Unlocated::NoAnswer));
}

#[test]
fn servers_come_by_priority_and_weight() {
    let server = |priority, weight, target: &str| Server { priority, weight, port: 1, target: target.into() };
    let all = || vec![server(2, 0, "last"), server(1, 0, "light"), server(1, 9, "heavy"), server(0, 0, ".")];
    let names = |lot: u32| -> Vec<String> {
        in_turn(all(), |below| lot.min(below - 1)).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(0), ["light", "heavy", "last"]);
    assert_eq!(names(5), ["heavy", "light", "last"]);
}
