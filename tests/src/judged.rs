//! What a client received, as the judge of the kit says.

use std::{collections::BTreeSet, fs, path::Path, time::SystemTime};

use serde::Deserialize;

/// `judge.json` and `summary.json` of one client.
#[derive(Debug)]
pub struct Judged {
    /// The client's identity: its colour, bar and tone.
    pub id: u8,
    /// Snapshots in order.
    pub pictures: Vec<Picture>,
    /// Who is heard in each second of the recording.
    pub seconds: Vec<BTreeSet<u8>>,
    /// What the driver of the client says.
    pub summary: Summary,
}

/// One snapshot.
#[derive(Clone, Debug, Deserialize)]
pub struct Picture {
    /// Seconds since 1970.
    pub t: f64,
    /// Width and height.
    pub size: (u32, u32),
    /// Patterns found, from the upper left to the lower right.
    pub tiles: Vec<Tile>,
}

/// One pattern in a snapshot.
#[derive(Clone, Debug, Deserialize)]
pub struct Tile {
    /// Identity by colour.
    pub colour: u8,
    /// Identity by bar; `None`: unreadable, broken.
    pub id: Option<u8>,
    /// Frame counter.
    pub n: Option<u16>,
    /// Left, top, right, bottom in parts of the picture.
    #[serde(rename = "box")]
    pub place: [f64; 4],
}

/// `summary.json`, what is used of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The call stood.
    pub established: bool,
    /// INVITE to answer.
    pub set_up_ms: Option<f64>,
    /// Seconds since 1970.
    pub established_at: Option<f64>,
    /// Why it closed.
    pub closed: Option<String>,
    /// Pictures per second shown.
    pub rx_fps_shown: Option<f64>,
    /// How long the call stood.
    pub duration_s: Option<f64>,
    /// Codecs.
    pub negotiated: Vec<String>,
    /// Decoder complaints.
    pub decode_errors: u32,
    /// Things done at a time: seconds, command, whether accepted, answer (baresip).
    pub actions: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    pictures: Vec<Picture>,
    audio: Option<Audio>,
}

#[derive(Deserialize)]
struct Audio {
    #[serde(default)]
    seconds: Vec<BTreeSet<u8>>,
}

impl Judged {
    /// Reads what `endpoint.sh` left in `dir`.
    pub fn read(id: u8, dir: &Path) -> Self {
        let text = |name: &str| {
            fs::read_to_string(dir.join(name)).unwrap_or_else(|e| panic!("{}: {e}", dir.join(name).display()))
        };
        let file: File = serde_json::from_str(&text("judge.json")).expect("judge.json");
        let summary = serde_json::from_str(&text("summary.json")).expect("summary.json");
        Self {
            id,
            pictures: file.pictures,
            seconds: file.audio.map(|a| a.seconds).unwrap_or_default(),
            summary,
        }
    }

    /// Snapshots from `from` to `to`.
    pub fn between(&self, from: SystemTime, to: SystemTime) -> Vec<&Picture> {
        let s = |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let (from, to) = (s(from), s(to));
        self.pictures.iter().filter(|p| p.t >= from && p.t <= to).collect()
    }

    /// Asserts that every bar in these pictures can be read and says what the colour says.
    pub fn assert_unbroken(&self, pictures: &[&Picture]) {
        for p in pictures {
            for tile in &p.tiles {
                assert_eq!(
                    tile.id,
                    Some(tile.colour),
                    "client {} saw a broken tile at {:?} of {p:?}",
                    self.id,
                    tile.place
                );
            }
        }
    }

    /// Asserts that these identities are in these places (left, top, right, bottom), give or take two hundredths, in every picture.
    pub fn assert_seats(&self, pictures: &[&Picture], seats: &[(u8, [f64; 4])]) {
        assert!(!pictures.is_empty(), "client {} took no snapshot in that time", self.id);
        for p in pictures {
            for (id, place) in seats {
                let there = p.tiles.iter().find(|t| t.colour == *id);
                let near = |t: &Tile| t.place.iter().zip(place).all(|(a, b)| (a - b).abs() < 0.02);
                assert!(
                    there.is_some_and(near),
                    "client {} should see {id} at {place:?}, sees {:?}",
                    self.id,
                    p.tiles
                );
            }
            assert_eq!(
                p.tiles.len(),
                seats.len(),
                "client {} sees more or less than its seats: {:?}",
                self.id,
                p.tiles
            );
        }
    }

    /// Asserts that each identity's counter moved from the first to the last of these pictures.
    pub fn assert_running(&self, pictures: &[&Picture], ids: &[u8]) {
        for id in ids {
            let counters: Vec<u16> = pictures
                .iter()
                .flat_map(|p| &p.tiles)
                .filter(|t| t.colour == *id)
                .filter_map(|t| t.n)
                .collect();
            let different = counters.iter().collect::<BTreeSet<_>>().len();
            assert!(
                counters.len() > 1 && different * 10 >= counters.len() * 8,
                "client {}: the picture of {id} stands still: {counters:?}",
                self.id
            );
        }
    }

    /// Asserts that in the recording, `skip` seconds after its start and one before its end, every second has exactly these tones, but for
    /// `bad` seconds.
    pub fn assert_hears(&self, skip: usize, ids: &[u8], bad: usize) {
        let wanted: BTreeSet<u8> = ids.iter().copied().collect();
        let end = self.seconds.len().saturating_sub(1);
        let heard = self.seconds.get(skip..end).unwrap_or_default();
        assert!(heard.len() >= 3, "client {}: the recording is too short: {:?}", self.id, self.seconds);
        assert!(
            heard.iter().all(|s| !s.contains(&self.id) || wanted.contains(&self.id)),
            "client {} hears itself: {:?}",
            self.id,
            self.seconds
        );
        let wrong = heard.iter().filter(|s| **s != wanted).count();
        assert!(wrong <= bad, "client {} should hear {wanted:?}, hears {:?}", self.id, self.seconds);
    }
}
