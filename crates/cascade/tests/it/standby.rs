//! Two masters: who of them commands, whatever breaks. Production nodes on a virtual clock; everything follows from the seed.
#![allow(clippy::disallowed_macros, reason = "prints its figures")]

use std::time::Duration;

use crate::world::{Id, World, ms, path};
use cau_cascade::{Command, Drill, Event, Path};
use cau_model::participant::State;
use cau_model::snapshot::OperationState;
use rand::RngExt as _;

/// The centre, its standby, provinces that know both.
struct Pair {
    world: World,
    centre: Id,
    standby: Id,
    provinces: Vec<Id>,
}

fn pair(seed: u64, provinces: usize, sites: usize) -> Pair {
    let mut world = World::new(seed, ms(20), 0.01);
    world.report = 100;
    let centre = world.add("", |config| config.peer = true);
    world.site(centre, "Chủ tọa", State::Connected);
    let standby = world.add_standby(centre);
    let provinces: Vec<Id> = (0..provinces)
        .map(|n| {
            let id = world.add(&format!("tinh-{n}"), |_| ());
            world.stands_by(standby, id);
            for site in 0..sites {
                world.site(id, &format!("Xã {site}"), State::Connected);
            }
            id
        })
        .collect();
    let mut it = Pair { world, centre, standby, provinces };
    it.until("everything is there", ms(30_000), |it| it.has_all(it.centre) && it.in_step(it.centre));
    it.world.run(ms(10_000));
    it
}

impl Pair {
    /// Lets time pass until something holds; gives how long that took.
    fn until(&mut self, what: &str, most: Duration, holds: impl Fn(&Pair) -> bool) -> Duration {
        let from = self.world.now;
        while !holds(self) {
            self.world.run(ms(50));
            assert!(self.world.now - from < most, "not within {most:?}: {what}");
        }
        self.world.now - from
    }

    fn commands(&self, id: Id) -> bool {
        let mcu = &self.world.mcus[id];
        mcu.node.as_ref().is_some_and(|node| node.standing(self.world.now).unwrap().commands)
    }

    /// The other one has everything that this one has.
    fn in_step(&self, id: Id) -> bool {
        let standing = self.world.node(id).standing(self.world.now).unwrap();
        standing.commands && standing.in_step
    }

    /// Every province is linked to this one and nothing of its tree is missing.
    fn has_all(&self, id: Id) -> bool {
        let linked = |p: &Id| {
            self.world.mcus[*p].master == Some(id)
                && self.world.mcus[*p].node.as_ref().is_some_and(|node| node.is_linked())
        };
        self.commands(id) && self.provinces.iter().all(linked) && self.world.tree_is_true(id)
    }

    fn show(&mut self, province: usize, site: usize) -> Path {
        let shown = path(&format!("tinh-{province}/xa-{site}"));
        let operation = self.world.bring_up(self.centre, shown.as_str()).unwrap();
        assert_eq!(self.world.finish(self.centre, operation).state, OperationState::Done);
        self.world.run(ms(1_000));
        shown
    }

    /// The site is in the slot of its province, and seen where it is shown.
    fn is_shown(&self, id: Id, site: &Path) -> bool {
        let province =
            self.provinces.iter().copied().find(|p| site.is_below(&self.world.mcus[*p].config.path));
        self.world.in_slot(province.unwrap(), 0) == Some(site.csrc())
            && self.world.mcus[id].conference.on_screen == Some(site.csrc())
    }

    fn order(&mut self, id: Id, force: bool) -> Result<(), String> {
        let command = Command::TakeCommand { force };
        self.world.command(id, "Lan", command).map(|_| ()).map_err(|refusal| refusal.words().en.clone())
    }

    fn cut(&mut self, one: Id, other: Id, cut: bool) {
        self.world.cut_between(one, other, cut);
    }

    fn drills(&self) -> Vec<Drill> {
        let drill = |(_, event): &(_, Event)| match event {
            Event::Drill(drill) => Some((**drill).clone()),
            _ => None,
        };
        self.world.mcus[self.centre].events.iter().filter_map(drill).collect()
    }
}

#[test]
fn the_master_dies_and_its_standby_has_the_country_and_the_picture_until_it_is_told_to_give_it_back() {
    let mut it = pair(34, 34, 100);
    let shown = it.show(3, 7);
    it.world.kill(it.centre);
    let (standby, centre) = (it.standby, it.centre);
    let all = it.until("all at the standby", ms(20_000), |it| it.has_all(standby));
    let seen = all + it.until("seen again", ms(5_000), |it| it.is_shown(standby, &shown));
    println!(
        "master killed: all 34 provinces and 3,400 sites at the standby after {all:?}, the site seen again after {seen:?}"
    );
    assert!(all < ms(11_500) && seen < ms(12_500));
    assert!(it.world.alarms(standby).contains(&"took-command"));
    assert_eq!(it.world.node(standby).kept().term, 2);

    // It comes back, does not command, and has everything soon.
    it.world.switch_on(centre);
    it.until("in step", ms(10_000), |it| it.in_step(standby));
    assert!(!it.commands(centre) && it.has_all(standby));
    it.world.run(ms(60_000));
    assert!(!it.commands(centre) && it.has_all(standby) && it.is_shown(standby, &shown));
    // A slave that goes there is sent back.
    it.cut(standby, it.provinces[0], true);
    it.world.run(ms(20_000));
    assert!(!it.world.node(it.provinces[0]).is_linked());
    it.cut(standby, it.provinces[0], false);
    it.until("back", ms(40_000), |it| it.has_all(standby));

    // The operator orders the return.
    it.order(centre, false).unwrap();
    let over = it.until("all at the master", ms(5_000), |it| it.has_all(centre));
    let seen = over + it.until("seen again", ms(5_000), |it| it.is_shown(centre, &shown));
    println!("returned in good order: all at the master after {over:?}, the site seen again after {seen:?}");
    assert!(!it.commands(standby) && over < ms(2_000) && seen < ms(3_000));
    assert_eq!(it.world.node(centre).kept().term, 3);
    it.until("in step", ms(5_000), |it| it.in_step(centre));
}

#[test]
fn a_master_that_is_back_soon_goes_on_as_before() {
    let mut it = pair(2, 5, 2);
    let shown = it.show(1, 1);
    it.world.kill(it.centre);
    it.world.run(ms(4_000));
    it.world.switch_on(it.centre);
    it.until("everything as before", ms(30_000), |it| {
        it.has_all(it.centre) && it.is_shown(it.centre, &shown)
    });
    assert_eq!((it.commands(it.standby), it.world.node(it.centre).kept().term), (false, 1));
}

#[test]
fn a_line_that_broke_between_the_two_makes_nobody_take_command() {
    let mut it = pair(3, 5, 2);
    it.cut(it.centre, it.standby, true);
    it.world.run(ms(120_000));
    assert!(it.commands(it.centre) && !it.commands(it.standby) && it.has_all(it.centre));
    assert!(it.world.alarms(it.standby).contains(&"master-lost"));
    assert!(it.world.alarms(it.centre).contains(&"standby-lost"));
    assert!(!it.in_step(it.centre));
    // Nobody can say from here whether it commands: only with a word that takes the risk.
    assert!(it.order(it.standby, false).unwrap_err().contains("force"));
    it.world.site(it.centre, "Khách", State::Connected);
    it.cut(it.centre, it.standby, false);
    it.until("in step", ms(40_000), |it| it.in_step(it.centre));
    // Dead or switched off is the same for the master.
    it.world.kill(it.standby);
    it.world.run(ms(60_000));
    assert!(it.has_all(it.centre));
    it.world.switch_on(it.standby);
    it.until("in step", ms(15_000), |it| it.in_step(it.centre));
    assert!(it.has_all(it.centre) && !it.commands(it.standby));
}

#[test]
fn half_of_the_slaves_are_not_enough_and_more_than_half_are() {
    let mut it = pair(4, 34, 2);
    let shown = it.show(33, 1);
    let (centre, standby) = (it.centre, it.standby);
    // Seventeen lose the master, which the standby still sees; then it does not any more.
    for n in 0..17 {
        it.cut(centre, it.provinces[n], true);
    }
    it.world.run(ms(60_000));
    assert!(it.commands(centre) && !it.commands(standby));
    it.cut(centre, standby, true);
    it.world.run(ms(60_000));
    assert!(it.commands(centre) && !it.commands(standby));
    // One more.
    it.cut(centre, it.provinces[17], true);
    it.until("the standby commands", ms(60_000), |it| it.commands(standby));
    it.world.run(ms(60_000));
    // Eighteen are with the new one; sixteen see nothing but the old one and its term, and are with nobody else.
    let with = |it: &Pair, id: Id| {
        let linked = |p: &&Id| it.world.mcus[**p].master == Some(id) && it.world.node(**p).is_linked();
        it.provinces.iter().filter(linked).count()
    };
    assert_eq!((with(&it, standby), with(&it, centre)), (18, 16));
    assert!(it.is_shown(centre, &shown), "the meeting there goes on");
    // As soon as the two see each other, the old one gives way, and all the others come.
    it.cut(centre, standby, false);
    let gave = it.until("the old one gives way", ms(60_000), |it| !it.commands(centre));
    let all = it.until("all at one", ms(10_000), |it| it.has_all(standby));
    println!(
        "after a split: the old master gives way {gave:?} after the line is mended, all slaves are with the new one {all:?} later"
    );
    assert!(it.world.alarms(centre).contains(&"superseded"));
    it.until("in step", ms(10_000), |it| it.in_step(standby));
}

#[test]
fn an_old_master_nobody_told_learns_it_from_the_first_slave() {
    let mut it = pair(5, 5, 2);
    let (centre, standby) = (it.centre, it.standby);
    it.world.kill(centre);
    it.until("taken over", ms(20_000), |it| it.has_all(standby));
    // It comes back and sees its standby no more.
    it.cut(centre, standby, true);
    it.world.switch_on(centre);
    it.world.run(ms(20_000));
    assert!(it.commands(centre), "for all it knows it commands");
    assert!(it.has_all(standby), "but nobody is there");
    it.cut(standby, it.provinces[2], true);
    it.until("told by a slave", ms(60_000), |it| !it.commands(centre));
    assert!(!it.world.node(it.provinces[2]).is_linked());
    it.world.kill(centre);
    it.world.switch_on(centre);
    it.world.run(ms(20_000));
    assert!(!it.commands(centre), "which a restart does not make it forget");
}

#[test]
fn a_drill_goes_there_and_back_and_tells_how_long_it_took() {
    let mut it = pair(6, 34, 20);
    let shown = it.show(5, 5);
    let drill = Command::Drill { hold: ms(5_000) };
    it.world.command(it.centre, "Lan", drill.clone()).unwrap();
    assert!(it.world.command(it.centre, "Lan", drill.clone()).is_err(), "one at a time");
    let standby = it.standby;
    it.until("shown at the standby", ms(5_000), |it| it.has_all(standby) && it.is_shown(standby, &shown));
    it.until("over", ms(60_000), |it| it.drills().last().is_some_and(|drill| !drill.is_running()));
    let told = it.drills().pop().unwrap();
    println!("drill with 34 provinces: {told:?}");
    assert_eq!((told.error, told.slaves, told.by.as_str()), (None, 34, "Lan"));
    for took in [told.command_ms, told.over_ms, told.return_ms, told.back_ms] {
        assert!(took.is_some_and(|took| (40..3_000).contains(&took)), "{took:?}");
    }
    it.until("as before", ms(5_000), |it| it.has_all(it.centre) && it.is_shown(it.centre, &shown));
    it.until("in step", ms(5_000), |it| it.in_step(it.centre));
    // Not without a standby in step.
    it.world.kill(standby);
    it.world.run(ms(8_000));
    let refusal = it.world.command(it.centre, "Lan", drill.clone()).unwrap_err();
    assert_eq!(refusal.words().en, "the standby cannot be reached");
    it.world.switch_on(standby);
    let refusal = it.world.command(standby, "Lan", drill).unwrap_err();
    assert!(refusal.words().en.contains("not in command"), "{refusal:?}");
}

#[test]
fn a_standby_that_dies_in_a_drill_loses_nothing() {
    let mut it = pair(7, 7, 3);
    let shown = it.show(2, 1);
    it.world.command(it.centre, "Lan", Command::Drill { hold: ms(30_000) }).unwrap();
    let (centre, standby) = (it.centre, it.standby);
    it.until("at the standby", ms(5_000), |it| it.has_all(standby));
    it.world.kill(standby);
    it.until("back by itself", ms(30_000), |it| it.has_all(centre) && it.is_shown(centre, &shown));
    it.world.run(ms(60_000));
    assert!(!it.drills().pop().unwrap().is_running());
    it.world.switch_on(standby);
    it.until("in step", ms(15_000), |it| it.in_step(centre));
    assert!(it.has_all(centre));
}

#[test]
fn records_reach_the_standby_and_survive_its_restart() {
    let mut it = pair(8, 2, 2);
    let now = it.world.now;
    let long = "\u{1ec7}".repeat(5_000);
    let node = it.world.mcus[it.centre].node.as_mut().unwrap();
    for n in 0..3_400 {
        node.record(now, &format!("site/{n}"), Some(&format!("{{\"name\":\"Xã {n}\"}}")));
    }
    node.record(now, "room/0", Some(&long));
    node.record(now, "site/7", None);
    node.record(now, "huge", Some(&long.repeat(20)));
    it.world.run(ms(1));
    let took = it.until("in step", ms(10_000), |it| {
        it.in_step(it.centre)
            && it.world.node(it.standby).shelf().len() == it.world.node(it.centre).shelf().len()
    });
    println!("3,400 records at the standby after {took:?}");
    let same = |it: &Pair| {
        let of = |id: Id| it.world.node(id).shelf().within("").collect::<Vec<_>>();
        of(it.centre) == of(it.standby)
    };
    assert!(same(&it) && it.world.alarms(it.centre).contains(&"standby-lacks"));
    let (messages, bytes) = (it.world.mcus[it.centre].messages, it.world.mcus[it.centre].bytes);
    it.cut(it.centre, it.standby, true);
    it.world.run(ms(15_000));
    let now = it.world.now;
    it.world.mcus[it.centre].node.as_mut().unwrap().record(now, "site/8", Some("changed"));
    it.cut(it.centre, it.standby, false);
    it.until("in step", ms(40_000), |it| it.in_step(it.centre) && same(it));
    let sent = it.world.mcus[it.centre].bytes - bytes;
    assert!(
        sent < 20_000,
        "only what has changed: {sent} bytes in {} messages",
        it.world.mcus[it.centre].messages - messages
    );
    it.world.kill(it.standby);
    it.world.kill(it.centre);
    it.world.switch_on(it.standby);
    assert_eq!(it.world.node(it.standby).shelf().get("site/8"), Some("changed"));
    it.until("taken over", ms(30_000), |it| it.has_all(it.standby));
}

/// Whatever breaks and in whatever order: never two of the same term, never a slave at two, and once all is mended one commands, has all, and
/// the other has its records.
#[test]
fn whatever_breaks_one_commands_in_the_end() {
    for seed in 0..40 {
        let mut it = pair(seed, 5, 2);
        let shown = it.show(1, 1);
        let both = [it.centre, it.standby];
        let mut lines = vec![(it.centre, it.standby)];
        for province in it.provinces.clone() {
            lines.extend(both.map(|master| (master, province)));
        }
        for _ in 0..12 {
            match it.world.random.random_range(0..8) {
                0..4 => {
                    let line = lines[it.world.random.random_range(0..lines.len())];
                    let cut = it.world.random.random();
                    it.cut(line.0, line.1, cut);
                }
                4 => {
                    let id = both[it.world.random.random_range(0..2)];
                    if it.world.mcus[id].node.is_some() {
                        it.world.kill(id);
                    }
                }
                5 => {
                    let id = both[it.world.random.random_range(0..2)];
                    if it.world.mcus[id].node.is_none() {
                        it.world.switch_on(id);
                    }
                }
                6 => {
                    let id = both[it.world.random.random_range(0..2)];
                    let force = it.world.random.random();
                    if it.world.mcus[id].node.is_some() {
                        let _ = it.order(id, force);
                    }
                }
                _ => {
                    if it.commands(it.centre) {
                        let _ = it.world.command(it.centre, "Lan", Command::Drill { hold: ms(500) });
                    }
                }
            }
            let wait = it.world.random.random_range(10..20_000);
            for _ in 0..wait / 100 {
                it.world.run(ms(100));
                let terms = both.map(|id| it.commands(id).then(|| it.world.node(id).kept().term));
                assert!(terms[0].is_none() || terms[0] != terms[1], "seed {seed}: {terms:?}");
            }
        }
        for (one, other) in lines {
            it.cut(one, other, false);
        }
        for id in both {
            if it.world.mcus[id].node.is_none() {
                it.world.switch_on(id);
            }
        }
        it.world.run(ms(60_000));
        let told = both.map(|id| it.world.node(id).standing(it.world.now).unwrap());
        let one =
            both.into_iter().find(|id| it.commands(*id)).unwrap_or_else(|| panic!("seed {seed}: {told:?}"));
        it.until(&format!("seed {seed}"), ms(60_000), |it| it.has_all(one) && it.in_step(one));
        assert!(both.iter().filter(|id| it.commands(**id)).count() == 1, "seed {seed}: {told:?}");
        let _ = &shown;
    }
}
