//! The HTTP listeners, plain and over TLS: a bound on connections, and time-outs for those who do not finish what they begin to say.
//!
//! A request's head has [`Limits::head`] to arrive, its body [`Limits::body`] as a whole, so that a trickle does not hold a
//! connection either. Answers may take as long as they like, event streams included, as long as the client takes what it
//! is sent: after [`Limits::stalled`] without, the system ends the connection. A connection beyond the bounds is closed at
//! once. All of it is counted.

use std::{
    error::Error as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use cau_control::{Sample, Secure};
use hyper::{
    Request,
    body::{Body as _, Frame, Incoming, SizeHint},
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{
    cascade::{Refusals, Shown},
    places::{Full, Places},
    tls::{Face, Refused, Tls},
};

/// After an error of accept (no file descriptors, as a rule) the next try waits a little instead of turning in circles.
const PAUSE: Duration = Duration::from_millis(100);

/// The time a client has.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time for the head of a request, from the end of the one before; so also how long a connection may be idle.
    pub head: Duration,
    /// Time for the whole body of a request.
    pub body: Duration,
    /// How long a client may leave an answer unread that no longer fits into the buffers between.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            stalled: Duration::from_secs(60),
        }
    }
}

/// What happened at the listener, for `/metrics`. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    too_many: AtomicU64,
    too_many_from_address: AtomicU64,
    no_request: AtomicU64,
    slow_body: AtomicU64,
    stalled: AtomicU64,
}

impl Counts {
    /// The figures.
    pub fn samples(&self, places: &Places) -> Vec<Sample> {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
        let closed = |reason: &str, n| {
            Sample::new("cau_http_closed_total", "HTTP connections closed by the server, by reason.", n)
                .label("reason", reason)
        };
        vec![
            Sample::new("cau_http_connections", "HTTP connections open now.", places.taken() as f64),
            closed("too-many", get(&self.0.too_many)),
            closed("too-many-from-address", get(&self.0.too_many_from_address)),
            closed("no-request", get(&self.0.no_request)),
            closed("slow-body", get(&self.0.slow_body)),
            closed("stalled", get(&self.0.stalled)),
        ]
    }
}

/// What is served, and over what.
#[derive(Clone)]
pub enum Over {
    /// Plain HTTP.
    Plain(Router),
    /// HTTPS, and links where they are wanted.
    Tls(Secured),
}

/// What is served over TLS.
#[derive(Clone)]
pub struct Secured {
    tls: Arc<Tls>,
    console: Router,
    links: Option<Router>,
    refusals: Refusals,
}

impl Over {
    /// HTTPS with these certificates; `links`: for the other MCUs.
    pub fn tls(tls: Arc<Tls>, console: Router, links: Option<Router>, refusals: Refusals) -> Self {
        Self::Tls(Secured { tls, console: console.layer(Extension(Secure)), links, refusals })
    }
}

impl From<Router> for Over {
    fn from(app: Router) -> Self {
        Self::Plain(app)
    }
}

/// Serves `app` until `ended`, then lets the requests under way come to their end.
///
/// # Errors
/// None yet: what fails concerns one connection, and is logged or counted.
pub async fn serve(
    listener: TcpListener,
    app: impl Into<Over>,
    places: Places,
    limits: Limits,
    counts: Counts,
    ended: impl Future<Output = ()>,
) -> io::Result<()> {
    let app = app.into();
    let ending = CancellationToken::new();
    // Each connection holds one end; when all are gone nothing is under way.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    tokio::pin!(ended);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ended => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(error = %e, "no connection could be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(full) => {
                let count = match full {
                    Full::All => &counts.0.too_many,
                    Full::Address => &counts.0.too_many_from_address,
                };
                count.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        let (app, counts, alive, ending) = (app.clone(), counts.clone(), alive.clone(), ending.clone());
        tokio::spawn(async move {
            prepare(&stream, limits);
            match app {
                Over::Plain(app) => {
                    connection(TokioIo::new(stream), peer, app, limits, counts, ending).await;
                }
                Over::Tls(secured) => {
                    if let Some((stream, app)) = secured.accept(stream, peer).await {
                        connection(TokioIo::new(stream), peer, app, limits, counts, ending).await;
                    }
                }
            }
            drop((place, alive));
        });
    }
    drop((listener, alive));
    ending.cancel();
    let _ = gone.recv().await;
    Ok(())
}

impl Secured {
    /// The handshake, and what this connection is for.
    async fn accept(self, stream: TcpStream, peer: SocketAddr) -> Option<(TlsStream<TcpStream>, Router)> {
        match self.tls.accept(stream).await {
            Ok((stream, Face::Console)) => Some((stream, self.console)),
            Ok((stream, Face::Link(shown))) => match self.links {
                Some(links) => Some((stream, links.layer(Extension(Shown(shown))))),
                None => {
                    self.refusals.tell(peer, "not-a-cascade");
                    None
                }
            },
            Err(refused) => {
                if refused == Refused::Certificate {
                    self.refusals.tell(peer, "certificate");
                }
                None
            }
        }
    }
}

fn prepare(stream: &TcpStream, limits: Limits) {
    // Events are small and must not wait for the next one.
    let _ = stream.set_nodelay(true);
    // The kernel knows what the client has taken, hyper only what the kernel has.
    #[cfg(target_os = "linux")]
    if let Err(e) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.stalled)) {
        tracing::debug!(error = %e, "no time-out for a client that does not read");
    }
}

/// Serves a connection to its end; `ending`: the request under way is the last.
async fn connection(
    stream: impl Read + Write + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    counts: Counts,
    ending: CancellationToken,
) {
    let numbers = counts.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Timed::new(body, limits.body, counts.clone())));
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(stream, service)
        .with_upgrades();
    tokio::pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => Some(done),
        () = ending.cancelled() => None,
    };
    let done = match done {
        Some(done) => done,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    // Before the connection is closed: who sees its end sees it counted.
    if let Err(e) = done {
        if e.is_timeout() {
            numbers.0.no_request.fetch_add(1, Ordering::Relaxed);
        } else if is_stalled(&e) {
            numbers.0.stalled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The system gave the connection up: nothing was taken for too long.
fn is_stalled(e: &hyper::Error) -> bool {
    e.source()
        .and_then(|e| e.downcast_ref::<io::Error>())
        .is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

/// A body that must have arrived as a whole within a time.
struct Timed {
    body: Incoming,
    deadline: Option<Pin<Box<Sleep>>>,
    counts: Counts,
}

impl Timed {
    fn new(body: Incoming, time: Duration, counts: Counts) -> Self {
        let deadline = (!body.is_end_stream()).then(|| Box::pin(tokio::time::sleep(time)));
        Self { body, deadline, counts }
    }
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if !late {
            return Poll::Pending;
        }
        self.deadline = None;
        self.counts.0.slow_body.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Err(Box::new(io::Error::from(io::ErrorKind::TimedOut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use axum::routing::{get, post};

    use super::*;

    /// Real sockets, and short times in place of the real ones.
    fn start(limits: Limits, places: (usize, usize)) -> (SocketAddr, Counts, tokio::runtime::Runtime) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            "late"
        };
        let app = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/slow", get(slow))
            .route("/endless", get(|| async { Body::new(Endless) }))
            .route("/body", post(|body: String| async move { body }));
        let counts = Counts::default();
        let places = Places::new(places.0, places.1, Vec::new());
        runtime.spawn(serve(listener, app, places, limits, counts.clone(), std::future::pending()));
        (addr, counts, runtime)
    }

    const SHORT: Limits = Limits {
        head: Duration::from_millis(300),
        body: Duration::from_millis(300),
        stalled: Duration::from_millis(500),
    };

    /// An answer without an end.
    struct Endless;

    impl hyper::body::Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 65_536])))))
        }
    }

    fn said(addr: SocketAddr, text: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        // A reset is an end, too.
        let _ = stream.read_to_string(&mut answer);
        (stream, answer)
    }

    fn count(counts: &Counts, reason: &str) -> f64 {
        let samples = counts.samples(&Places::new(1, 1, Vec::new()));
        samples.iter().find(|s| s.labels.iter().any(|(_, v)| v == reason)).unwrap().value
    }

    #[test]
    fn half_a_head_is_closed_and_counted() {
        let (addr, counts, _runtime) = start(SHORT, (10, 10));
        assert_eq!(said(addr, "GET / HTTP/1.1\r\nHost: x\r\n").1, "");
        assert_eq!(count(&counts, "no-request"), 1.0);
    }

    #[test]
    fn a_body_that_does_not_come_is_answered_and_closed_and_counted() {
        let (addr, counts, _runtime) = start(SHORT, (10, 10));
        let head = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome";
        assert!(said(addr, head).1.starts_with("HTTP/1.1 4"));
        assert_eq!(count(&counts, "slow-body"), 1.0);
    }

    #[test]
    fn an_answer_may_take_longer_than_the_time_for_a_request() {
        let (addr, counts, _runtime) = start(SHORT, (10, 10));
        let answer = said(addr, "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").1;
        assert!(answer.ends_with("late"), "{answer}");
        assert_eq!(count(&counts, "no-request"), 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_client_that_does_not_read_its_answer_is_closed_and_counted() {
        let (addr, counts, runtime) = start(SHORT, (10, 10));
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        // Only the system's clock can tell; it looks at times that double.
        let closed = runtime.block_on(async {
            let mut look = tokio::time::interval(Duration::from_millis(25));
            for _ in 0..400 {
                look.tick().await;
                if count(&counts, "stalled") == 1.0 {
                    return true;
                }
            }
            false
        });
        assert!(closed);
    }

    #[test]
    fn beyond_the_bound_connections_are_closed_at_once_and_places_come_back() {
        let (addr, counts, _runtime) = start(Limits { head: Duration::from_secs(60), ..SHORT }, (2, 2));
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).unwrap();
            open.push(stream);
        }
        assert_eq!(said(addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").1, "");
        assert_eq!(count(&counts, "too-many"), 1.0);
        open.clear();
        let whole = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        // The server hears of the closing a moment later.
        assert!((0..1000).any(|_| said(addr, whole).1.ends_with("ok")));
    }

    #[test]
    fn one_address_is_closed_at_its_own_bound() {
        let (addr, counts, _runtime) = start(Limits { head: Duration::from_secs(60), ..SHORT }, (10, 1));
        let mut first = TcpStream::connect(addr).unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        first.read_exact(&mut [0; 15]).unwrap();
        assert_eq!(said(addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").1, "");
        assert_eq!(count(&counts, "too-many-from-address"), 1.0);
    }
}
