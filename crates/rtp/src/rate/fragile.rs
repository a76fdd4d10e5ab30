//! What a receiver may be sent that cannot have lost packets again: less, so that less of it is hurt (docs/adaptation.md, *Without retransmission*).

use super::share::Share;

/// Packets that its loss is averaged over, and how many must have been seen.
const MEMORY: f32 = 500.0;
const SURE: f32 = 300.0;
/// From so much loss on it is sent less, and below so much no more.
const FROM: f32 = 0.005;
const TO: f32 = 0.003;
/// kbit/s for all of the packets lost, by the square root of their share: 670 at 1 %, 300 at 5 %, 210 at 10 %.
const STEADY: f32 = 67.0;

/// A receiver without retransmission.
#[derive(Debug, Clone, Default)]
pub(super) struct Fragile {
    lately: Share,
    cap: Option<u32>,
}

impl Fragile {
    /// `loss`, 0–1, of so many packets.
    pub(super) fn note(&mut self, loss: f32, packets: f32) {
        self.lately.fade(packets, MEMORY);
        self.lately.add(loss * packets, packets);
        if self.lately.of < SURE {
            return;
        }
        let loss = self.lately.mean();
        let least = if self.cap.is_some() { TO } else { FROM };
        let cap = (loss >= least).then(|| (STEADY / loss.sqrt()) as u32);
        // Every change is a key frame: a quarter more or less is the same weather.
        let same = cap.zip(self.cap).is_some_and(|(new, old)| new * 4 <= old * 5 && new * 5 >= old * 4);
        if !same {
            self.cap = cap;
        }
    }

    /// kbit/s with headers; `None`: nothing is lost.
    pub(super) fn cap(&self) -> Option<u32> {
        self.cap
    }
}
