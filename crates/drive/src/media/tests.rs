//! Media threads with real sockets.

use super::*;
use std::collections::VecDeque;

/// Sends ten times what it receives, as segments of one call, and reports every packet.
#[derive(Default)]
struct Tenfold {
    out: VecDeque<Transmit<u8>>,
    events: VecDeque<usize>,
    due: Option<Instant>,
}

impl Core for Tenfold {
    type Port = u8;
    type Command = Duration;
    type Event = usize;

    fn handle_packet(&mut self, _: Instant, _: Instant, port: u8, from: SocketAddr, data: Bytes) {
        self.events.push_back(data.len());
        let segment = Some(data.len());
        self.out.push_back(Transmit { port, to: from, data: data.repeat(10).into(), segment });
    }
    fn handle_command(&mut self, now: Instant, command: Duration) {
        self.due = Some(now + command);
    }
    fn handle_timeout(&mut self, _: Instant) {
        self.due = None;
        self.events.push_back(0);
    }
    fn handle_wake(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
    fn poll_transmit(&mut self) -> Option<Transmit<u8>> {
        self.out.pop_front()
    }
    fn poll_event(&mut self) -> Option<usize> {
        self.events.pop_front()
    }
}

/// Says when packets came.
#[derive(Default)]
struct Times(VecDeque<Instant>);

impl Core for Times {
    type Port = u8;
    type Command = crossbeam_channel::Receiver<()>;
    type Event = Instant;

    fn handle_packet(&mut self, _: Instant, at: Instant, _: u8, _: SocketAddr, _: Bytes) {
        self.0.push_back(at);
    }
    fn handle_command(&mut self, _: Instant, busy: Self::Command) {
        let _ = busy.recv();
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn handle_wake(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll_transmit(&mut self) -> Option<Transmit<u8>> {
        None
    }
    fn poll_event(&mut self) -> Option<Instant> {
        self.0.pop_front()
    }
}

#[test]
fn a_packet_has_come_when_the_machine_got_it_not_when_a_busy_thread_read_it() {
    let (report, reports) = crossbeam_channel::unbounded();
    let (handle, thread) =
        spawn("media-busy", false, |_| Times::default(), move |e| report.send(e).expect("test runs"))
            .expect("thread");
    let here = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let far = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let to = here.local_addr().expect("bound");
    handle.add(1, here);
    let came = || reports.recv_timeout(Duration::from_secs(10)).expect("came");
    far.send_to(&[0], to).expect("sent");
    came();
    // The kernel begins to stamp some time after the first socket of the machine has asked for it.
    let stamped = (0..100_000).any(|_| {
        let (free, busy) = crossbeam_channel::bounded(1);
        handle.command(busy);
        far.send_to(&[1], to).expect("sent");
        let read = Clock::now();
        free.send(()).expect("the thread waits");
        came() < read
    });
    assert!(stamped, "it has come when it was read");
    handle.stop();
    thread.join().expect("ended");
}

#[test]
fn a_wall_clock_that_was_set_does_not_shift_what_came() {
    let (now, wall) = (Clock::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let stamp = |ms: i64| Some(Duration::from_millis((1_000_000_000 + ms) as u64));
    assert_eq!(arrival(stamp(-30), now, wall), now - Duration::from_millis(30));
    for set in [stamp(-3_600_000), stamp(5), None] {
        assert_eq!(arrival(set, now, wall), now);
    }
}

#[test]
fn a_thread_ends_although_its_last_handle_goes_with_the_order_to_stop() {
    for _ in 0..200 {
        let (handle, thread) = spawn("media-end", false, |_| Tenfold::default(), |_| {}).expect("thread");
        handle.stop();
        drop(handle);
        thread.join().expect("ended");
    }
}

#[test]
fn packets_commands_and_timers_reach_the_core_and_segments_leave_as_datagrams() {
    let (report, reports) = crossbeam_channel::unbounded();
    let (handle, thread) =
        spawn("media-test", false, |_| Tenfold::default(), move |e| report.send(e).expect("test runs"))
            .expect("thread");
    let here = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let far = UdpSocket::bind("127.0.0.1:0").expect("bound");
    far.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let to = here.local_addr().expect("bound");
    // Sent before the thread knows the socket: it must not be forgotten.
    far.send_to(&[7; 1000], to).expect("sent");
    handle.add(1, here);
    let mut buffer = [0; 2000];
    for _ in 0..10 {
        assert_eq!(far.recv(&mut buffer).expect("answered"), 1000);
    }
    assert_eq!(reports.recv_timeout(Duration::from_secs(10)), Ok(1000));
    handle.command(Duration::from_millis(5));
    assert_eq!(reports.recv_timeout(Duration::from_secs(10)), Ok(0));
    handle.remove(1);
    handle.stop();
    thread.join().expect("ended");
    assert!(UdpSocket::bind(to).is_ok(), "the socket was closed");
}
