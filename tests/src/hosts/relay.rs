//! Delay, which this kernel may not have (`netem`): between the two ends of a line stands a relay that reads every frame from one and writes it to the
//! other when its time has come. The ends are `macvtap` devices, read and written as files.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use cau_netem::{Config, Link};

use super::run;

/// The largest frame with the header the kernel puts before it.
const FRAME: usize = 2_048;

/// Carries frames between two devices, each way by threads of its own, until the devices are gone.
pub(super) fn start(ends: [&str; 2], delay: Duration, mtu: &str) {
    let taps = ends.map(|end| tap(end, mtu));
    let copy = |tap: &File| tap.try_clone().expect("a second handle");
    let [a, b] = &taps;
    for (from, to) in [(copy(a), copy(b)), (copy(b), copy(a))] {
        let (frames, inbox) = channel();
        let read = move || {
            let mut from = from;
            let mut frame = vec![0; FRAME];
            // An error: the device is gone.
            while let Ok(length) = from.read(&mut frame) {
                if frames.send((Instant::now(), frame[..length].to_vec())).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("relay-read".into()).spawn(read).expect("a thread");
        let write = move || deliver(&inbox, to, delay);
        thread::Builder::new().name("relay-write".into()).spawn(write).expect("a thread");
    }
}

fn deliver(inbox: &Receiver<(Instant, Vec<u8>)>, mut to: File, delay: Duration) {
    let mut line: Link<Vec<u8>> = Link::new(Config { delay, ..Config::default() }, 1);
    loop {
        let next = line.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        match inbox.recv_timeout(next.unwrap_or(Duration::from_secs(3600))) {
            Ok((at, frame)) => line.insert(at, frame),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(frame) = line.poll(Instant::now()) {
            // What the other end does not take is lost, as on any line.
            let _ = to.write_all(&frame);
        }
    }
}

/// The device as a file.
fn tap(end: &str, mtu: &str) -> File {
    let name = format!("{end}t");
    run(&["ip", "link", "set", end, "mtu", mtu, "up"]);
    run(&["ip", "link", "add", "link", end, "name", &name, "type", "macvtap", "mode", "passthru"]);
    run(&["ip", "link", "set", &name, "up"]);
    let index = fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).expect("its number");
    let file = format!("/dev/tap{}", index.trim());
    OpenOptions::new().read(true).write(true).open(&file).unwrap_or_else(|e| panic!("{file}: {e}"))
}
