//! The focus as the driver wants it, and its notices to those who listen.

use std::{net::SocketAddr, time::Instant};

use cau_conference::{Focus, Keep, Request};
use cau_drive::signal;
use cau_sip::{ConnId, Hop, Input, Transmit, Unlocated, Uri};
use cau_store::{Keeper, Key};

use crate::cascade::Mirror;

/// The signalling core: the focus, and where its notices and what it wants kept go.
pub struct Signalling {
    focus: Focus,
    notices: Box<dyn FnMut(cau_conference::Notice)>,
    keeper: Keeper,
    mirror: Option<Mirror>,
}

impl Signalling {
    /// Hands every notice of `focus` to `notices`, which must not block, and what is to be kept to `keeper`, and to `mirror`
    /// where another master wants it.
    pub fn new(
        focus: Focus,
        notices: impl FnMut(cau_conference::Notice) + 'static,
        keeper: Keeper,
        mirror: Option<Mirror>,
    ) -> Self {
        Self { focus, notices: Box::new(notices), keeper, mirror }
    }

    fn keep(&self, keep: &Keep) {
        if let Some(mirror) = &self.mirror {
            mirror.keep(keep);
        }
        match keep {
            Keep::Room(id, room) => self.keeper.keep(Key::Room(*id), json(room)),
            Keep::RoomGone(id) => {
                self.keeper.keep(Key::Sites(*id), None);
                self.keeper.keep(Key::Room(*id), None);
            }
            Keep::Site(conference, id, site) => self.keeper.keep(Key::Site(*conference, *id), json(site)),
            Keep::SiteGone(conference, id) => self.keeper.keep(Key::Site(*conference, *id), None),
        }
    }
}

/// A record as text. What cannot be written is forgotten rather than kept as it was.
fn json(record: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string(record).map_err(|e| tracing::error!("a record cannot be kept: {e}")).ok()
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
    fn poll_lookup(&mut self) -> Option<(u64, Uri)> {
        self.focus.poll_lookup().map(|lookup| (lookup.token, lookup.uri))
    }
    fn handle_lookup(&mut self, now: Instant, token: u64, found: Result<Vec<Hop>, Unlocated>) {
        self.focus.handle_lookup(now, token, found);
    }
    fn settle(&mut self) {
        while let Some(keep) = self.focus.poll_kept() {
            self.keep(&keep);
        }
        while let Some(notice) = self.focus.poll_notice() {
            (self.notices)(notice);
        }
    }
    fn is_finished(&self) -> bool {
        self.focus.is_drained()
    }
}
