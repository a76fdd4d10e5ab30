//! The proof in virtual time: the whole country, on lines of 20 ms that lose 1 %, with the production core at every MCU.
#![allow(clippy::disallowed_macros, reason = "prints its figures")]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::world::{World, chair, ms, path};
use cau_cascade::{Command, Event, Path};
use cau_model::participant::State;
use cau_model::snapshot::OperationState;
use rand::RngExt as _;

/// A whole tree: the centre, `provinces`, in each `towns` MCUs, in each MCU of the lowest level `sites`.
struct Country {
    world: World,
    centre: usize,
    /// MCUs that have sites, and the paths of those.
    leaves: Vec<(usize, Vec<Path>)>,
    links: Vec<usize>,
}

fn country(seed: u64, provinces: usize, towns: usize, sites: usize, state: State) -> Country {
    let mut world = World::new(seed, ms(20), 0.01);
    // The operator goes on as soon as he can: it is the way that is measured, not the devices' habit of reporting every five seconds.
    world.report = 100;
    let centre = world.add("", |_| ());
    world.site(centre, "Chủ tọa", State::Connected);
    let (mut leaves, mut links) = (Vec::new(), Vec::new());
    for province in 0..provinces {
        let name = format!("tinh-{province}");
        let id = world.add(&name, |_| ());
        links.push(id);
        let mut lowest = vec![(id, name.clone())];
        if towns > 0 {
            lowest = (0..towns)
                .map(|town| {
                    (world.add(&format!("{name}/do-thi-{town}"), |_| ()), format!("{name}/do-thi-{town}"))
                })
                .collect();
            links.extend(lowest.iter().map(|(id, _)| *id));
        }
        for (id, name) in lowest {
            let paths = (0..sites).map(|site| path(&format!("{name}/xa-{site}"))).collect();
            for site in 0..sites {
                world.site(id, &format!("Xã {site}"), state);
            }
            leaves.push((id, paths));
        }
    }
    Country { world, centre, leaves, links }
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

impl Country {
    fn sites(&self) -> usize {
        self.leaves.iter().map(|(_, sites)| sites.len()).sum()
    }

    fn any_site(&mut self) -> Path {
        let leaf = self.world.random.random_range(0..self.leaves.len());
        let site = self.world.random.random_range(0..self.leaves[leaf].1.len());
        self.leaves[leaf].1[site].clone()
    }

    fn traffic(&self) -> Vec<(u64, u64)> {
        self.world.mcus.iter().map(|mcu| (mcu.messages, mcu.bytes)).collect()
    }

    /// Most messages and bytes one MCU sent since.
    fn worst(&self, before: &[(u64, u64)]) -> (u64, u64, u64, u64) {
        let since = |id: usize| {
            let (messages, bytes) = before.get(id).copied().unwrap_or_default();
            (self.world.mcus[id].messages - messages, self.world.mcus[id].bytes - bytes)
        };
        let (m, b) = since(self.centre);
        let slaves: Vec<(u64, u64)> = self.links.iter().map(|id| since(*id)).collect();
        (m, b, slaves.iter().map(|s| s.0).max().unwrap(), slaves.iter().map(|s| s.1).max().unwrap())
    }

    /// Everybody is linked, and the centre knows everything.
    fn is_whole(&self) -> bool {
        self.links.iter().all(|id| self.world.node(*id).is_linked()) && self.world.tree_is_true(self.centre)
    }

    fn until_whole(&mut self, most: Duration) -> Duration {
        let from = self.world.now;
        while !self.is_whole() {
            self.world.run(ms(250));
            assert!(self.world.now - from < most, "not whole after {most:?}");
        }
        self.world.now - from
    }

    /// Bring-ups of sites at random, one second after the other begins; the operator does not wait for reports.
    fn bring_up_at_random(&mut self, count: usize) -> (Vec<Duration>, usize) {
        let mut failed = 0;
        self.world.mcus[self.centre].conference.seen_after.clear();
        for _ in 0..count {
            let site = self.any_site();
            match self.world.command(
                self.centre,
                "Lan",
                Command::BringUp { site: site.clone(), viewers: chair(), deadline: ms(30_000) },
            ) {
                Err(_) => failed += 1,
                Ok(id) => {
                    let operation = self.world.finish(self.centre, id.unwrap());
                    let shown = self.world.mcus[self.centre].conference.on_screen == Some(site.csrc());
                    failed += usize::from(operation.state != OperationState::Done || !shown);
                }
            }
        }
        let mut times = self.world.mcus[self.centre].conference.seen_after.clone();
        times.sort();
        (times, failed)
    }

    /// Call all; gives how long it took until everybody was in the meeting, and what the operator was told.
    fn call_all(&mut self) -> Duration {
        for (id, _) in self.leaves.clone() {
            self.world.mcus[id].conference.unanswered = 0.03;
        }
        let from = self.world.now;
        self.world
            .command(self.centre, "Lan", Command::CallAll { under: Path::root(), priority: 1 })
            .unwrap();
        let total = self.sites() as u32;
        loop {
            self.world.run(ms(500));
            let told = self.world.mcus[self.centre].events.iter().rev().find_map(|(_, event)| match event {
                Event::Progress { progress, .. } => Some(*progress),
                _ => None,
            });
            let told = told.unwrap_or_default();
            if told.total == total && told.connected + told.failed == total {
                assert!(told.failed <= total / 100, "{told:?}");
                return self.world.now - from;
            }
            assert!(self.world.now - from < ms(180_000), "{told:?}");
        }
    }

    fn most_per_second(&self) -> usize {
        let mut most = 0;
        for (id, _) in &self.leaves {
            let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
            for (at, _) in &self.world.mcus[*id].conference.dialled {
                *seconds.entry((*at - self.world.start).as_secs()).or_default() += 1;
            }
            most = most.max(seconds.values().copied().max().unwrap_or(0));
        }
        most
    }
}

fn prove(name: &str, mut it: Country, bring_ups: usize) {
    #[allow(clippy::disallowed_methods, reason = "how long the test itself takes")]
    let begun = std::time::Instant::now();
    let whole = it.until_whole(ms(60_000));
    let (_, root_bytes, _, slave_bytes) = it.worst(&[]);
    println!(
        "{name}: {} MCUs, {} sites; all linked and known after {whole:?}; sent by the centre {root_bytes} bytes, by a slave at most {slave_bytes}",
        it.world.mcus.len(),
        it.sites()
    );

    let before = it.traffic();
    let took = it.call_all();
    let (m, b, sm, sb) = it.worst(&before);
    println!(
        "  call all: {took:?}; at most {} calls begun by one MCU in a second; centre {m} messages {b} bytes, a slave at most {sm} messages {sb} bytes",
        it.most_per_second()
    );
    assert!(it.most_per_second() <= 52);
    it.world.run(ms(3_000));
    assert!(it.is_whole());

    for (id, _) in it.leaves.clone() {
        it.world.chatter(id);
    }
    let (before, from) = (it.traffic(), it.world.now);
    let (times, failed) = it.bring_up_at_random(bring_ups);
    let (m, b, sm, sb) = it.worst(&before);
    let seconds = (it.world.now - from).as_secs_f64();
    let (p50, p99, worst) = (percentile(&times, 0.5), percentile(&times, 0.99), percentile(&times, 1.0));
    println!(
        "  {bring_ups} bring-ups: seen by the chair p50 {p50:?}, p99 {p99:?}, worst {worst:?}; {failed} failed; per second: centre {:.1} messages {:.0} bytes, busiest slave {:.1} messages {:.0} bytes",
        m as f64 / seconds,
        b as f64 / seconds,
        sm as f64 / seconds,
        sb as f64 / seconds
    );
    assert_eq!((failed, times.len()), (0, bring_ups));
    assert!(p99 <= ms(1_000) && p50 <= ms(400));
    assert!(
        b as f64 / seconds < 100_000.0 && (sb as f64) / seconds < 30_000.0,
        "the control channel stays small"
    );
    println!("  {} events in {:?}", it.world.handled, begun.elapsed());
}

#[test]
fn thirty_four_provinces_of_a_hundred_communes() {
    prove("34 × 100", country(34, 34, 0, 100, State::Left), 1_000);
}

#[test]
fn three_levels_and_ten_thousand_sites() {
    prove("34 × 10 × 30", country(10, 34, 10, 30, State::Left), 1_000);
}

#[test]
fn cut_killed_and_restarted_everything_comes_back_without_a_hand() {
    let mut it = country(5, 34, 0, 100, State::Connected);
    it.until_whole(ms(60_000));
    let shown = it.leaves[3].1[7].clone();
    let operation = it.world.bring_up(it.centre, shown.as_str()).unwrap();
    assert_eq!(it.world.finish(it.centre, operation).state, OperationState::Done);
    let slave = it.leaves[3].0;
    let is_back = |it: &Country| it.is_whole() && it.world.in_slot(slave, 0) == Some(shown.csrc());
    let back = |it: &mut Country, most: u64| {
        let from = it.world.now;
        while !is_back(it) {
            it.world.run(ms(100));
            assert!(it.world.now - from < ms(most), "not back");
        }
        it.world.now - from
    };
    for cut in [10, 60] {
        it.world.cut(slave, true);
        if cut > 30 {
            it.world.run(ms(30_000));
            it.world.lose_media(slave);
            it.world.run(ms(cut * 1_000 - 30_000));
        } else {
            it.world.run(ms(cut * 1_000));
        }
        it.world.cut(slave, false);
        let took = back(&mut it, 40_000);
        println!("line cut for {cut} s: everything back {took:?} after it was mended");
    }
    it.world.kill(slave);
    it.world.run(ms(1_000));
    it.world.switch_on(slave);
    let took = back(&mut it, 10_000);
    println!("slave killed and started again: everything back after {took:?}");
    let before = it.traffic();
    it.world.kill(it.centre);
    it.world.run(ms(1_000));
    it.world.switch_on(it.centre);
    let took = back(&mut it, 15_000);
    let (_, b, _, sb) = it.worst(&before);
    println!(
        "master killed and started again: 34 provinces back after {took:?}; centre {b} bytes, a slave at most {sb}"
    );
    let operation = it.world.bring_up(it.centre, it.leaves[9].1[1].clone().as_str()).unwrap();
    assert_eq!(it.world.finish(it.centre, operation).state, OperationState::Done);
}
