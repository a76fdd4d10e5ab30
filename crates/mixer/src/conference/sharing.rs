//! How many encoders a conference may have, and who shares when more are wanted (docs/adaptation.md).

use std::collections::{BTreeMap, BTreeSet};

use cau_model::{ParticipantId, scene::SceneId};

use super::Place;
use crate::view;

/// What an encoder of one scene makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Encoding {
    kbps: u32,
    width: u32,
    height: u32,
    fps: u32,
}

/// Encodings that become one.
struct Group {
    scene: SceneId,
    encoding: Encoding,
    viewers: usize,
    members: BTreeSet<Encoding>,
}

/// Pictures a second of a machine that has time for all.
const FULL_CADENCE: u32 = 30;

/// How many encodings there may be when pictures go at `fps` a second: a machine without time for more pictures has none for more encoders.
pub fn most(configured: usize, fps: u32) -> usize {
    let fps = fps.min(FULL_CADENCE) as usize;
    (configured * fps).div_ceil(FULL_CADENCE as usize).max(1)
}

/// Brings the encodings that `places` want down to `most`, as far as there are several of one scene: again and again the two whose union
/// costs the fewest viewers the least become one, of the lesser rate, size and cadence of both.
pub fn share(places: &mut BTreeMap<ParticipantId, Option<Place>>, most: usize) {
    let mut wanted: BTreeMap<(SceneId, Encoding), usize> = BTreeMap::new();
    for place in places.values().flatten().filter(|p| p.stream.from.is_none()) {
        *wanted.entry((place.view.scene, Encoding::of(place))).or_default() += 1;
    }
    if wanted.len() <= most {
        return;
    }
    let group = |((scene, encoding), viewers): (&(SceneId, Encoding), &usize)| Group {
        scene: *scene,
        encoding: *encoding,
        viewers: *viewers,
        members: BTreeSet::from([*encoding]),
    };
    let mut groups: Vec<Group> = wanted.iter().map(group).collect();
    while groups.len() > most {
        let Some((i, j)) = nearest(&groups) else { break };
        let other = groups.remove(j);
        if let Some(group) = groups.get_mut(i) {
            group.encoding = group.encoding.and(other.encoding);
            group.viewers += other.viewers;
            group.members.extend(other.members);
        }
    }
    for place in places.values_mut().flatten().filter(|p| p.stream.from.is_none()) {
        let own = Encoding::of(place);
        let group = groups.iter().find(|g| g.scene == place.view.scene && g.members.contains(&own));
        if let Some(Group { encoding, .. }) = group {
            let Encoding { kbps, width, height, fps } = *encoding;
            place.view = view::Key { width, height, fps, ..place.view };
            place.stream.kbps = kbps;
        }
    }
}

/// The two groups of one scene whose union costs least, the later one second.
fn nearest(groups: &[Group]) -> Option<(usize, usize)> {
    let pairs = groups.iter().enumerate().flat_map(|(i, a)| {
        groups.iter().enumerate().skip(i + 1).filter(move |(_, b)| a.scene == b.scene).map(move |(j, b)| {
            let both = a.encoding.and(b.encoding);
            let cost = |g: &Group| g.viewers as f64 * g.encoding.fall(both);
            (cost(a) + cost(b), i, j)
        })
    });
    pairs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, i, j)| (i, j))
}

impl Encoding {
    fn of(place: &Place) -> Self {
        let view::Key { width, height, fps, .. } = place.view;
        Self { kbps: place.stream.kbps, width, height, fps }
    }

    /// What both can take.
    fn and(self, other: Self) -> Self {
        let smaller = if self.width < other.width { self } else { other };
        Self {
            kbps: self.kbps.min(other.kbps),
            width: smaller.width,
            height: smaller.height,
            fps: self.fps.min(other.fps),
        }
    }

    /// How much is lost on the way to `lesser`; 0: nothing.
    fn fall(self, lesser: Self) -> f64 {
        let ratio = |a: u32, b: u32| (f64::from(a.max(1)) / f64::from(b.max(1))).ln();
        ratio(self.kbps, lesser.kbps) + ratio(self.width, lesser.width) + ratio(self.fps, lesser.fps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(scene: u64, kbps: u32, width: u32) -> Option<Place> {
        let view = view::Key { scene: SceneId(scene), width, height: width * 9 / 16, fps: 30 };
        Some(Place { view, stream: view::Stream { kbps, from: None } })
    }

    fn rates(places: &BTreeMap<ParticipantId, Option<Place>>) -> Vec<(u32, u32)> {
        places.values().flatten().map(|p| (p.stream.kbps, p.view.width)).collect()
    }

    fn numbered(places: Vec<Option<Place>>) -> BTreeMap<ParticipantId, Option<Place>> {
        (1..).map(ParticipantId).zip(places).collect()
    }

    #[test]
    fn slower_pictures_are_fewer_encodings() {
        assert_eq!([u32::MAX, 30, 20, 15, 10, 5].map(|fps| most(8, fps)), [8, 8, 6, 4, 3, 2]);
        assert_eq!([30, 10].map(|fps| most(1, fps)), [1, 1]);
    }

    #[test]
    fn few_enough_are_left_alone() {
        let mut places = numbered(vec![place(1, 1536, 1280), place(1, 64, 160), None]);
        share(&mut places, 2);
        assert_eq!(rates(&places), [(1536, 1280), (64, 160)]);
    }

    #[test]
    fn the_few_share_the_nearest_lower_and_the_many_keep_theirs() {
        let mut all = vec![place(1, 1536, 1280); 20];
        all.extend([place(1, 1280, 1280), place(1, 256, 640), place(1, 64, 160)]);
        let mut places = numbered(all);
        share(&mut places, 3);
        let rates = rates(&places);
        assert_eq!(rates[0], (1536, 1280));
        assert_eq!(rates[20..], [(256, 640), (256, 640), (64, 160)], "the twenty are not lowered for one");
    }

    #[test]
    fn a_scene_is_never_another() {
        let mut places = numbered(vec![place(1, 1536, 1280), place(2, 1536, 1280), place(2, 768, 848)]);
        share(&mut places, 1);
        assert_eq!(rates(&places), [(1536, 1280), (768, 848), (768, 848)]);
    }

    #[test]
    fn sites_passed_on_are_no_encodings() {
        let mut passed = place(1, 512, 848);
        passed.as_mut().unwrap().stream.from = Some(ParticipantId(9));
        let mut places = numbered(vec![place(1, 1536, 1280), passed]);
        share(&mut places, 1);
        assert_eq!(rates(&places), [(1536, 1280), (512, 848)]);
    }
}
