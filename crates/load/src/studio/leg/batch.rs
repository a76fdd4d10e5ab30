//! Packets of one picture on their way to the kernel.

use std::collections::VecDeque;

use bytes::Bytes;
use cau_drive::media;
use cau_rtp::{Packet, packet::HEADER};

use crate::studio::Port;

/// Packets of one picture put together as the kernel wants them: equal sizes, the last one may be shorter.
pub(super) struct Batch {
    port: Port,
    to: std::net::SocketAddr,
    data: Vec<u8>,
    segment: usize,
}

impl Batch {
    /// For packets with payloads of these sizes.
    pub(super) fn new(port: Port, to: std::net::SocketAddr, payloads: impl Iterator<Item = usize>) -> Self {
        let data = Vec::with_capacity(payloads.map(|size| HEADER + size).sum());
        Self { port, to, data, segment: 0 }
    }

    pub(super) fn push(&mut self, packet: &Packet, out: &mut VecDeque<media::Transmit<Port>>) {
        let len = packet.wire_len();
        if self.data.is_empty() {
            self.segment = len;
        } else if len > self.segment {
            self.flush(out);
            self.segment = len;
        }
        packet.write(&mut self.data);
        if len < self.segment {
            self.flush(out);
        }
    }

    pub(super) fn flush(&mut self, out: &mut VecDeque<media::Transmit<Port>>) {
        if !self.data.is_empty() {
            let data = Bytes::from(std::mem::take(&mut self.data));
            out.push_back(media::Transmit {
                port: self.port,
                to: self.to,
                data,
                segment: Some(self.segment),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PhoneId;

    #[test]
    fn equal_packets_leave_in_one_call_and_a_longer_one_begins_the_next() {
        let port = Port { phone: PhoneId(1), video: true, rtcp: false };
        let mut out = VecDeque::new();
        let mut batch = Batch::new(port, "127.0.0.1:9".parse().unwrap(), [100; 2].into_iter());
        for len in [20usize, 100, 100, 40, 60] {
            let packet = Packet {
                pt: 97,
                marker: false,
                seq: 0,
                timestamp: 0,
                ssrc: 1,
                csrc: Default::default(),
                payload: vec![0; len].into(),
            };
            batch.push(&packet, &mut out);
        }
        batch.flush(&mut out);
        let sent: Vec<(usize, Option<usize>)> = out.iter().map(|t| (t.data.len(), t.segment)).collect();
        assert_eq!(sent, [(32, Some(32)), (112 + 112 + 52, Some(112)), (72, Some(72))]);
    }
}
