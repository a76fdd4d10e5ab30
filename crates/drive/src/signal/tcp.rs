//! SIP over TCP: one task per connection, bounded queues both ways.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use cau_sip::ConnId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::Inbound;

/// Messages waiting to be written to one connection; a peer that reads more slowly is cut off.
const WRITE_QUEUE: usize = 256;
/// A connection must be up within this time.
const CONNECT: Duration = Duration::from_secs(10);
/// A single write that takes longer means the peer has stopped reading.
const WRITE: Duration = Duration::from_secs(10);

/// Where to put messages for one connection.
pub(super) type Writer = mpsc::Sender<Bytes>;

/// A listening socket that survives restarts of the program at once.
pub(super) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(addr),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Serves an accepted connection until it ends; the returned writer feeds it.
pub(super) fn serve(conn: ConnId, stream: TcpStream, inbox: mpsc::Sender<Inbound>) -> Writer {
    let (writer, queue) = mpsc::channel(WRITE_QUEUE);
    tokio::spawn(run(conn, stream, queue, inbox));
    writer
}

/// Opens a connection to `remote` and serves it; messages queued meanwhile go out when it is up.
pub(super) fn connect(
    conn: ConnId,
    local: Option<SocketAddr>,
    remote: SocketAddr,
    inbox: mpsc::Sender<Inbound>,
) -> Writer {
    let (writer, queue) = mpsc::channel(WRITE_QUEUE);
    tokio::spawn(async move {
        match timeout(CONNECT, open(local, remote))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        {
            Ok(stream) => {
                if let Ok(local) = stream.local_addr() {
                    let _ = inbox.send(Inbound::Connected { conn, local, remote }).await;
                }
                run(conn, stream, queue, inbox).await;
            }
            Err(error) => {
                tracing::debug!(%remote, "cannot connect: {error}");
                let _ = inbox.send(Inbound::Failed { conn, remote }).await;
            }
        }
    });
    writer
}

async fn open(local: Option<SocketAddr>, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket =
        if remote.is_ipv6() { tokio::net::TcpSocket::new_v6()? } else { tokio::net::TcpSocket::new_v4()? };
    if let Some(local) = local.filter(|l| !l.ip().is_unspecified() && l.is_ipv6() == remote.is_ipv6()) {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

async fn run(
    conn: ConnId,
    stream: TcpStream,
    mut queue: mpsc::Receiver<Bytes>,
    inbox: mpsc::Sender<Inbound>,
) {
    let _ = stream.set_nodelay(true);
    if let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) {
        let (mut reader, mut writer) = stream.into_split();
        let write = async {
            while let Some(message) = queue.recv().await {
                match timeout(WRITE, writer.write_all(&message)).await {
                    Ok(Ok(())) => {}
                    _ => break,
                }
            }
        };
        let read = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if inbox.send(Inbound::Stream { conn, local, remote, bytes }).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { () = write => {}, () = read => {} }
    }
    let _ = inbox.send(Inbound::Closed(conn)).await;
}
