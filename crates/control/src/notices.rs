//! From what the focus tells to events of the API and entries of the journal.

use std::time::SystemTime;

use cau_conference::{Body, Change, Notice};
use cau_store::Entry;
use serde_json::json;

use crate::Events;

impl Events {
    /// Publishes a notice of the focus; gives back what belongs into the journal.
    ///
    /// | notice | event | data |
    /// |---|---|---|
    /// | conference | `conference` | the conference as `GET /conferences/{id}` shows it |
    /// | conference ended | `conference` | `{"id","removed":true}` |
    /// | participant joined, changed, left | `participant` | the participant with `conference` and `change` |
    /// | level | `level`, not in the ring | sound levels and figures of the line |
    /// | operation begun, a step further, ended | `operation` | the operation as `GET /operations/{id}` shows it |
    /// | call refused | `call-refused` | `{"from","to","status","detail":{"vi","en"}}` |
    /// | device registered, signed off, lost | `device` | `{"account","change","contact","remote","user_agent"}` |
    /// | DTMF | `dtmf` | `{"conference","participant","digit"}` |
    /// | alarm | `alarm` | `{"conference","participant","code","detail":{"vi","en"}}` |
    pub fn notice(&self, now: SystemTime, notice: &Notice) -> Option<Entry> {
        let conference = notice.conference;
        let entry = |who: &str, what: &str, detail| {
            Some(Entry { at: now, conference, who: who.to_owned(), what: what.to_owned(), detail })
        };
        match &notice.body {
            Body::Conference(snapshot) => {
                self.publish("conference", conference, snapshot);
                None
            }
            Body::ConferenceEnded => {
                self.publish("conference", conference, &json!({ "id": conference, "removed": true }));
                if let Some(conference) = conference {
                    self.levels().forget(conference);
                }
                entry("system", "conference.ended", json!({}))
            }
            Body::Participant { change, participant } => {
                let conference = conference?;
                if *change == Change::Level {
                    self.levels().set(conference, participant);
                    return None;
                }
                let word = match change {
                    Change::Joined => "joined",
                    Change::Left => "left",
                    Change::Changed | Change::Level => "changed",
                };
                self.publish(
                    "participant",
                    Some(conference),
                    &Told { conference, change: word, participant },
                );
                let p = participant;
                match change {
                    Change::Joined => entry(
                        &p.uri,
                        "participant.joined",
                        json!({ "id": p.id, "name": p.name, "direction": p.direction }),
                    ),
                    Change::Left => {
                        self.levels().forget_one(conference, p.id);
                        entry(
                            &p.uri,
                            "participant.left",
                            json!({ "id": p.id, "name": p.name, "reason": p.reason, "reason_en": p.reason_en, "quality": p.quality }),
                        )
                    }
                    Change::Changed | Change::Level => None,
                }
            }
            Body::Operation(operation) => {
                self.publish("operation", conference, operation);
                let over = operation.state != cau_model::snapshot::OperationState::Running;
                over.then(|| entry(&operation.by, "bring-up.ended", json!(operation))).flatten()
            }
            Body::CallRefused { from, to, status, words } => {
                let detail = json!({ "from": from, "to": to, "status": status, "detail": words });
                self.publish("call-refused", conference, &detail);
                entry(from, "call.refused", detail)
            }
            Body::Device { account, change, contact, remote, user_agent } => {
                let detail = json!({
                    "account": account, "change": change, "contact": contact, "remote": remote, "user_agent": user_agent,
                });
                self.publish("device", conference, &detail);
                entry(account, &format!("device.{change}"), detail)
            }
            Body::Link { path, above, up } => {
                let detail =
                    json!({ "path": path, "direction": if *above { "up" } else { "down" }, "media": up });
                self.publish("cascade", conference, &json!({ "link": detail }));
                entry("system", if *up { "link.media-up" } else { "link.media-down" }, detail)
            }
            // The node tells what is in the slots, and of the whole bring-up.
            Body::Passed { .. } | Body::Part(_) | Body::Foreign(_) => None,
            Body::Dtmf { participant, digit } => {
                self.publish(
                    "dtmf",
                    conference,
                    &json!({ "conference": conference, "participant": participant, "digit": digit }),
                );
                // Digits may be a PIN: never into the journal.
                None
            }
            Body::Alarm { participant, code, words } => {
                let detail = json!({ "conference": conference, "participant": participant, "code": code, "detail": words });
                self.publish("alarm", conference, &detail);
                entry("system", "alarm", detail)
            }
        }
    }
}

/// A participant in an event: what the API shows, and where and why.
#[derive(serde::Serialize)]
struct Told<'a> {
    conference: cau_model::ConferenceId,
    change: &'static str,
    #[serde(flatten)]
    participant: &'a cau_model::snapshot::Participant,
}
