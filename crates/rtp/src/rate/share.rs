//! Loss, averaged.

/// Packets lost of packets sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub(super) lost: f32,
    pub(super) of: f32,
}

impl Share {
    /// As if so much had been lost of so many packets.
    pub(super) fn usual(own: f32, packets: f32) -> Self {
        Self { lost: own * packets, of: packets }
    }

    pub(super) fn add(&mut self, lost: f32, of: f32) {
        (self.lost, self.of) = (self.lost + lost, self.of + of);
    }

    /// Forgets as `packets` come, so that it holds the last `memory` packets.
    pub(super) fn fade(&mut self, packets: f32, memory: f32) {
        let left = (-packets / memory).exp();
        (self.lost, self.of) = (self.lost * left, self.of * left);
    }

    /// 0–1.
    pub(super) fn mean(self) -> f32 {
        self.lost / self.of.max(1.0)
    }
}
