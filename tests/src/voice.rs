//! Sound by hand: G.711 A-law at a socket, a loud tone out, loud or silent in.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// Samples of a packet of 20 ms.
const SAMPLES: usize = 160;
/// The two sides of a square wave of 400 Hz at about half of full scale, ten samples each.
const WAVE: [u8; 2] = [0xe0 ^ 0x55, 0x60 ^ 0x55];

/// One socket for sound.
pub struct Voice {
    socket: UdpSocket,
    sent: u16,
}

impl Default for Voice {
    fn default() -> Self {
        Self::new()
    }
}

impl Voice {
    /// At a port of its own.
    pub fn new() -> Self {
        Self { socket: UdpSocket::bind("127.0.0.1:0").expect("a UDP socket"), sent: 0 }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().expect("bound").port()
    }

    /// Sends the tone there for a while.
    pub fn speak(&mut self, to: SocketAddr, time: Duration) {
        let begin = Instant::now();
        for n in 0.. {
            let at = Duration::from_millis(20 * n);
            if at >= time {
                return;
            }
            crate::pause(at.saturating_sub(begin.elapsed()));
            let mut packet = vec![0x80, 8];
            packet.extend(self.sent.to_be_bytes());
            packet.extend((u32::from(self.sent) * SAMPLES as u32).to_be_bytes());
            packet.extend([0, 0, 0x12, 0x34]);
            packet.extend((0..SAMPLES).map(|k| WAVE[k / 10 % 2]));
            self.sent = self.sent.wrapping_add(1);
            self.socket.send_to(&packet, to).expect("sent");
        }
    }

    /// Packets with something loud in them, and all, of those that came since the last look or come within a while.
    pub fn heard(&self, time: Duration) -> (usize, usize) {
        let end = Instant::now() + time;
        let (mut loud, mut all) = (0, 0);
        let mut buffer = [0; 2048];
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok(count) = self.socket.recv(&mut buffer) else { continue };
            // RTCP is passed over.
            let Some(payload) = buffer.get(12..count).filter(|_| buffer[1] & 0x7f == 8) else { continue };
            // Above about a thirtieth of full scale.
            let strong = payload.iter().filter(|b| (**b ^ 0x55) & 0x7f > 0x30).count();
            (loud, all) = (loud + usize::from(strong > SAMPLES / 2), all + 1);
        }
        (loud, all)
    }

    /// Whether anything has come at all.
    pub fn came(&self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        self.socket.recv(&mut [0; 2048]).is_ok()
    }
}
