//! `cau ctl`: the operator's command line, on the HTTP API.

mod api;
mod cascade;
mod file;
mod find;
mod table;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::{cli, failure::Failure};
use api::{Api, Lines};

/// How often a bring-up is looked at while waiting for its end.
const LOOK: Duration = Duration::from_millis(100);

/// Options of `cau ctl`.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where the MCU's API is.
    #[arg(long, env = "CAU_URL", default_value = "http://127.0.0.1:8080", value_name = "URL", global = true)]
    url: String,
    /// Token of a session (POST /api/v1/sessions).
    #[arg(long, env = "CAU_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// Signs in as this user, when there is no token.
    #[arg(long, env = "CAU_USER", default_value = "admin", value_name = "NAME", global = true)]
    user: String,
    /// The password to sign in with. On the command line others can read it: better in the environment.
    #[arg(long, env = "CAU_PASSWORD", value_name = "PASSWORD", hide_env_values = true, global = true)]
    password: Option<String>,
    /// JSON as the API gives it instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Language of reasons and errors.
    #[arg(long, env = "CAU_LANGUAGE", value_parser = ["vi", "en"], default_value = "vi", value_name = "LANGUAGE", global = true)]
    language: String,
    #[command(subcommand)]
    command: Command,
}

/// A conference is named by its id (c1), its room (8000) or its name; a site by its id (p1f), its name, or the key of its name.
#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the conferences.
    Conferences,
    /// Lists the sites of a conference, with what stands in the way of those that are not there.
    Participants {
        /// Id, room or name.
        conference: String,
        /// Also those who have left.
        #[arg(long)]
        all: bool,
    },
    /// Has a site called.
    Call {
        /// Id, room or name.
        conference: String,
        /// SIP address, such as sip:hoaphu@10.1.2.3.
        uri: String,
        /// The name to show.
        #[arg(long)]
        name: Option<String>,
    },
    /// Has all sites of a file called: lines of name and SIP address (CSV, UTF-8; `,`, `;` or tab between them).
    CallFile {
        /// Id, room or name.
        conference: String,
        /// The file; `-`: standard input.
        file: PathBuf,
    },
    /// Hangs up a site, or stops calling it.
    HangUp {
        /// Id, room or name.
        conference: String,
        /// Id or name.
        site: String,
    },
    /// Sets the layout.
    Layout {
        /// Id, room or name.
        conference: String,
        /// full, grid, 2x2, 1+5 …
        layout: String,
        /// Pins a site to a seat: 0=SITE; may be repeated.
        #[arg(long = "seat", value_name = "N=SITE")]
        seats: Vec<String>,
        /// Only for these sites; may be repeated.
        #[arg(long = "for", value_name = "SITE")]
        viewers: Vec<String>,
        /// Names on the picture.
        #[arg(long, value_parser = ["auto", "on", "off"])]
        names: Option<String>,
    },
    /// Names the speaker.
    Speaker {
        /// Id, room or name.
        conference: String,
        /// Id or name; absent: the voice chooses.
        site: Option<String>,
    },
    /// Brings a site before the chair, and waits until it is there, confirmed.
    BringUp {
        /// Id, room or name.
        conference: String,
        /// Id or name, or its path through the tree of MCUs (dak-lak/hoa-phu).
        site: String,
        /// Before these sites instead of the chair; may be repeated.
        #[arg(long = "for", value_name = "SITE")]
        viewers: Vec<String>,
        /// Seconds after which it has failed.
        #[arg(long, default_value_t = 30, value_name = "SECONDS")]
        deadline: u32,
    },
    /// Makes sites ready to be shown, in this order, and lists them with whether they are; without a site: only lists them.
    Prepare {
        /// Id, room or name.
        conference: String,
        /// Paths (dak-lak/hoa-phu).
        sites: Vec<String>,
        /// Lets all of them go that are ready.
        #[arg(long, conflicts_with = "sites")]
        none: bool,
    },
    /// Shows the site made ready first, and waits until it is there, confirmed.
    Take(Screens),
    /// Shows the site before this one again, or the layout when there was none.
    Undo(Screens),
    /// Gives the viewers their layout back, and the slot to the operator it is of.
    Release(Screens),
    /// Takes the floor of an MCU below: everybody there sees what this one sends.
    Floor {
        /// Its path.
        mcu: String,
        /// Gives it back instead.
        #[arg(long)]
        back: bool,
    },
    /// Has all sites below called that are not in the meeting, each by its own MCU.
    CallAll {
        /// Path of an MCU; absent: all.
        under: Option<String>,
    },
    /// Shows this MCU and everything below it.
    Tree {
        /// Path of an MCU: it and what is below.
        under: Option<String>,
        /// Levels below that.
        #[arg(long, value_name = "LEVELS")]
        depth: Option<usize>,
    },
    /// Shows who of two masters commands, how the other one stands, and the last drill.
    Standby,
    /// Has this one of two masters command from now on.
    TakeCommand {
        /// Why; for the journal.
        reason: String,
        /// Also when the other one cannot be asked. Only when it is certain that it has stopped.
        #[arg(long)]
        force: bool,
    },
    /// Has the other master take command and give it back, and waits until that is done.
    Drill {
        /// Seconds the other one keeps it.
        #[arg(long, default_value_t = 10, value_name = "SECONDS")]
        hold: u32,
    },
    /// Lists the links to other MCUs, makes one, ends one.
    Links {
        #[command(subcommand)]
        action: Option<cascade::Action>,
    },
    /// Shows what happens, line by line, until it is interrupted.
    Watch {
        /// Only this conference: id, room or name.
        conference: Option<String>,
    },
}

/// Whose screens are meant.
#[derive(Debug, clap::Args)]
struct Screens {
    /// Id, room or name.
    conference: String,
    /// Those of these sites instead of the chair's; may be repeated.
    #[arg(long = "for", value_name = "SITE")]
    viewers: Vec<String>,
    /// Seconds after which it has failed.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    deadline: u32,
}

/// Does what is asked. Exit status 1 when a site of a file was not called, or a bring-up failed.
///
/// # Errors
/// [`Failure::Ctl`] with the words of the API.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let api =
        Api::open(&args.url, &args.language, args.token.as_deref(), &args.user, args.password.as_deref())?;
    let done = Ctl { api: &api, json: args.json, vi: args.language == "vi" }.run(&args.command);
    api.close();
    done
}

struct Ctl<'a> {
    api: &'a Api,
    json: bool,
    vi: bool,
}

impl Ctl<'_> {
    fn run(&self, command: &Command) -> Result<ExitCode, Failure> {
        match command {
            Command::Conferences => {
                let list = self.api.list("/conferences")?;
                self.show(&Value::Array(list), table::conferences);
            }
            Command::Participants { conference, all } => {
                let id = find::conference(self.api, conference)?;
                let mut list = self.api.list(&format!("/conferences/{id}/participants"))?;
                list.retain(|site| *all || self.json || site["state"] != "left" || !site["reason"].is_null());
                self.show(&Value::Array(list), |list| table::participants(list, self.vi));
            }
            Command::Call { conference, uri, name } => {
                let id = find::conference(self.api, conference)?;
                let body = json!({ "uri": uri, "name": name });
                let site = self.api.post(&format!("/conferences/{id}/participants"), &body)?;
                self.show(&site, |site| table::participants(site, self.vi));
            }
            Command::CallFile { conference, file } => return self.call_file(conference, file),
            Command::HangUp { conference, site } => {
                let id = find::conference(self.api, conference)?;
                let site = find::site(self.api, &id, site)?;
                self.api.delete(&format!("/conferences/{id}/participants/{site}"))?;
            }
            Command::Layout { conference, layout, seats, viewers, names } => {
                let id = find::conference(self.api, conference)?;
                let mut body = json!({ "layout": layout, "seats": self.seats(&id, seats)? });
                if let Some(names) = names {
                    body["names"] = json!(names);
                }
                if !viewers.is_empty() {
                    body["for"] = json!(self.sites(&id, viewers)?);
                }
                let set = self.api.put(&format!("/conferences/{id}/layout"), &body)?;
                self.show(&set, table::conferences);
            }
            Command::Speaker { conference, site } => {
                let id = find::conference(self.api, conference)?;
                let site = site.as_ref().map(|site| find::site(self.api, &id, site)).transpose()?;
                let body = json!({ "participant": site });
                let set = self.api.put(&format!("/conferences/{id}/speaker"), &body)?;
                self.show(&set, table::conferences);
            }
            Command::BringUp { conference, site, viewers, deadline } => {
                return self.bring_up(conference, site, viewers, *deadline);
            }
            Command::Prepare { conference, sites, none } => {
                let id = find::conference(self.api, conference)?;
                if *none || !sites.is_empty() {
                    self.api.post(&format!("/conferences/{id}/prepare"), &json!({ "sites": sites }))?;
                }
                let list = self.api.get(&format!("/conferences/{id}/prepared"))?;
                self.show(&list, table::prepared);
            }
            Command::Take(screens) => return self.screens("take", screens),
            Command::Undo(screens) => return self.screens("undo", screens),
            Command::Release(screens) => return self.screens("release", screens),
            Command::Floor { mcu, back } => {
                self.api.put("/cascade/floor", &json!({ "mcu": mcu, "taken": !back }))?;
            }
            Command::CallAll { under } => {
                self.api.post("/cascade/call-all", &json!({ "under": under }))?;
            }
            Command::Standby => {
                let now = self.api.get("/cascade/standby")?;
                self.show(&now, |now| table::standby(now, self.vi));
            }
            Command::TakeCommand { reason, force } => {
                self.api.post("/cascade/take-command", &json!({ "reason": reason, "force": force }))?;
            }
            Command::Drill { hold } => {
                self.api.post("/cascade/drill", &json!({ "hold_s": hold }))?;
                loop {
                    api::pause(LOOK);
                    let now = self.api.get("/cascade/standby")?;
                    if now["drill"]["running"] == false {
                        self.show(&now, |now| table::standby(now, self.vi));
                        let failed = !now["drill"]["error"].is_null();
                        return Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
                    }
                }
            }
            Command::Tree { under, depth } => {
                let list = cascade::tree(self.api, under.as_deref(), *depth)?;
                self.show(&Value::Array(list), |list| table::tree(list, self.vi));
            }
            Command::Links { action } => self.links(action.as_ref())?,
            Command::Watch { conference } => self.watch(conference.as_deref())?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, value: &Value, table: impl Fn(&[Value]) -> String) {
        if self.json {
            cli::say(&value.to_string());
        } else {
            let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            cli::say(table(list).trim_end());
        }
    }

    fn sites(&self, conference: &str, names: &[String]) -> Result<Vec<String>, Failure> {
        names.iter().map(|name| find::site(self.api, conference, name)).collect()
    }

    fn seats(&self, conference: &str, seats: &[String]) -> Result<Vec<Value>, Failure> {
        let seat = |text: &String| {
            let wrong = || Failure::Ctl(format!("--seat {text}: must be like 0=SITE"));
            let (number, site) = text.split_once('=').ok_or_else(wrong)?;
            let number: u16 = number.trim().parse().map_err(|_| wrong())?;
            Ok(json!({ "seat": number, "participant": find::site(self.api, conference, site.trim())? }))
        };
        seats.iter().map(seat).collect()
    }

    /// Calls everything in the file that can be called; what cannot is told with its line.
    fn call_file(&self, conference: &str, file: &std::path::Path) -> Result<ExitCode, Failure> {
        let id = find::conference(self.api, conference)?;
        let (mut sites, mut wrong) = file::read(file)?;
        let path = format!("/conferences/{id}/participants");
        let mut called = Vec::new();
        // The API takes a list whole or not at all and names the first that is wrong: without that one it is asked again.
        while !sites.is_empty() {
            let body: Vec<Value> = sites.iter().map(|s| json!({ "uri": s.uri, "name": s.name })).collect();
            match self.api.try_post(&path, &Value::Array(body))? {
                Ok(list) => {
                    called = list.as_array().cloned().unwrap_or_default();
                    break;
                }
                Err(problem) => match problem.element().filter(|n| *n < sites.len()) {
                    Some(n) => wrong.push((sites.remove(n).line, problem.words)),
                    None => return Err(Failure::Ctl(problem.words)),
                },
            }
        }
        wrong.sort_by_key(|(line, _)| *line);
        self.show(&Value::Array(called), |list| table::participants(list, self.vi));
        for (line, words) in &wrong {
            cli::say_error(&format!("{}:{line}: {words}", file.display()));
        }
        Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn bring_up(
        &self,
        conference: &str,
        site: &str,
        viewers: &[String],
        deadline: u32,
    ) -> Result<ExitCode, Failure> {
        let id = find::conference(self.api, conference)?;
        let site = match site.contains('/') {
            true => site.to_owned(),
            false => find::site(self.api, &id, site)?,
        };
        let mut body = json!({ "site": site, "deadline_s": deadline });
        if !viewers.is_empty() {
            body["for"] = json!(self.sites(&id, viewers)?);
        }
        let begun = self.api.post(&format!("/conferences/{id}/bring-up"), &body)?;
        self.wait(&begun)
    }

    /// Take, undo, release.
    fn screens(&self, what: &str, screens: &Screens) -> Result<ExitCode, Failure> {
        let id = find::conference(self.api, &screens.conference)?;
        let mut body = json!({ "deadline_s": screens.deadline });
        if !screens.viewers.is_empty() {
            body["for"] = json!(self.sites(&id, &screens.viewers)?);
        }
        let begun = self.api.post(&format!("/conferences/{id}/{what}"), &body)?;
        if begun["operation"].is_null() { Ok(ExitCode::SUCCESS) } else { self.wait(&begun) }
    }

    /// Waits for the end of an operation, and shows it.
    fn wait(&self, begun: &Value) -> Result<ExitCode, Failure> {
        let operation = format!("/operations/{}", begun["operation"].as_str().unwrap_or_default());
        loop {
            let now = self.api.get(&operation)?;
            if now["state"] != "running" {
                self.show(&now, |now| table::operation(now, self.vi));
                return Ok(if now["state"] == "failed" { ExitCode::FAILURE } else { ExitCode::SUCCESS });
            }
            api::pause(LOOK);
        }
    }

    fn links(&self, action: Option<&cascade::Action>) -> Result<(), Failure> {
        let shown = match action {
            None => Value::Array(self.api.list("/cascade/links")?),
            Some(cascade::Action::Add(link)) => {
                let made = cascade::add(self.api, link)?;
                if !self.json {
                    cli::say(made["token"].as_str().unwrap_or_default());
                    return Ok(());
                }
                made
            }
            Some(cascade::Action::Remove { link }) => return cascade::remove(self.api, link),
        };
        self.show(&shown, |list| table::links(list, self.vi));
        Ok(())
    }

    fn watch(&self, conference: Option<&str>) -> Result<(), Failure> {
        let query = match conference {
            Some(name) => format!("?conference={}", find::conference(self.api, name)?),
            None => String::new(),
        };
        let mut lines: Lines = self.api.events(&query)?;
        while let Some((kind, data)) = lines.next_event()? {
            let words = match self.json {
                true => Some(json!({ "event": kind, "data": data }).to_string()),
                false => table::event(&kind, &data, self.vi),
            };
            if words.is_some_and(|words| !cli::say(&words)) {
                break;
            }
        }
        Ok(())
    }
}
