//! One WebSocket to another MCU: a reading and a writing half, and a bounded queue before the writing one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cau_cascade::{ConnId, wire};
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::AbortHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{Role, WebSocketConfig},
    },
};

use super::driver::Input;

/// The subprotocol.
pub const PROTOCOL: &str = "cau-cascade.1";
/// Bytes that wait to be written.
const MOST_BYTES: usize = 1 << 20;
/// Messages that do.
const MOST_MESSAGES: usize = 8_192;
/// What was to be said last has so long to leave.
const ENDING: Duration = Duration::from_secs(2);

/// Bytes from and to anywhere.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A WebSocket on whatever carries it.
pub type Socket = WebSocketStream<Box<dyn Duplex>>;

/// How messages are bounded.
pub fn bounds() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(wire::MAX_BYTES)).max_frame_size(Some(wire::MAX_BYTES))
}

/// A socket whose upgrade is done.
pub async fn socket(stream: impl Duplex + 'static, role: Role) -> Socket {
    let stream: Box<dyn Duplex> = Box::new(stream);
    WebSocketStream::from_raw_socket(stream, role, Some(bounds())).await
}

enum Out {
    Text(Utf8Bytes),
    Close,
}

/// The driver's end of a line.
#[derive(Debug)]
pub struct Line {
    queue: mpsc::Sender<Out>,
    waiting: Arc<AtomicUsize>,
    task: AbortHandle,
}

/// The other side takes what it is sent too slowly.
#[derive(Debug, PartialEq, Eq)]
pub struct Slow;

impl Line {
    /// Runs a socket; what comes of it goes to `inputs`, its end too.
    pub fn spawn(conn: ConnId, socket: Socket, inputs: mpsc::Sender<Input>) -> Self {
        let (queue, outgoing) = mpsc::channel(MOST_MESSAGES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(run(conn, socket, inputs, outgoing, waiting.clone()));
        Self { queue, waiting, task: task.abort_handle() }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`Slow`]: it has no room; the line is of no use any more.
    pub fn send(&self, text: Vec<u8>) -> Result<(), Slow> {
        let size = text.len();
        let text = Utf8Bytes::try_from(text).map_err(|_| Slow)?;
        if self.waiting.fetch_add(size, Ordering::Relaxed) + size > MOST_BYTES {
            return Err(Slow);
        }
        match self.queue.try_send(Out::Text(text)) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Slow),
            // Its end is on the way to the driver.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Ends it after what was to be sent.
    pub fn close(self) {
        if self.queue.try_send(Out::Close).is_err() {
            self.task.abort();
        }
    }

    /// Ends it now.
    pub fn cut(self) {
        self.task.abort();
    }
}

async fn run(
    conn: ConnId,
    socket: Socket,
    inputs: mpsc::Sender<Input>,
    mut outgoing: mpsc::Receiver<Out>,
    waiting: Arc<AtomicUsize>,
) {
    let (mut sink, stream) = socket.split();
    let write = async {
        while let Some(out) = outgoing.recv().await {
            match out {
                Out::Text(text) => {
                    let size = text.len();
                    if sink.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                    waiting.fetch_sub(size, Ordering::Relaxed);
                }
                Out::Close => break,
            }
        }
        let _ = tokio::time::timeout(ENDING, sink.close()).await;
    };
    let why = tokio::select! {
        why = read(conn, stream, &inputs) => why,
        () = write => "ended",
    };
    let _ = inputs.send(Input::Closed(conn, why)).await;
}

/// Reads until the end; why it ended.
async fn read(
    conn: ConnId,
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    inputs: &mpsc::Sender<Input>,
) -> &'static str {
    loop {
        let text: Bytes = match stream.next().await {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Binary(_))) => return "binary",
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => return "oversized",
            Some(Err(Error::Io(_))) => return "lost",
            Some(Err(Error::Utf8(_) | Error::Protocol(_) | Error::Capacity(_) | Error::AttackAttempt)) => {
                return "broken";
            }
            None | Some(Ok(Message::Close(_)) | Err(_)) => return "ended",
        };
        // A full queue makes the other side wait.
        if inputs.send(Input::Message(conn, text)).await.is_err() {
            return "ended";
        }
    }
}
