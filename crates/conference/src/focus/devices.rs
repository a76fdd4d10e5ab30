//! Devices at our registrar, and we at those of others.

use std::time::Instant;

use cau_model::Words;
use cau_sip::register::{Registration, RegistrationId, RegistrationState};
use cau_sip::registrar::{Change, Changed};

use super::Focus;
use crate::notice::Body;
use crate::request;

impl Focus {
    /// Registers us somewhere, from now on.
    pub(super) fn register(&mut self, now: Instant, plan: Registration) {
        if self.drain.is_none() {
            self.sip.register(now, plan);
        }
    }

    /// A device of one of our accounts came or went.
    pub(super) fn device(&mut self, changed: &Changed) {
        let device = &changed.device;
        self.notices.push(
            None,
            Body::Device {
                account: changed.account.to_string(),
                change: match changed.change {
                    Change::Registered => "registered",
                    Change::Left => "left",
                    Change::Lost => "lost",
                },
                contact: device.contact.to_string(),
                remote: device.remote,
                user_agent: device.user_agent.clone(),
            },
        );
    }

    /// How a registration of ours stands has changed: told when it stops to work, and when it works again.
    pub(super) fn registration(&mut self, id: RegistrationId, state: &RegistrationState) {
        let found = self.sip.registrations().find(|(of, ..)| *of == id);
        let Some(name) = found.map(|(_, plan, _)| address(plan)) else { return };
        match state {
            RegistrationState::Registered { .. } => {
                if self.unregistered.remove(&id) {
                    let words = Words::new(
                        format!("đã đăng ký lại được {name}"),
                        format!("{name} is registered again"),
                    );
                    self.notices
                        .push(None, Body::Alarm { participant: None, code: "registration-back", words });
                } else {
                    tracing::debug!(%name, "registered");
                }
            }
            RegistrationState::Failed { status, .. } => {
                if !self.unregistered.insert(id) {
                    return;
                }
                let why = why(*status);
                let words = Words::new(
                    format!("không đăng ký được {name}: {}", why.vi),
                    format!("{name} cannot be registered: {}", why.en),
                );
                self.notices
                    .push(None, Body::Alarm { participant: None, code: "registration-failed", words });
            }
            RegistrationState::Trying | RegistrationState::Ended => {}
        }
    }

    pub(super) fn registrations(&self) -> Vec<request::Registration> {
        let shown = |(_, plan, state): (_, &Registration, &RegistrationState)| request::Registration {
            address: address(plan),
            state: match state {
                RegistrationState::Trying => "trying",
                RegistrationState::Registered { .. } => "registered",
                RegistrationState::Failed { .. } => "failed",
                RegistrationState::Ended => "ended",
            },
        };
        self.sip.registrations().map(shown).collect()
    }
}

fn address(plan: &Registration) -> String {
    let host = plan.registrar.host().map(ToString::to_string).unwrap_or_default();
    format!("sip:{}@{host}", plan.user)
}

fn why(status: Option<u16>) -> Words {
    match status {
        None => Words::new("máy chủ đăng ký không trả lời", "the registrar does not answer"),
        Some(401 | 403 | 407) => Words::new(
            "sai tên hoặc mật khẩu (sip.register trong cấu hình)",
            "wrong user or password (sip.register in the configuration)",
        ),
        Some(404) => {
            Words::new("máy chủ đăng ký không biết tên này", "the registrar does not know this user")
        }
        Some(status) => Words::new(format!("bị từ chối ({status})"), format!("refused ({status})")),
    }
}
