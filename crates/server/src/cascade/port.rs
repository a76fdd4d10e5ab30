//! What the node wants done in the conference.

use std::{sync::Arc, time::Duration};

use cau_cascade::{Act, Fact, Link, Outcome, Source, Viewers};
use cau_conference::{Handle, InSlot, LinkOrder, Order, Request, Upward};
use cau_model::{ConferenceId, OperationId, ParticipantId, Words};
use tokio::sync::{mpsc, oneshot};

use super::facts::{Hook, Told};

/// Does what the node wants; what comes of it goes back as facts.
pub trait Port: Send + 'static {
    /// Begins it. Never waits.
    fn act(&mut self, act: Act);

    /// What may come in a slot of a slave from now on; `None`: nothing.
    fn admit(&mut self, link: &cau_cascade::Path, slot: u8, csrc: Option<u32>);

    /// Which of the configured masters the link stands with.
    fn master(&mut self, index: usize);
}

/// The conference of this MCU.
#[derive(Debug)]
pub struct Conference {
    focus: Handle,
    hook: Arc<Hook>,
    back: mpsc::Sender<Told>,
    masters: Vec<String>,
    master: usize,
    follow: bool,
}

impl Conference {
    /// The conference the hook listens to. `masters`: SIP addresses of its room there; `follow`: everybody sees what the master sends.
    pub fn new(
        focus: Handle,
        hook: Arc<Hook>,
        back: mpsc::Sender<Told>,
        masters: Vec<String>,
        follow: bool,
    ) -> Self {
        Self { focus, hook, back, masters, master: 0, follow }
    }

    /// In the order of acts: a request that waited could be overtaken.
    fn ask(&self, request: Request) -> bool {
        let taken = self.focus.sender().try_send(request).is_ok();
        if !taken {
            tracing::error!("the conference does not take what the cascade asks");
        }
        taken
    }

    fn order(&self, conference: ConferenceId, order: LinkOrder) {
        self.ask(Request::Link(conference, Box::new(order)));
    }

    fn dial(&self, conference: ConferenceId, site: ParticipantId) {
        let (focus, back) = (self.focus.clone(), self.back.clone());
        tokio::spawn(async move {
            if let Err(e) = focus.call_again(conference, site).await {
                let _ = back.send(Told::Fact(Fact::DialFailed { site, words: e.words().clone() })).await;
            }
        });
    }

    fn bring_up(&self, conference: ConferenceId, operation: OperationId, order: Order) {
        let (answer, answered) = oneshot::channel();
        let asked = self.ask(Request::BringUp { conference, order: Box::new(order), answer });
        let back = self.back.clone();
        tokio::spawn(async move {
            let stopping = || Words::new("MCU đang dừng", "the MCU is shutting down");
            let told = match answered.await {
                Ok(Ok(begun)) if asked => Told::Begun(operation, Box::new(begun)),
                Ok(Err(e)) => Told::Fact(Fact::Ended(operation, Outcome::Failed(e.words().clone()))),
                _ => Told::Fact(Fact::Ended(operation, Outcome::Failed(stopping()))),
            };
            let _ = back.send(told).await;
        });
    }

    fn fail(&self, operation: OperationId, words: Words) {
        self.tell(Fact::Ended(operation, Outcome::Failed(words)));
    }

    fn tell(&self, fact: Fact) {
        let back = self.back.clone();
        tokio::spawn(async move {
            let _ = back.send(Told::Fact(fact)).await;
        });
    }
}

fn ids(viewers: Viewers) -> Option<Vec<ParticipantId>> {
    match viewers {
        Viewers::All => None,
        Viewers::Only(ids) => Some(ids.into_iter().collect()),
    }
}

impl Port for Conference {
    fn act(&mut self, act: Act) {
        let Some(conference) = self.hook.conference() else {
            match act {
                Act::BringUp { operation, .. } => {
                    self.fail(operation, Words::new("phiên họp chưa mở", "the conference is not open"));
                }
                // Tried again in a while.
                Act::CallMaster { .. } => self.tell(Fact::Media { link: Link::Above, up: false }),
                other => tracing::debug!(act = ?other, "there is no conference"),
            }
            return;
        };
        match act {
            Act::Dial { site } => self.dial(conference, site),
            Act::BringUp { operation, csrc, source, viewers, deadline, by, .. } => {
                let (site, slot) = match source {
                    Source::Own(site) => (site.to_string(), None),
                    Source::Slot { link, slot } => {
                        (String::new(), Some(InSlot { link: link.to_string(), slot, csrc }))
                    }
                };
                let deadline = deadline.max(Duration::from_secs(1));
                let (viewers, tag) = (ids(viewers), Some(operation));
                self.bring_up(conference, operation, Order { site, viewers, deadline, by, slot, tag });
            }
            Act::CallMaster { link, token, slots } => {
                let Some(uri) = self.masters.get(self.master).or(self.masters.first()) else { return };
                // What people see: the name of the MCU above is known to the one above only.
                let name = if link.is_root() { "Trung tâm".to_owned() } else { link.last().to_owned() };
                let (path, uri, follow) = (link.to_string(), uri.clone(), self.follow);
                self.order(conference, LinkOrder::Call { path, name, uri, token, slots, follow });
            }
            Act::Expect { link, name, token, slots } => {
                let path = link.to_string();
                self.order(conference, LinkOrder::Expect { path, name, token, slots });
            }
            Act::Route { slot, csrc, source, sound, .. } => {
                let from = match source {
                    Source::Own(site) => Upward::Site(site),
                    Source::Slot { link, slot } => Upward::Slot { link: link.to_string(), slot },
                };
                self.order(conference, LinkOrder::Route { slot, from, csrc, sound });
            }
            Act::Unroute { slot } => self.order(conference, LinkOrder::Unroute(slot)),
            Act::Abandon { operation, superseded } => {
                self.order(conference, LinkOrder::Abandon { tag: operation, superseded });
            }
            Act::Release { viewers } => self.order(conference, LinkOrder::Release(ids(viewers))),
            Act::Floor { by } => self.order(conference, LinkOrder::Seize(by.is_some())),
        }
    }

    fn admit(&mut self, link: &cau_cascade::Path, slot: u8, csrc: Option<u32>) {
        if let Some(conference) = self.hook.conference() {
            self.order(conference, LinkOrder::Admit { path: link.to_string(), slot, csrc });
        }
    }

    fn master(&mut self, index: usize) {
        self.master = index;
    }
}
