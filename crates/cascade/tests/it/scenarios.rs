//! What operators do and what goes wrong, in a small country: production nodes on a virtual clock.

use crate::world::{World, chair, ms, path};
use cau_cascade::tree::{Grade, Line};
use cau_cascade::{Act, Command, Event, Fact, Link, Policy, Site, Viewers};
use cau_model::ParticipantId;
use cau_model::participant::State;
use cau_model::snapshot::{OperationState, Quality, StepName};
use rand::RngExt as _;

/// The centre, two provinces, a town below the first; communes everywhere.
struct Country {
    world: World,
    centre: usize,
    dak_lak: usize,
    town: usize,
    hue: usize,
}

fn country_with(slots: u8) -> Country {
    let mut world = World::new(7, ms(20), 0.0);
    let centre = world.add("", |c| c.slots = slots);
    let dak_lak = world.add("dak-lak", |c| c.slots = slots);
    let town = world.add("dak-lak/buon-ma-thuot", |c| c.slots = slots);
    let hue = world.add("hue", |c| c.slots = slots);
    for (mcu, names) in [
        (centre, vec!["Chủ tọa"]),
        (dak_lak, vec!["Xã Ea Kao", "Xã Cư Êbur"]),
        (town, vec!["Xã Hòa Phú", "Xã Hòa Khánh", "Xã Hòa Xuân"]),
        (hue, vec!["Xã Thủy Thanh"]),
    ] {
        for name in names {
            world.site(mcu, name, State::Connected);
        }
    }
    world.run(ms(3_000));
    Country { world, centre, dak_lak, town, hue }
}

fn country() -> Country {
    country_with(2)
}

const HOA_PHU: &str = "dak-lak/buon-ma-thuot/xa-hoa-phu";
const HOA_KHANH: &str = "dak-lak/buon-ma-thuot/xa-hoa-khanh";
const HOA_XUAN: &str = "dak-lak/buon-ma-thuot/xa-hoa-xuan";
const EA_KAO: &str = "dak-lak/xa-ea-kao";
const THUY_THANH: &str = "hue/xa-thuy-thanh";

impl Country {
    fn on_screen(&self) -> Option<u32> {
        self.world.mcus[self.centre].conference.on_screen
    }

    fn shows(&self, site: &str) -> bool {
        self.on_screen() == Some(path(site).csrc())
    }

    /// What is in the slots of a slave's link, as sites.
    fn slots(&self, slave: usize) -> Vec<Option<u32>> {
        (0..4).map(|slot| self.world.in_slot(slave, slot)).filter(Option::is_some).collect()
    }

    fn show(&mut self, site: &str) {
        let operation = self.world.bring_up(self.centre, site).unwrap();
        let ended = self.world.finish(self.centre, operation);
        assert_eq!(ended.state, OperationState::Done, "{ended:?}");
        self.world.run(ms(500));
    }

    fn fails(&mut self, site: &str) -> cau_cascade::Operation {
        let operation = self.world.bring_up(self.centre, site).unwrap();
        let ended = self.world.finish(self.centre, operation);
        assert_eq!(ended.state, OperationState::Failed, "{ended:?}");
        self.world.run(ms(500));
        ended
    }

    fn command(&mut self, command: Command) -> Result<Option<cau_model::OperationId>, cau_model::Refusal> {
        self.world.command(self.centre, "Lan", command)
    }
}

fn csrcs(sites: &[&str]) -> Vec<Option<u32>> {
    sites.iter().map(|site| Some(path(site).csrc())).collect()
}

#[test]
fn the_centre_knows_every_mcu_and_site_by_its_path() {
    let it = country();
    let node = it.world.node(it.centre);
    assert!(it.world.tree_is_true(it.centre));
    for site in [HOA_PHU, EA_KAO, THUY_THANH, "dak-lak/xa-cu-ebur", "chu-toa"] {
        assert_eq!(node.tree().get(&path(site)).map(|entry| entry.line), Some(Line::Connected), "{site}");
    }
    assert_eq!(node.tree().get(&path(HOA_PHU)).unwrap().name, "Xã Hòa Phú");
    assert_eq!(node.tree().get(&path("dak-lak/buon-ma-thuot")).unwrap().line, Line::Connected);
}

#[test]
fn two_sites_of_one_name_have_two_paths_and_a_renamed_one_another() {
    let mut it = country();
    let second = it.world.site(it.town, "Xã Hòa Phú", State::Connected);
    it.world.run(ms(1_000));
    assert!(it.world.node(it.centre).tree().get(&path("dak-lak/buon-ma-thuot/xa-hoa-phu-2")).is_some());
    let renamed =
        Site { name: "Xã Hòa Phú Đông".into(), state: State::Connected, hand: false, foreign: false };
    it.world.fact(it.town, Fact::Site(second, renamed));
    it.world.run(ms(1_000));
    let tree = it.world.node(it.centre).tree();
    assert!(tree.get(&path("dak-lak/buon-ma-thuot/xa-hoa-phu-2")).is_none());
    assert!(tree.get(&path("dak-lak/buon-ma-thuot/xa-hoa-phu-dong")).is_some());
    assert!(it.world.tree_is_true(it.centre));
}

#[test]
fn a_raised_hand_two_levels_down_is_seen_within_a_second() {
    let mut it = country();
    let hand = |hand| Site { name: "Xã Tân Tiến".into(), state: State::Connected, hand, foreign: false };
    let site = it.world.site(it.town, "Xã Tân Tiến", State::Connected);
    let quality = Quality { loss: 0.2, ..Quality::default() };
    it.world.run(ms(1_000));
    it.world.fact(it.town, Fact::Site(site, hand(true)));
    it.world.fact(it.town, Fact::Quality(site, quality));
    it.world.fact(it.town, Fact::Level(site, -20));
    it.world.run(ms(1_000));
    let entry = it.world.node(it.centre).tree().get(&path("dak-lak/buon-ma-thuot/xa-tan-tien")).unwrap();
    assert!(entry.hand && entry.grade == Grade::Poor && entry.level == 3, "{entry:?}");
}

#[test]
fn everything_changing_all_the_time_does_not_flood_the_link() {
    let mut it = country();
    let sites: Vec<ParticipantId> =
        (0..300).map(|n| it.world.site(it.town, &format!("Xã {n}"), State::Connected)).collect();
    it.world.run(ms(3_000));
    let (messages, bytes) = (it.world.mcus[it.town].messages, it.world.mcus[it.town].bytes);
    for tick in 0..100 {
        for (n, site) in sites.iter().enumerate() {
            it.world.fact(it.town, Fact::Level(*site, if (n + tick) % 2 == 0 { -10 } else { -90 }));
        }
        it.world.run(ms(100));
    }
    let (messages, bytes) =
        (it.world.mcus[it.town].messages - messages, it.world.mcus[it.town].bytes - bytes);
    assert!(messages < 130 && bytes < 1_000_000, "{messages} messages, {bytes} bytes in 10 s");
}

#[test]
fn a_commune_two_levels_down_comes_before_the_chair_with_one_command() {
    let mut it = country();
    let operation = it.world.bring_up(it.centre, HOA_PHU).unwrap();
    it.world.run(ms(400));
    assert!(it.shows(HOA_PHU), "within 400 ms");
    let ended = it.world.finish(it.centre, operation);
    assert_eq!(ended.state, OperationState::Done);
    assert_eq!(it.slots(it.town), csrcs(&[HOA_PHU]));
    assert_eq!(it.slots(it.dak_lak), csrcs(&[HOA_PHU]));
    let steps: Vec<(StepName, String)> = ended.steps.iter().map(|s| (s.name, s.mcu.to_string())).collect();
    for mcu in ["dak-lak", "dak-lak/buon-ma-thuot"] {
        for step in [StepName::Route, StepName::Keyframe] {
            assert!(steps.contains(&(step, mcu.to_owned())), "{step:?} at {mcu} in {steps:?}");
        }
    }
    for step in [
        StepName::Find,
        StepName::Route,
        StepName::Keyframe,
        StepName::Layout,
        StepName::Picture,
        StepName::Sound,
    ] {
        assert!(steps.contains(&(step, String::new())), "{step:?} at the centre");
    }
    assert!(ended.steps.is_sorted_by_key(|step| step.at_ms));
    let route = ended
        .steps
        .iter()
        .find(|s| s.name == StepName::Route && s.mcu == path("dak-lak/buon-ma-thuot"))
        .unwrap();
    assert!((30..=60).contains(&route.at_ms), "the town switched after 40 ms: {}", route.at_ms);
    assert_eq!(it.world.mcus[it.town].conference.sounds.get(&0), Some(&true), "its sound is opened");
}

#[test]
fn a_site_that_is_not_there_is_called_by_its_own_mcu() {
    let mut it = country();
    it.world.site(it.town, "Xã Ea Tu", State::Left);
    it.world.run(ms(1_000));
    let operation = it.world.bring_up(it.centre, "dak-lak/buon-ma-thuot/xa-ea-tu").unwrap();
    let ended = it.world.finish(it.centre, operation);
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    let dialled = ended.steps.iter().find(|step| step.name == StepName::Dial).unwrap();
    assert_eq!(dialled.mcu, path("dak-lak/buon-ma-thuot"));
    assert_eq!(it.world.mcus[it.town].conference.dialled.len(), 1);
}

#[test]
fn who_does_not_answer_is_named_with_step_and_mcu_and_the_picture_stays() {
    let mut it = country();
    it.show(HOA_PHU);
    let dead = it.world.site(it.town, "Xã Im Lặng", State::Left);
    it.world.mcus[it.town].conference.dead.push(dead);
    it.world.run(ms(1_000));
    let ended = it.fails("dak-lak/buon-ma-thuot/xa-im-lang");
    let words = ended.error.unwrap();
    assert_eq!(words.vi, "gọi tại MCU dak-lak/buon-ma-thuot: không trả lời");
    assert_eq!(words.en, "dial at MCU dak-lak/buon-ma-thuot: no answer");
    assert!(it.shows(HOA_PHU));
    assert_eq!(it.slots(it.dak_lak), csrcs(&[HOA_PHU]));
    it.show(HOA_KHANH);
}

#[test]
fn a_device_that_sends_no_key_frame_leaves_the_picture_before_even_in_the_only_slot() {
    let mut it = country_with(1);
    it.show(HOA_PHU);
    let frozen = it.world.site(it.town, "Xã Đứng Hình", State::Connected);
    it.world.mcus[it.town].conference.frozen.push(frozen);
    it.world.run(ms(1_000));
    let ended = it.fails("dak-lak/buon-ma-thuot/xa-dung-hinh");
    let words = ended.error.unwrap().en;
    assert!(words.starts_with("keyframe at MCU dak-lak/buon-ma-thuot: no key frame"), "{words}");
    assert!(it.shows(HOA_PHU));
    assert_eq!((it.slots(it.town), it.slots(it.dak_lak)), (csrcs(&[HOA_PHU]), csrcs(&[HOA_PHU])));
    it.show(HOA_KHANH);
    assert_eq!((it.slots(it.town), it.slots(it.dak_lak)), (csrcs(&[HOA_KHANH]), csrcs(&[HOA_KHANH])));
}

#[test]
fn what_fails_at_the_chair_after_the_switch_is_put_back_on_the_whole_way() {
    for slots in [1, 2] {
        let mut it = country_with(slots);
        it.show(HOA_PHU);
        let before = it.on_screen();
        let operation = it.world.bring_up(it.centre, HOA_KHANH).unwrap();
        it.world.run(ms(300));
        assert!(it.slots(it.town).contains(&Some(path(HOA_KHANH).csrc())));
        it.world.fail_bringing(it.centre, operation, before);
        it.world.run(ms(2_000));
        let words = it.world.node(it.centre).operation(operation).unwrap().error.clone().unwrap();
        assert!(words.en.starts_with("at MCU : picture"), "{words}");
        for slave in [it.town, it.dak_lak] {
            assert_eq!(it.slots(slave), csrcs(&[HOA_PHU]), "{slots} slots");
        }
        it.show(HOA_XUAN);
    }
}

#[test]
fn of_two_operators_the_last_wins_and_the_first_is_told() {
    for slots in [1, 2] {
        let mut it = country_with(slots);
        let first = it.world.bring_up(it.centre, HOA_PHU).unwrap();
        it.world.run(ms(50));
        let command = Command::BringUp { site: path(HOA_KHANH), viewers: chair(), deadline: ms(30_000) };
        let second = it.world.command(it.centre, "Minh", command).unwrap().unwrap();
        let first = it.world.finish(it.centre, first);
        assert_eq!(first.error.unwrap().en, "Minh has brought up Xã Hòa Khánh since");
        assert_eq!(it.world.finish(it.centre, second).state, OperationState::Done);
        it.world.run(ms(1_000));
        assert!(it.shows(HOA_KHANH));
        for slave in [it.town, it.dak_lak] {
            assert_eq!(it.slots(slave), csrcs(&[HOA_KHANH]), "no mixture; {slots} slots");
        }
    }
}

#[test]
fn a_hundred_quick_changes_of_mind_end_with_the_last() {
    let mut it = country();
    let sites = [HOA_PHU, HOA_KHANH, HOA_XUAN, EA_KAO, THUY_THANH];
    for n in 0..100 {
        it.world.bring_up(it.centre, sites[n * 7 % 5]).unwrap();
        let pause = (n as u64 * 37) % 300;
        it.world.run(ms(pause));
    }
    let last = it.world.bring_up(it.centre, HOA_XUAN).unwrap();
    assert_eq!(it.world.finish(it.centre, last).state, OperationState::Done);
    it.world.run(ms(2_000));
    assert!(it.shows(HOA_XUAN));
    assert_eq!((it.slots(it.town), it.slots(it.dak_lak)), (csrcs(&[HOA_XUAN]), csrcs(&[HOA_XUAN])));
    assert!(it.slots(it.hue).is_empty());
    let expected: Vec<_> = it.world.node(it.centre).expected().map(|(link, _, site)| (link, site)).collect();
    assert_eq!(expected, [(&path("dak-lak"), &path(HOA_XUAN))]);
}

#[test]
fn different_viewers_do_not_meddle() {
    let mut it = country();
    let only = |n| Viewers::Only([ParticipantId(n)].into());
    for (site, viewers) in [(HOA_PHU, only(1)), (HOA_KHANH, only(2))] {
        let command = Command::BringUp { site: path(site), viewers, deadline: ms(30_000) };
        let operation = it.command(command).unwrap().unwrap();
        assert_eq!(it.world.finish(it.centre, operation).state, OperationState::Done);
    }
    it.world.run(ms(500));
    assert_eq!(it.slots(it.town), csrcs(&[HOA_PHU, HOA_KHANH]));
    // Both slots of the link are held by others: said with what holds them, and nothing has changed.
    let command = Command::BringUp { site: path(HOA_XUAN), viewers: only(3), deadline: ms(30_000) };
    let words = it.command(command).unwrap_err().words().clone();
    assert!(
        words.en.contains("no slot of MCU dak-lak is free") && words.en.contains("xa-hoa-phu"),
        "{words}"
    );
    assert_eq!(it.slots(it.town), csrcs(&[HOA_PHU, HOA_KHANH]));
    // Everybody sees one: the slots of the single viewers are given back.
    let command = Command::BringUp { site: path(THUY_THANH), viewers: Viewers::All, deadline: ms(30_000) };
    let operation = it.command(command).unwrap().unwrap();
    assert_eq!(it.world.finish(it.centre, operation).state, OperationState::Done);
    it.world.run(ms(500));
    assert!(it.slots(it.town).is_empty() && it.slots(it.dak_lak).is_empty());
}

#[test]
fn prepared_sites_are_taken_at_once_and_undo_goes_back() {
    let mut it = country();
    it.show(THUY_THANH);
    let sites = vec![path(HOA_PHU), path(HOA_KHANH)];
    it.command(Command::Prepare { sites }).unwrap();
    it.world.run(ms(1_000));
    assert!(it.shows(THUY_THANH), "nothing is shown yet");
    assert_eq!(it.slots(it.dak_lak), csrcs(&[HOA_PHU, HOA_KHANH]));
    assert_eq!(it.world.mcus[it.town].conference.sounds.get(&0), Some(&false), "nor heard");
    assert!(it.world.node(it.centre).prepared().all(|(_, ready)| ready));
    let third = it.command(Command::Prepare { sites: vec![path(HOA_PHU), path(HOA_KHANH), path(HOA_XUAN)] });
    assert!(third.unwrap_err().words().en.contains("no slot"), "a third does not push out the others");
    let take = || Command::Take { viewers: chair(), deadline: ms(30_000) };
    let operation = it.command(take()).unwrap().unwrap();
    assert_eq!(it.world.finish(it.centre, operation).state, OperationState::Done);
    it.world.run(ms(500));
    assert!(it.shows(HOA_PHU));
    assert_eq!(it.world.mcus[it.town].conference.sounds.get(&0), Some(&true));
    assert_eq!(it.world.node(it.centre).prepared().count(), 1, "the other one is still prepared");
    // A site that needs a slot pushes out the prepared one.
    it.show(HOA_XUAN);
    assert_eq!(it.world.node(it.centre).prepared().count(), 0);
    assert!(it.command(take()).unwrap_err().words().en.contains("no site is prepared"));
    let undo = || Command::Undo { viewers: chair(), deadline: ms(30_000) };
    for expected in [HOA_PHU, THUY_THANH] {
        let operation = it.command(undo()).unwrap().unwrap();
        assert_eq!(it.world.finish(it.centre, operation).state, OperationState::Done);
        it.world.run(ms(500));
        assert!(it.shows(expected));
    }
    assert_eq!(it.command(undo()).unwrap(), None, "before that there was the layout");
    it.world.run(ms(500));
    assert_eq!(it.on_screen(), None);
    assert!([it.town, it.dak_lak, it.hue].iter().all(|slave| it.slots(*slave).is_empty()));
}

#[test]
fn a_slaves_operator_says_what_may_be_opened() {
    let mut it = country();
    let refused = |it: &mut Country, site: &str| match it.world.bring_up(it.centre, site) {
        Err(refusal) => refusal.words().en.clone(),
        Ok(operation) => it.world.finish(it.centre, operation).error.unwrap().en,
    };
    let policy = Policy { closed: vec![path(HOA_KHANH)], dial: false, ..Policy::default() };
    it.world.command(it.town, "Bình", Command::SetPolicy(policy)).unwrap();
    it.world.site(it.town, "Xã Ea Tu", State::Left);
    it.world.run(ms(1_000));
    assert!(
        refused(&mut it, HOA_KHANH)
            .contains("route at MCU dak-lak/buon-ma-thuot: its own operator does not let")
    );
    assert!(refused(&mut it, "dak-lak/buon-ma-thuot/xa-ea-tu").contains("may not be called from above"));
    assert!(it.world.mcus[it.town].conference.dialled.is_empty());
    it.show(HOA_PHU);
    // Withdrawn while it is shown: the slot goes back, and the centre is told.
    let policy = Policy { pictures: false, ..Policy::default() };
    it.world.command(it.town, "Bình", Command::SetPolicy(policy)).unwrap();
    it.world.run(ms(1_000));
    assert!(it.slots(it.town).is_empty());
    assert!(it.world.alarms(it.centre).contains(&"site-lost"));
}

#[test]
fn a_slot_is_seized_and_given_back_and_everybody_sees_who_holds_it() {
    let mut it = country();
    let offer = |site: &str| Command::Offer { slot: 0, site: Some(path(site)) };
    it.world.command(it.dak_lak, "Bình", offer(EA_KAO)).unwrap();
    it.world.run(ms(1_000));
    assert_eq!(it.slots(it.dak_lak), csrcs(&[EA_KAO]));
    let held = |it: &Country| it.world.node(it.centre).tree().get(&path("dak-lak")).unwrap().slots[0].clone();
    assert_eq!((held(&it).site, held(&it).by), (Some(path(EA_KAO)), None));
    it.show(HOA_PHU);
    assert_eq!((held(&it).site, held(&it).by), (Some(path(HOA_PHU)), Some("Lan".into())));
    // What the province's operator wants meanwhile is shown afterwards.
    it.world.command(it.dak_lak, "Bình", offer("dak-lak/xa-cu-ebur")).unwrap();
    it.world.run(ms(1_000));
    assert_eq!(it.slots(it.dak_lak), csrcs(&[HOA_PHU]), "a held slot is not taken back");
    it.command(Command::Release { viewers: chair() }).unwrap();
    it.world.run(ms(1_000));
    assert_eq!(it.slots(it.dak_lak), csrcs(&["dak-lak/xa-cu-ebur"]));
    assert_eq!((held(&it).site, held(&it).by), (Some(path("dak-lak/xa-cu-ebur")), None));
    assert!(it.slots(it.town).is_empty());
    let policy = Policy { seize: false, ..Policy::default() };
    it.world.command(it.dak_lak, "Bình", Command::SetPolicy(policy)).unwrap();
    it.world.run(ms(500));
    assert!(it.fails(HOA_PHU).error.unwrap().en.contains("does not let it be taken"));
    assert_eq!(it.slots(it.dak_lak), csrcs(&["dak-lak/xa-cu-ebur"]));
}

#[test]
fn the_floor_of_a_town_is_taken_and_given_back() {
    let mut it = country();
    let floor = |seize| Command::Floor { mcu: path("dak-lak/buon-ma-thuot"), seize };
    it.command(floor(true)).unwrap();
    it.world.run(ms(1_000));
    assert_eq!(it.world.mcus[it.town].conference.floor.as_deref(), Some("Lan"));
    let shown = |it: &Country| {
        it.world.node(it.centre).tree().get(&path("dak-lak/buon-ma-thuot")).unwrap().floor.clone()
    };
    assert_eq!(shown(&it).as_deref(), Some("Lan"));
    // Whoever restarts in between: it stays taken.
    for id in [it.town, it.dak_lak, it.centre] {
        it.world.kill(id);
        it.world.switch_on(id);
        it.world.run(ms(15_000));
        assert_eq!(it.world.mcus[it.town].conference.floor.as_deref(), Some("Lan"));
        assert_eq!(shown(&it).as_deref(), Some("Lan"));
    }
    it.command(floor(false)).unwrap();
    it.world.run(ms(1_000));
    assert_eq!((it.world.mcus[it.town].conference.floor.clone(), shown(&it)), (None, None));
    it.world
        .command(it.town, "Bình", Command::SetPolicy(Policy { floor: false, ..Policy::default() }))
        .unwrap();
    it.command(floor(true)).unwrap();
    it.world.run(ms(1_000));
    assert_eq!(shown(&it), None);
}

#[test]
fn behind_a_foreign_mcu_the_link_is_shown_and_the_operator_told() {
    let mut it = country();
    let foreign = Site { name: "Gia Lai".into(), state: State::Connected, hand: false, foreign: true };
    it.world.mcus[it.hue].conference.add(ParticipantId(900), foreign.clone());
    it.world.fact(it.hue, Fact::Site(ParticipantId(900), foreign));
    it.world.run(ms(1_000));
    let operation = it.world.bring_up(it.centre, "hue/gia-lai/xa-ia-grai").unwrap();
    let ended = it.world.finish(it.centre, operation);
    assert_eq!((ended.state, &ended.site), (OperationState::Done, &path("hue/gia-lai")));
    assert!(ended.note.unwrap().en.contains("its own operator must switch"));
    assert!(it.shows("hue/gia-lai"));
}

#[test]
fn what_does_not_exist_or_is_no_site_is_refused_at_once() {
    let mut it = country();
    for (site, part) in [("dak-lak/xa-xa", "there is no site"), ("dak-lak", "is an MCU"), ("", "not below")] {
        let refusal = it.world.bring_up(it.centre, site).unwrap_err();
        assert!(refusal.words().en.contains(part), "{site}: {refusal}");
    }
    it.world.kill(it.dak_lak);
    it.world.run(ms(500));
    let refusal = it.world.bring_up(it.centre, HOA_PHU).unwrap_err();
    assert!(refusal.words().en.contains("the link with MCU dak-lak is lost"), "{refusal}");
}

#[test]
fn a_province_uses_its_own_sites_while_the_centre_shows_them() {
    let mut it = country();
    it.show(HOA_PHU);
    let command = Command::BringUp { site: path(HOA_PHU), viewers: chair(), deadline: ms(30_000) };
    let operation = it.world.command(it.dak_lak, "Bình", command).unwrap().unwrap();
    assert_eq!(it.world.finish(it.dak_lak, operation).state, OperationState::Done);
    it.command(Command::Release { viewers: chair() }).unwrap();
    it.world.run(ms(500));
    assert_eq!(
        (it.slots(it.town), it.slots(it.dak_lak)),
        (csrcs(&[HOA_PHU]), vec![]),
        "the province still sees it"
    );
}

#[test]
fn a_site_that_was_lost_is_routed_again_when_it_is_back() {
    let mut it = country();
    let site = it.world.site(it.town, "Xã Ea Tu", State::Connected);
    it.world.run(ms(1_000));
    it.show("dak-lak/buon-ma-thuot/xa-ea-tu");
    it.world.mcus[it.town].conference.keep_acts = true;
    it.world.set_state(it.town, site, State::Reconnecting);
    it.world.run(ms(1_000));
    assert_eq!(
        it.world.node(it.centre).tree().get(&path("dak-lak/buon-ma-thuot/xa-ea-tu")).unwrap().line,
        Line::Lost
    );
    it.world.set_state(it.town, site, State::Connected);
    it.world.run(ms(1_000));
    let routed = |act: &Act| matches!(act, Act::Route { slot: 0, sound: true, .. });
    assert!(it.world.mcus[it.town].conference.acts.iter().any(|(_, act)| routed(act)));
}

#[test]
fn a_cut_of_ten_seconds_or_a_minute_heals_by_itself() {
    for (cut, most) in [(10, 35), (60, 40)] {
        let mut it = country();
        it.show(HOA_PHU);
        it.world.cut(it.dak_lak, true);
        it.world.run(ms(8_000));
        assert_eq!(it.world.node(it.centre).tree().get(&path("dak-lak")).unwrap().line, Line::Lost);
        assert_eq!(
            it.world.node(it.dak_lak).tree().get(&path(HOA_PHU)).unwrap().line,
            Line::Connected,
            "goes on locally"
        );
        it.world.site(it.town, "Xã Mới", State::Connected);
        if cut > 30 {
            it.world.run(ms(22_000));
            it.world.lose_media(it.dak_lak);
            it.world.run(ms(30_000));
        } else {
            it.world.run(ms(2_000));
        }
        it.world.cut(it.dak_lak, false);
        let mut healed = 0;
        while !(it.world.tree_is_true(it.centre)
            && it.world.node(it.dak_lak).is_linked()
            && it.slots(it.dak_lak) == csrcs(&[HOA_PHU]))
        {
            it.world.run(ms(100));
            healed += 100;
            assert!(healed < most * 1_000, "not healed {healed} ms after a cut of {cut} s");
        }
        assert_eq!(it.slots(it.town), csrcs(&[HOA_PHU]));
        it.show(EA_KAO);
    }
}

#[test]
fn killed_and_started_again_everything_is_as_before() {
    for who in ["centre", "province", "town"] {
        let mut it = country();
        it.show(HOA_PHU);
        let offer = Command::Offer { slot: 1, site: Some(path(EA_KAO)) };
        it.world.command(it.dak_lak, "Bình", offer).unwrap();
        it.world.run(ms(1_000));
        let id = match who {
            "centre" => it.centre,
            "province" => it.dak_lak,
            _ => it.town,
        };
        it.world.kill(id);
        it.world.run(ms(2_000));
        it.world.switch_on(id);
        let town = if who == "town" || who == "province" { 40_000 } else { 10_000 };
        it.world.run(ms(town));
        assert!(it.world.tree_is_true(it.centre), "{who}");
        assert_eq!(it.slots(it.town), csrcs(&[HOA_PHU]), "{who}");
        assert_eq!(it.slots(it.dak_lak), csrcs(&[HOA_PHU, EA_KAO]), "{who}");
        // Also where an MCU between knew nothing of its slaves yet when it was asked for the site.
        assert!(it.shows(HOA_PHU) && !it.world.alarms(it.centre).contains(&"not-restored"), "{who}");
        it.show(HOA_KHANH);
        it.command(Command::Release { viewers: chair() }).unwrap();
        it.world.run(ms(1_000));
        assert!(it.slots(it.town).is_empty(), "{who}");
    }
}

#[test]
fn a_slave_that_dies_in_the_middle_fails_the_bring_up_and_leaves_the_picture() {
    let mut it = country();
    it.show(THUY_THANH);
    let operation = it.world.bring_up(it.centre, HOA_PHU).unwrap();
    it.world.run(ms(45));
    it.world.kill(it.town);
    let ended = it.world.finish(it.centre, operation);
    assert_eq!(ended.state, OperationState::Failed);
    let words = ended.error.unwrap().en;
    assert!(
        words.contains("route at MCU dak-lak: the control link with MCU dak-lak/buon-ma-thuot was lost"),
        "{words}"
    );
    assert!(ended.took_ms.unwrap() < 1_000);
    assert!(it.shows(THUY_THANH));
}

#[test]
fn a_new_master_commands_and_the_old_one_is_refused() {
    let mut it = country();
    it.command(Command::TakeCommand { force: false }).unwrap();
    let term = it.world.node(it.centre).kept().term;
    assert_eq!(term, 2);
    // The slaves come back to a master with the higher term …
    it.world.kill(it.centre);
    it.world.switch_on(it.centre);
    it.world.run(ms(5_000));
    assert!(it.world.node(it.dak_lak).is_linked());
    assert_eq!(it.world.node(it.dak_lak).kept().term, 2);
    // … and one that does not know of it has to step down.
    it.world.kill(it.centre);
    it.world.mcus[it.centre].forget();
    it.world.switch_on(it.centre);
    it.world.run(ms(20_000));
    assert!(!it.world.node(it.dak_lak).is_linked());
    assert!(it.world.alarms(it.centre).contains(&"superseded"));
    it.command(Command::TakeCommand { force: false }).unwrap();
    it.world.run(ms(40_000));
    assert!(it.world.node(it.dak_lak).is_linked());
}

#[test]
fn everybody_is_called_evenly_and_the_urgent_first() {
    let mut it = country();
    for n in 0..200 {
        it.world.site(it.town, &format!("Xã {n}"), State::Left);
    }
    let dead = it.world.site(it.town, "Xã Im Lặng", State::Left);
    it.world.mcus[it.town].conference.dead.push(dead);
    let late = it.world.site(it.dak_lak, "Xã Muộn", State::Left);
    it.world.run(ms(2_000));
    it.command(Command::CallAll { under: path("dak-lak"), priority: 1 }).unwrap();
    it.world.run(ms(500));
    let urgent = path("dak-lak/buon-ma-thuot/xa-199");
    it.command(Command::CallAll { under: urgent, priority: 9 }).unwrap();
    it.world.run(ms(120_000));
    let dialled = &it.world.mcus[it.town].conference.dialled;
    let place = dialled.iter().position(|(_, id)| *id == ParticipantId(dead.0 - 1)).unwrap();
    assert!(place < 40, "the urgent one was number {place}");
    let first = dialled.iter().take(50).map(|(at, _)| *at).collect::<Vec<_>>();
    assert!(first[49] - first[0] >= ms(950), "50 a second");
    assert_eq!(dialled.iter().filter(|(_, id)| *id == dead).count(), 4, "once and three times again");
    assert_eq!(it.world.mcus[it.dak_lak].conference.dialled.iter().filter(|(_, id)| *id == late).count(), 1);
    let progress = it.world.mcus[it.centre].events.iter().rev().find_map(|(_, event)| match event {
        Event::Progress { under, progress } if *under == path("dak-lak") => Some(*progress),
        _ => None,
    });
    let progress = progress.unwrap();
    assert_eq!((progress.total, progress.connected, progress.failed), (202, 201, 1));
}

#[test]
fn the_media_call_is_made_with_a_token_the_master_was_told_of() {
    let mut it = country();
    it.world.mcus[it.hue].conference.keep_acts = true;
    it.world.fact(it.hue, Fact::Media { link: Link::Above, up: false });
    it.world.run(ms(3_000));
    assert!(it.world.mcus[it.hue].conference.media_up);
    let tokens: Vec<String> = it.world.mcus[it.hue]
        .conference
        .acts
        .iter()
        .filter_map(|(_, act)| match act {
            Act::CallMaster { token, slots: 2, .. } => Some(token.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(tokens.len(), 1);
    assert!(!it.world.mcus[it.centre].conference.expected.contains_key(&tokens[0]), "told, and used");
}

/// Whatever operators do, whatever dies or breaks: when it is quiet again both ends of every link agree, and nothing is held that
/// nobody wants.
#[test]
fn after_any_trouble_both_ends_of_every_link_agree() {
    for seed in 0..40 {
        let mut it = country();
        it.world.random = rand::SeedableRng::seed_from_u64(seed);
        it.world.loss = 0.01;
        let away = it.world.site(it.town, "Xã Vắng", State::Left);
        let dead = it.world.site(it.town, "Xã Im Lặng", State::Left);
        it.world.mcus[it.town].conference.dead.push(dead);
        it.world.run(ms(1_000));
        let mut off = None;
        for step in 0..120 {
            trouble(&mut it, &mut off, away);
            let pause = it.world.random.random_range(0..800);
            it.world.run(ms(pause));
            let _ = step;
        }
        if let Some(id) = off {
            it.world.switch_on(id);
        }
        for slave in [it.dak_lak, it.town, it.hue] {
            it.world.cut(slave, false);
        }
        it.world.run(ms(120_000));
        agree(&it, seed);
        for id in [it.centre, it.dak_lak] {
            it.world.command(id, "Lan", Command::Prepare { sites: vec![] }).unwrap();
            it.world.command(id, "Lan", Command::Release { viewers: Viewers::All }).unwrap();
        }
        it.world.run(ms(3_000));
        agree(&it, seed);
        for (master, link) in
            [(it.centre, "dak-lak"), (it.centre, "hue"), (it.dak_lak, "dak-lak/buon-ma-thuot")]
        {
            let held = it.world.node(master).expected().find(|(of, ..)| **of == path(link));
            let offered = it.world.node(it.dak_lak).kept().offers.contains(&Some(path(HOA_XUAN)));
            assert!(held.is_none() || offered, "{seed}: {link} still holds {held:?}");
        }
    }
}

fn trouble(it: &mut Country, off: &mut Option<usize>, away: ParticipantId) {
    let sites = [
        HOA_PHU,
        HOA_KHANH,
        HOA_XUAN,
        EA_KAO,
        THUY_THANH,
        "dak-lak/buon-ma-thuot/xa-vang",
        "dak-lak/buon-ma-thuot/xa-im-lang",
    ];
    let pick = |it: &mut Country| path(sites[it.world.random.random_range(0..sites.len())]);
    let viewers = if it.world.random.random_range(0..4) == 0 { Viewers::All } else { chair() };
    let (site, deadline) = (pick(it), ms(5_000));
    let who = if it.world.random.random_range(0..4) == 0 { it.dak_lak } else { it.centre };
    let command = match it.world.random.random_range(0..24) {
        0..=8 => Command::BringUp { site, viewers, deadline },
        9 | 10 => Command::Prepare { sites: vec![site, pick(it)] },
        11 => Command::Take { viewers, deadline },
        12 => Command::Undo { viewers, deadline },
        13 => Command::Release { viewers },
        14 => {
            let offers = [None, Some(path(EA_KAO)), Some(path(HOA_XUAN))];
            let offer = offers[it.world.random.random_range(0..3)].clone();
            let command = Command::Offer { slot: it.world.random.random_range(0..2), site: offer };
            if *off != Some(it.dak_lak) {
                let _ = it.world.command(it.dak_lak, "Bình", command);
            }
            return;
        }
        15 => {
            let pictures = it.world.random.random_range(0..3) > 0;
            if *off != Some(it.town) {
                let _ = it.world.command(
                    it.town,
                    "Bình",
                    Command::SetPolicy(Policy { pictures, ..Policy::default() }),
                );
            }
            return;
        }
        16 => {
            let slave = [it.dak_lak, it.town, it.hue][it.world.random.random_range(0..3)];
            let cut = !it.world.is_cut(slave);
            return it.world.cut(slave, cut);
        }
        17 => {
            match off.take() {
                Some(id) => it.world.switch_on(id),
                None => {
                    let id = [it.centre, it.dak_lak, it.town][it.world.random.random_range(0..3)];
                    it.world.kill(id);
                    *off = Some(id);
                }
            }
            return;
        }
        18 => {
            let state =
                [State::Left, State::Reconnecting, State::Connected][it.world.random.random_range(0..3)];
            if *off != Some(it.town) {
                it.world.set_state(it.town, away, state);
            }
            return;
        }
        _ => return,
    };
    if *off != Some(who) {
        let _ = it.world.command(who, "Lan", command);
    }
}

fn agree(it: &Country, seed: u64) {
    assert!(it.world.tree_is_true(it.centre), "{seed}");
    for (master, slave) in [(it.centre, it.dak_lak), (it.centre, it.hue), (it.dak_lak, it.town)] {
        let link = it.world.mcus[slave].config.path.clone();
        assert!(it.world.node(slave).is_linked(), "{seed}: {link}");
        let own = it.world.node(slave).tree().get(&link).unwrap().clone();
        for (slot, held) in (0_u8..).zip(&own.slots) {
            let all = it.world.node(master).expected();
            let wanted =
                all.filter(|(of, at, _)| **of == link && *at == slot).map(|(.., site)| site.clone()).next();
            let commanded = held.by.as_ref().and(held.site.clone());
            assert_eq!(wanted, commanded, "{seed}: slot {slot} of {link}: {held:?}");
            let there = held.site.as_ref().filter(|site| {
                it.world.node(slave).tree().get(site).is_some_and(|entry| entry.line == Line::Connected)
            });
            if let Some(site) = there {
                assert_eq!(it.world.in_slot(slave, slot), Some(site.csrc()), "{seed}: slot {slot} of {link}");
            }
        }
    }
}
