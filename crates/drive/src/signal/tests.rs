//! The loop on real loopback sockets.

use std::{net::SocketAddr, time::Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
};

use cau_sip::{ConnId, Input, Transmit, Transport};

use super::{Core, Sockets, run};

/// Sends everything back the way it came; a request makes it call out over TCP.
#[derive(Default)]
struct Echo {
    out: Vec<Transmit>,
    local: Option<SocketAddr>,
}

impl Core for Echo {
    type Request = Option<SocketAddr>;

    fn handle_input(&mut self, _: Instant, input: Input<'_>) {
        let Input { transport, local, remote, bytes } = input;
        self.local = Some(local);
        self.out.push(Transmit { transport, local: Some(local), remote, bytes: bytes.to_vec().into() });
    }
    fn handle_connected(&mut self, _: Instant, _: ConnId, _: SocketAddr, _: SocketAddr) {}
    fn handle_connect_failed(&mut self, _: Instant, _: SocketAddr) {}
    fn handle_closed(&mut self, _: Instant, _: ConnId) {}
    fn handle_request(&mut self, _: Instant, request: Self::Request) {
        if let Some(remote) = request {
            let transport = Transport::TcpConnect;
            self.out.push(Transmit { transport, local: None, remote, bytes: "out".into() });
        }
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop()
    }
    fn is_finished(&self) -> bool {
        false
    }
}

async fn echoed(bind: &str, to: &str) {
    let sockets = Sockets::bind(&[bind.parse().expect("address")]).expect("bound");
    let port = sockets.addrs()[0].port();
    let (stop, requests) = mpsc::channel(1);
    let client = async {
        let to: SocketAddr = format!("{to}:{port}").parse().expect("address");
        let from: SocketAddr = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" }.parse().expect("address");
        let udp = UdpSocket::bind(from).await.expect("bound");
        // Connected: an answer from another address than the one asked would not be received.
        udp.connect(to).await.expect("connected");
        udp.send(b"hello").await.expect("sent");
        let mut buffer = [0; 64];
        assert_eq!(udp.recv(&mut buffer).await.expect("answered"), 5);

        let mut tcp = TcpStream::connect(to).await.expect("connected");
        tcp.write_all(b"stream").await.expect("sent");
        let mut buffer = [0; 6];
        tcp.read_exact(&mut buffer).await.expect("answered");
        assert_eq!(&buffer, b"stream");

        let listener = TcpListener::bind(from).await.expect("bound");
        let ip = to.ip();
        let far = SocketAddr::new(ip, listener.local_addr().expect("bound").port());
        stop.send(Some(far)).await.expect("running");
        let (mut called, _) = listener.accept().await.expect("called");
        let mut buffer = [0; 3];
        called.read_exact(&mut buffer).await.expect("sent");
        assert_eq!(&buffer, b"out");
        drop(stop);
    };
    let mut core = Echo::default();
    tokio::join!(run(&mut core, sockets, requests), client);
    assert_eq!(core.local.map(|l| l.ip()), Some(to.trim_matches(['[', ']']).parse().expect("address")));
}

#[tokio::test]
async fn answers_leave_from_the_address_that_was_called() {
    echoed("0.0.0.0:0", "127.0.0.2").await;
    echoed("127.0.0.1:0", "127.0.0.1").await;
    echoed("[::]:0", "[::1]").await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = Sockets::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bound");
    let error = Sockets::bind(&first.addrs()).err().expect("refused").to_string();
    assert!(error.contains(&first.addrs()[0].to_string()), "{error}");
}
