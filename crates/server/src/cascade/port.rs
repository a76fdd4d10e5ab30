//! What the node wants done in the conference.

use std::{sync::Arc, time::Duration};

use cau_cascade::{Act, Fact, Outcome, Source, Viewers};
use cau_conference::{Handle, Order};
use cau_model::{ConferenceId, OperationId, ParticipantId, Words};
use tokio::sync::mpsc;

use super::facts::{Hook, Told};

/// Does what the node wants; what comes of it goes back as facts.
pub trait Port: Send + 'static {
    /// Begins it. Never waits.
    fn act(&mut self, act: Act);
}

/// The conference of this MCU. What needs the media call of a link is refused with the reason.
#[derive(Debug)]
pub struct Conference {
    focus: Handle,
    hook: Arc<Hook>,
    back: mpsc::Sender<Told>,
}

impl Conference {
    /// The conference the hook listens to.
    pub fn new(focus: Handle, hook: Arc<Hook>, back: mpsc::Sender<Told>) -> Self {
        Self { focus, hook, back }
    }

    fn dial(&self, conference: ConferenceId, site: ParticipantId) {
        let (focus, back) = (self.focus.clone(), self.back.clone());
        tokio::spawn(async move {
            if let Err(e) = focus.call_again(conference, site).await {
                let _ = back.send(Told::Fact(Fact::DialFailed { site, words: e.words().clone() })).await;
            }
        });
    }

    fn bring_up(
        &self,
        conference: ConferenceId,
        operation: OperationId,
        site: ParticipantId,
        viewers: Viewers,
        deadline: Duration,
        by: String,
    ) {
        let viewers = match viewers {
            Viewers::All => None,
            Viewers::Only(ids) => Some(ids.into_iter().collect()),
        };
        let order =
            Order { site: site.to_string(), viewers, deadline: deadline.max(Duration::from_secs(1)), by };
        let (focus, back) = (self.focus.clone(), self.back.clone());
        tokio::spawn(async move {
            let told = match focus.bring_up(conference, order).await {
                Ok(begun) => Told::Begun(operation, Box::new(begun)),
                Err(e) => Told::Fact(Fact::Ended(operation, Outcome::Failed(e.words().clone()))),
            };
            let _ = back.send(told).await;
        });
    }

    fn fail(&self, operation: OperationId, words: Words) {
        let back = self.back.clone();
        tokio::spawn(async move {
            let _ = back.send(Told::Fact(Fact::Ended(operation, Outcome::Failed(words)))).await;
        });
    }
}

impl Port for Conference {
    fn act(&mut self, act: Act) {
        let conference = self.hook.conference();
        match act {
            Act::Dial { site } => match conference {
                Some(conference) => self.dial(conference, site),
                None => tracing::debug!("a site is to be called, and there is no conference"),
            },
            Act::BringUp { operation, source, viewers, deadline, by, .. } => match (conference, source) {
                (Some(conference), Source::Own(site)) => {
                    self.bring_up(conference, operation, site, viewers, deadline, by);
                }
                (None, _) => {
                    self.fail(operation, Words::new("phiên họp chưa mở", "the conference is not open"))
                }
                (_, Source::Slot { link, .. }) => self.fail(
                    operation,
                    Words::new(
                        format!("chưa có đường hình và tiếng với {link}"),
                        format!("there is no media call with {link}"),
                    ),
                ),
            },
            other => tracing::debug!(act = ?other, "not without the media call of a link"),
        }
    }
}
