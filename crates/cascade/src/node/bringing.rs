//! Bringing sites before viewers of this MCU.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cau_model::snapshot::{OperationState, StepName};
use cau_model::{OperationId, ParticipantId, Refusal, Words};

use super::feeds::{End, RESTORING, Want};
use super::{Act, Event, Node, Obstacle, Outcome, Viewers};
use crate::operation::{Operation, step_words};
use crate::path::Path;
use crate::tree::{Kind, Line as State};

/// Operations that ended are known for this long …
const KNOWN: Duration = Duration::from_secs(3600);
/// … but never more of them than this.
const MOST: usize = 1_024;
/// The conference tells what became of it at the deadline; who hears nothing that much later gives up.
const GRACE: Duration = Duration::from_secs(1);
/// Sites `Undo` can go back through.
const HISTORY: usize = 16;
/// Different groups of viewers at a time.
const MOST_SCREENS: usize = 64;

/// Viewers, and what the cascade has put before them.
#[derive(Debug)]
pub(super) struct Screen {
    pub viewers: Viewers,
    pub current: Option<Path>,
    pub by: String,
    pub next: Option<(OperationId, Path)>,
    history: Vec<Path>,
    /// What is coming is the last of the history.
    undoing: Option<OperationId>,
    /// Taken up from before, and not seen since: who was to see it may come later than the site.
    unseen: bool,
}

impl Screen {
    /// Whether it has the site, or waits for it.
    pub fn wants(&self, site: &Path) -> bool {
        self.current.as_ref() == Some(site) || self.next.as_ref().is_some_and(|(_, next)| next == site)
    }
}

impl Node {
    /// Begins a bring-up.
    pub(super) fn bring_up(
        &mut self,
        now: Instant,
        by: &str,
        site: &Path,
        viewers: Viewers,
        deadline: Duration,
    ) -> Result<OperationId, Refusal> {
        if !(1..=300).contains(&deadline.as_secs()) {
            return Err(Refusal::invalid("deadline_s", "từ 1 đến 300 giây", "1 to 300 seconds"));
        }
        let (site, note) = self.meant(site)?;
        self.begin(now, by, (site, note), viewers, deadline)
    }

    /// The same for a site that is known to be one.
    fn begin(
        &mut self,
        now: Instant,
        by: &str,
        (site, note): (Path, Option<Words>),
        viewers: Viewers,
        deadline: Duration,
    ) -> Result<OperationId, Refusal> {
        if !self.screens.iter().any(|screen| screen.viewers == viewers) && self.screens.len() >= MOST_SCREENS
        {
            return Err(Refusal::invalid(
                "for",
                "quá nhiều nhóm người xem khác nhau",
                "too many groups of viewers",
            ));
        }
        self.supersede(now, by, &site, &viewers);
        let at = self.screen(&viewers, by);
        let replacing = self.screens.get(at).and_then(|screen| screen.current.clone());
        let want = Want { by, sound: true, deadline: now + deadline, replacing: replacing.as_ref() };
        if let Err(obstacle) = self.ensure(now, &site, &want) {
            self.forget_empty_screens();
            return Err(Refusal::Conflict(self.where_and_why(&obstacle)));
        }
        self.last_operation += 1;
        let id = OperationId(self.last_operation);
        let mut operation = Operation::new(now, id, site.clone(), viewers.clone(), by, deadline);
        operation.note = note;
        operation.step(now, StepName::Find, &self.config.path, now);
        if let Some(screen) = self.screens.get_mut(at) {
            screen.next = Some((id, site.clone()));
        }
        self.forget_operations(now);
        self.operations.insert(id, operation.clone());
        self.event(Event::Operation(Box::new(operation)));
        if let Some(source) = self.source_of(&site) {
            let (csrc, by) = (site.csrc(), by.to_owned());
            self.acts.push_back(Act::BringUp { operation: id, site, csrc, source, viewers, deadline, by });
        }
        Ok(id)
    }

    /// The site an operator means; or the foreign MCU it stands behind, and what he has to know then.
    fn meant(&self, site: &Path) -> Result<(Path, Option<Words>), Refusal> {
        if !site.is_below(&self.config.path) {
            let vi = format!("“{site}” không nằm dưới MCU này");
            return Err(Refusal::invalid("site", vi, format!("\"{site}\" is not below this MCU")));
        }
        let mut at = site.clone();
        loop {
            match self.tree.get(&at) {
                Some(entry) if entry.kind == Kind::Foreign && at != *site => {
                    let note = Words::new(
                        format!(
                            "“{site}” nằm sau {} (MCU của hãng khác): đang đưa đường nối lên; người điều khiển tại đó phải tự chọn điểm cầu",
                            entry.name
                        ),
                        format!(
                            "\"{site}\" stands behind {} (another maker's MCU): the link is brought up; its own operator must switch to the site",
                            entry.name
                        ),
                    );
                    return Ok((at, Some(note)));
                }
                Some(entry) if entry.kind == Kind::Mcu && entry.line == State::Lost => {
                    return Err(Refusal::Conflict(Words::new(
                        format!("mất kết nối với {}", entry.name),
                        format!("the link with {} is lost", entry.name),
                    )));
                }
                Some(entry) if at == *site && entry.kind == Kind::Mcu => {
                    return Err(Refusal::invalid(
                        "site",
                        format!("{} là một MCU; hãy nêu một điểm cầu", entry.name),
                        format!("{} is an MCU; name a site", entry.name),
                    ));
                }
                _ => {}
            }
            match at.parent() {
                Some(parent) if parent.is_below(&self.config.path) => at = parent,
                _ => break,
            }
        }
        if self.tree.get(site).is_some() {
            return Ok((site.clone(), None));
        }
        Err(Refusal::NotFound(Words::new(
            format!("không có điểm cầu “{site}”"),
            format!("there is no site \"{site}\""),
        )))
    }

    /// The last command wins: what is under way for the same viewers has failed.
    fn supersede(&mut self, now: Instant, by: &str, site: &Path, viewers: &Viewers) {
        let name = self.tree.get(site).map(|entry| entry.name.clone()).unwrap_or_default();
        let words =
            Words::new(format!("{by} đã đưa {name} lên sau đó"), format!("{by} has brought up {name} since"));
        self.supersede_with(now, viewers, &words);
    }

    fn supersede_with(&mut self, now: Instant, viewers: &Viewers, words: &Words) {
        let mut ended = Vec::new();
        for screen in self.screens.iter_mut().filter(|screen| screen.viewers.meets(viewers)) {
            ended.extend(screen.next.take());
        }
        for (operation, site) in ended {
            self.acts.push_back(Act::Abandon { operation, superseded: true });
            self.finish(now, operation, OperationState::Failed, Some(words.clone()));
            self.release(now, &site, End::Abort);
        }
    }

    fn screen(&mut self, viewers: &Viewers, by: &str) -> usize {
        if let Some(at) = self.screens.iter().position(|screen| screen.viewers == *viewers) {
            return at;
        }
        self.screens.push(Screen {
            viewers: viewers.clone(),
            current: None,
            by: by.to_owned(),
            next: None,
            history: Vec::new(),
            undoing: None,
            unseen: false,
        });
        self.screens.len() - 1
    }

    fn forget_empty_screens(&mut self) {
        self.screens.retain(|screen| screen.current.is_some() || screen.next.is_some());
    }

    fn forget_operations(&mut self, now: Instant) {
        let old = |operation: &Operation| {
            operation.ended.is_some_and(|at| now.saturating_duration_since(at) >= KNOWN)
        };
        if self.operations.first_key_value().is_some_and(|(_, first)| old(first))
            || self.operations.len() >= MOST
        {
            self.operations.retain(|_, operation| !old(operation));
        }
        while self.operations.len() >= MOST {
            let ended = self.operations.iter().find(|(_, o)| !o.is_running()).map(|(id, _)| *id);
            let Some(id) = ended else { return };
            self.operations.remove(&id);
        }
    }

    /// Where something failed, and why, for the operator.
    fn where_and_why(&self, obstacle: &Obstacle) -> Words {
        let name = match self.tree.get(&obstacle.mcu) {
            Some(entry) if !entry.name.is_empty() => entry.name.clone(),
            _ => obstacle.mcu.to_string(),
        };
        let (vi, en) = step_words(obstacle.step);
        Words::new(
            format!("{vi} tại {name}: {}", obstacle.words.vi),
            format!("{en} at {name}: {}", obstacle.words.en),
        )
    }

    fn finish(&mut self, now: Instant, id: OperationId, state: OperationState, error: Option<Words>) {
        if let Some(operation) = self.operations.get_mut(&id).filter(|operation| operation.is_running()) {
            operation.end(now, state, error);
            let told = Event::Operation(Box::new(operation.clone()));
            self.event(told);
        }
    }

    fn noted(&mut self, now: Instant, id: OperationId, name: StepName, mcu: &Path, at: Instant) {
        if let Some(operation) = self.operations.get_mut(&id)
            && operation.step(now, name, mcu, at)
        {
            let told = Event::Operation(Box::new(operation.clone()));
            self.event(told);
        }
    }

    /// A step on the way of a site, done at an MCU below.
    pub(super) fn step_of(&mut self, now: Instant, site: &Path, name: StepName, mcu: &Path, at: Instant) {
        let waiting = self.screens.iter().filter_map(|screen| screen.next.as_ref());
        let waiting: Vec<OperationId> = waiting.filter(|(_, next)| next == site).map(|(id, _)| *id).collect();
        for id in waiting {
            self.noted(now, id, name, mcu, at);
        }
        self.slots_step(now, site, name, mcu, at);
    }

    /// The conference has done a step.
    pub(super) fn conference_step(&mut self, now: Instant, id: OperationId, name: StepName) {
        let mcu = self.config.path.clone();
        self.noted(now, id, name, &mcu, now);
    }

    /// The conference says how it ended.
    pub(super) fn conference_ended(&mut self, now: Instant, id: OperationId, outcome: Outcome) {
        let Some(at) = self.screens.iter().position(|s| s.next.as_ref().is_some_and(|(next, _)| *next == id))
        else {
            return;
        };
        let Some((_, site)) = self.screens.get_mut(at).and_then(|screen| screen.next.take()) else { return };
        match outcome {
            Outcome::Done => self.shown(now, id, at, site, OperationState::Done),
            Outcome::Unconfirmed => self.shown(now, id, at, site, OperationState::Unconfirmed),
            Outcome::Failed(words) => {
                let name = &self.config.name;
                let words =
                    Words::new(format!("tại {name}: {}", words.vi), format!("at {name}: {}", words.en));
                self.finish(now, id, OperationState::Failed, Some(words));
                self.release(now, &site, End::Abort);
                self.forget_empty_screens();
            }
        }
    }

    /// The viewers see the site: what they saw before is let go.
    fn shown(&mut self, now: Instant, id: OperationId, at: usize, site: Path, state: OperationState) {
        let by = self.operations.get(&id).map(|operation| operation.by.clone()).unwrap_or_default();
        self.settle(&site);
        self.prepared.retain(|(prepared, _)| *prepared != site);
        let Some(screen) = self.screens.get_mut(at) else { return };
        (screen.by, screen.unseen) = (by, false);
        let viewers = screen.viewers.clone();
        let mut left: Vec<Path> = Vec::new();
        let undone = screen.undoing.take() == Some(id);
        if undone {
            screen.history.pop();
        }
        if let Some(old) = screen.current.replace(site.clone()).filter(|old| *old != site) {
            if !undone {
                screen.history.push(old.clone());
            }
            if screen.history.len() > HISTORY {
                screen.history.remove(0);
            }
            left.push(old);
        }
        for (other, screen) in self.screens.iter_mut().enumerate() {
            if other == at || !screen.viewers.meets(&viewers) {
                continue;
            }
            let rest = match (&screen.viewers, &viewers) {
                (Viewers::All, Viewers::Only(_)) => continue,
                (Viewers::Only(these), Viewers::Only(those)) => these - those,
                (_, Viewers::All) => BTreeSet::new(),
            };
            if rest.is_empty() {
                left.extend(screen.current.take());
            }
            screen.viewers = Viewers::Only(rest);
        }
        self.finish(now, id, state, None);
        for old in left {
            self.release(now, &old, End::Close);
        }
        self.forget_empty_screens();
        self.event(Event::Keep);
    }

    /// What was coming cannot come: the operations that wait for it have failed.
    pub(super) fn screens_waiting_failed(&mut self, now: Instant, site: &Path, obstacle: &Obstacle) {
        let words = self.where_and_why(obstacle);
        let mut failed = Vec::new();
        for screen in &mut self.screens {
            failed.extend(screen.next.take_if(|(_, next)| next == site));
        }
        for (operation, _) in failed {
            self.acts.push_back(Act::Abandon { operation, superseded: false });
            self.finish(now, operation, OperationState::Failed, Some(words.clone()));
        }
        self.forget_empty_screens();
    }

    /// A site cannot be had at all any more.
    pub(super) fn screens_failed(&mut self, now: Instant, site: &Path, obstacle: &Obstacle) {
        let mut lost = false;
        for screen in &mut self.screens {
            lost |= screen.current.take_if(|current| current == site).is_some();
        }
        if lost {
            let words = self.where_and_why(obstacle);
            self.alarm(now, "site-lost", site, words);
            self.event(Event::Keep);
        }
        self.screens_waiting_failed(now, site, obstacle);
    }

    pub(super) fn operations_timeout(&self) -> Option<Instant> {
        let running = self.screens.iter().filter_map(|screen| screen.next.as_ref());
        running
            .filter_map(|(id, _)| self.operations.get(id))
            .map(|operation| operation.deadline + GRACE)
            .min()
    }

    pub(super) fn time_operations(&mut self, now: Instant) {
        let late =
            |node: &Node, id: &OperationId| node.operations.get(id).is_none_or(|o| o.deadline + GRACE <= now);
        let running = self.screens.iter().filter_map(|screen| screen.next.as_ref());
        let late: Vec<Path> =
            running.filter(|(id, _)| late(self, id)).map(|(_, site)| site.clone()).collect();
        for site in late {
            let obstacle = self.obstacle(
                StepName::Picture,
                "phiên họp không báo kết quả trong thời hạn",
                "the conference has not told of the result in time",
            );
            self.screens_waiting_failed(now, &site, &obstacle);
            self.release(now, &site, End::Abort);
        }
    }

    /// Sites into slots, not shown.
    pub(super) fn prepare(&mut self, now: Instant, by: &str, sites: &[Path]) -> Result<(), Refusal> {
        let mut meant = Vec::new();
        for site in sites.iter().take(MOST_SCREENS) {
            meant.push(self.meant(site)?.0);
        }
        let dropped: Vec<Path> =
            self.prepared.iter().map(|(site, _)| site.clone()).filter(|site| !meant.contains(site)).collect();
        self.prepared.retain(|(site, _)| meant.contains(site));
        for site in dropped {
            self.release(now, &site, End::Close);
        }
        let (mut refusal, mut prepared) = (None, Vec::new());
        // Not in the list meanwhile: what is prepared must not push out what is to be prepared too.
        let held = std::mem::take(&mut self.prepared);
        for site in &meant {
            let known = held.iter().any(|(held, _)| held == site);
            let want = Want { by, sound: false, deadline: now + super::feeds::RESTORING, replacing: None };
            match if known { Ok(()) } else { self.ensure(now, site, &want) } {
                Ok(()) => prepared.push((site.clone(), by.to_owned())),
                Err(obstacle) => {
                    refusal.get_or_insert(self.where_and_why(&obstacle));
                }
            }
        }
        self.prepared = prepared;
        self.event(Event::Keep);
        refusal.map_or(Ok(()), |words| Err(Refusal::Conflict(words)))
    }

    /// The next prepared site before viewers.
    pub(super) fn take(
        &mut self,
        now: Instant,
        by: &str,
        viewers: Viewers,
        deadline: Duration,
    ) -> Result<OperationId, Refusal> {
        let Some(site) = self.prepared.first().map(|(site, _)| site.clone()) else {
            return Err(Refusal::Conflict(Words::new(
                "chưa có điểm cầu nào được chuẩn bị",
                "no site is prepared",
            )));
        };
        self.bring_up(now, by, &site, viewers, deadline)
    }

    /// Back to the site before, or to the layout.
    pub(super) fn undo(
        &mut self,
        now: Instant,
        by: &str,
        viewers: Viewers,
        deadline: Duration,
    ) -> Result<Option<OperationId>, Refusal> {
        let found = self.screens.iter().position(|screen| screen.viewers == viewers);
        let Some(screen) = found.and_then(|at| self.screens.get_mut(at)) else {
            return Err(Refusal::Conflict(Words::new(
                "không có gì để quay lại",
                "there is nothing to go back from",
            )));
        };
        let Some(before) = screen.history.last().cloned() else {
            self.release_viewers(now, by, &viewers);
            return Ok(None);
        };
        let id = self.bring_up(now, by, &before, viewers.clone(), deadline)?;
        if let Some(screen) = self.screens.iter_mut().find(|screen| screen.viewers == viewers) {
            screen.undoing = Some(id);
        }
        Ok(Some(id))
    }

    /// These viewers see their layout again.
    pub(super) fn release_viewers(&mut self, now: Instant, by: &str, viewers: &Viewers) {
        let words =
            Words::new(format!("{by} đã trả bố cục sau đó"), format!("{by} has given the layout back since"));
        self.supersede_with(now, viewers, &words);
        let mut left = Vec::new();
        for screen in
            self.screens.iter_mut().filter(|screen| screen.viewers == *viewers || *viewers == Viewers::All)
        {
            left.extend(screen.current.take());
        }
        self.acts.push_back(Act::Release { viewers: viewers.clone() });
        for site in left {
            self.release(now, &site, End::Close);
        }
        self.forget_empty_screens();
        self.event(Event::Keep);
    }

    /// The media calls of a link were made anew: who saw a site that comes over it sees it again, as soon as it comes. An MCU between that has just begun
    /// may not know it yet; then it is asked again (`failed_below`).
    pub(super) fn show_again(&mut self, now: Instant, link: &Path) {
        let lost = self.screens.iter().filter(|screen| screen.next.is_none()).filter_map(|screen| {
            let site = screen.current.clone().filter(|site| site.is_below(link))?;
            Some((screen.viewers.clone(), site, screen.by.clone()))
        });
        let lost: Vec<(Viewers, Path, String)> = lost.collect();
        for (viewers, site, by) in lost {
            if let Err(refusal) = self.begin(now, &by, (site.clone(), None), viewers, RESTORING) {
                self.alarm(now, "not-restored", &site, refusal.words().clone());
            }
        }
    }

    /// A site of this MCU is there: what it was to see before this MCU began, or took command.
    pub(super) fn viewer_connected(&mut self, now: Instant, viewer: ParticipantId) {
        let waits = |screen: &&Screen| {
            screen.unseen && matches!(&screen.viewers, Viewers::Only(them) if them.contains(&viewer))
        };
        let waiting: Vec<(Viewers, Path, String)> = self
            .screens
            .iter()
            .filter(waits)
            .filter_map(|screen| Some((screen.viewers.clone(), screen.current.clone()?, screen.by.clone())))
            // What comes over a link is shown when that stands.
            .filter(|(_, site, _)| self.feeds.contains_key(site))
            .collect();
        for (viewers, site, by) in waiting {
            if let Err(refusal) = self.bring_up(now, &by, &site, viewers, RESTORING) {
                self.alarm(now, "not-restored", &site, refusal.words().clone());
            }
        }
    }

    /// Another master commands: what was wanted here is its business.
    pub(super) fn give_up_screens(&mut self, now: Instant, words: &Words) {
        self.supersede_with(now, &Viewers::All, words);
        self.screens.clear();
        self.prepared.clear();
        self.feeds.clear();
        self.floors.clear();
    }

    /// After a restart: what was wanted.
    pub(super) fn restore_wishes(
        &mut self,
        screens: Vec<(Viewers, Path, String)>,
        prepared: Vec<(Path, String)>,
    ) {
        for (viewers, site, by) in screens.into_iter().take(MOST_SCREENS) {
            self.screens.push(Screen {
                viewers,
                current: Some(site),
                by,
                next: None,
                history: Vec::new(),
                undoing: None,
                unseen: true,
            });
        }
        self.prepared = prepared.into_iter().take(MOST_SCREENS).collect();
    }
}
