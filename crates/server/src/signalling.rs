//! The focus as the driver wants it, and its notices to those who listen.

use std::{net::SocketAddr, time::Instant};

use cau_conference::{Focus, Request};
use cau_drive::signal;
use cau_sip::{ConnId, Input, Transmit};

/// The signalling core: the focus, and where its notices go.
pub struct Signalling {
    focus: Focus,
    notices: Box<dyn FnMut(cau_conference::Notice)>,
}

impl Signalling {
    /// Hands every notice of `focus` to `notices`, which must not block.
    pub fn new(focus: Focus, notices: impl FnMut(cau_conference::Notice) + 'static) -> Self {
        Self { focus, notices: Box::new(notices) }
    }
}

impl signal::Core for Signalling {
    type Request = Request;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.focus.handle_input(now, input);
    }
    fn handle_connected(&mut self, now: Instant, conn: ConnId, local: SocketAddr, remote: SocketAddr) {
        self.focus.handle_connected(now, conn, local, remote);
    }
    fn handle_connect_failed(&mut self, now: Instant, remote: SocketAddr) {
        self.focus.handle_connect_failed(now, remote);
    }
    fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.focus.handle_closed(now, conn);
    }
    fn handle_request(&mut self, now: Instant, request: Request) {
        self.focus.handle_request(now, request);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.focus.handle_timeout(now);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.focus.poll_timeout()
    }
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.focus.poll_transmit()
    }
    fn settle(&mut self) {
        while let Some(notice) = self.focus.poll_notice() {
            (self.notices)(notice);
        }
    }
    fn is_finished(&self) -> bool {
        self.focus.is_drained()
    }
}
