//! Writing the documents (RFC 4575 4.4, 6).

use std::{collections::HashMap, io};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::state::{Endpoint, State, User};

/// How much is told; less when there are so many participants that it would not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// Only how many there are.
    Counts,
    /// And who.
    Users,
    /// And with what device, media and state.
    All,
}

type Xml = Writer<Vec<u8>>;

/// The document with this version: the difference to `before`, or everything when there is no `before`.
///
/// `None` when nothing changed. Errors never, but for those of the writer.
pub(crate) fn write(
    state: &State,
    before: Option<&State>,
    version: u32,
    detail: Detail,
) -> io::Result<Option<Vec<u8>>> {
    let changes = before.map(|before| Changes::between(before, state, detail));
    if changes.as_ref().is_some_and(Changes::is_empty) {
        return Ok(None);
    }
    let mut xml = Writer::new(Vec::with_capacity(1024));
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let version = version.to_string();
    xml.create_element("conference-info")
        .with_attributes([
            ("xmlns", "urn:ietf:params:xml:ns:conference-info"),
            ("entity", clean(&state.entity).as_str()),
            ("state", if changes.is_some() { "partial" } else { "full" }),
            ("version", version.as_str()),
        ])
        .write_inner_content(|xml| content(xml, state, changes.as_ref(), detail))?;
    Ok(Some(xml.into_inner()))
}

fn content(xml: &mut Xml, state: &State, changes: Option<&Changes<'_>>, detail: Detail) -> io::Result<()> {
    if changes.is_none_or(|c| c.description) {
        description(xml, state)?;
    }
    if changes.is_none_or(|c| c.state) {
        xml.create_element("conference-state").write_inner_content(|xml| {
            text(xml, "user-count", &user_count(state).to_string())?;
            text(xml, "active", if state.active { "true" } else { "false" })?;
            text(xml, "locked", if state.locked { "true" } else { "false" })
        })?;
    }
    match changes {
        _ if detail == Detail::Counts => {}
        None => {
            xml.create_element("users")
                .with_attribute(("state", "full"))
                .write_inner_content(|xml| state.users.iter().try_for_each(|u| user(xml, u, detail)))?;
        }
        Some(changes) if changes.gone.is_empty() && changes.new.is_empty() => {}
        Some(changes) => {
            xml.create_element("users").with_attribute(("state", "partial")).write_inner_content(|xml| {
                for entity in &changes.gone {
                    let entity = clean(entity);
                    let attributes = [("entity", entity.as_str()), ("state", "deleted")];
                    xml.create_element("user").with_attributes(attributes).write_empty()?;
                }
                changes.new.iter().try_for_each(|u| user(xml, u, detail))
            })?;
        }
    }
    Ok(())
}

fn description(xml: &mut Xml, state: &State) -> io::Result<()> {
    xml.create_element("conference-description").write_inner_content(|xml| {
        text(xml, "display-text", &state.description.display_text)?;
        xml.create_element("conf-uris").write_inner_content(|xml| {
            xml.create_element("entry").write_inner_content(|xml| {
                text(xml, "uri", &state.entity)?;
                text(xml, "purpose", "participation")
            })?;
            Ok(())
        })?;
        if let Some(most) = state.description.maximum_user_count {
            text(xml, "maximum-user-count", &most.to_string())?;
        }
        Ok(())
    })?;
    Ok(())
}

fn user(xml: &mut Xml, user: &User, detail: Detail) -> io::Result<()> {
    let entity = clean(&user.entity);
    let attributes = [("entity", entity.as_str()), ("state", "full")];
    xml.create_element("user").with_attributes(attributes).write_inner_content(|xml| {
        text(xml, "display-text", &user.display_text)?;
        xml.create_element("roles").write_inner_content(|xml| text(xml, "entry", user.role))?;
        if detail == Detail::All {
            user.endpoints.iter().try_for_each(|e| endpoint(xml, e))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn endpoint(xml: &mut Xml, endpoint: &Endpoint) -> io::Result<()> {
    let entity = clean(&endpoint.entity);
    let attributes = [("entity", entity.as_str()), ("state", "full")];
    xml.create_element("endpoint").with_attributes(attributes).write_inner_content(|xml| {
        text(xml, "status", endpoint.status.word())?;
        text(xml, "joining-method", endpoint.joining.word())?;
        if let Some(how) = endpoint.disconnection {
            text(xml, "disconnection-method", how.word())?;
        }
        if let Some(reason) = &endpoint.reason {
            xml.create_element("disconnection-info")
                .write_inner_content(|xml| text(xml, "reason", reason))?;
        }
        for media in &endpoint.media {
            let id = media.id.to_string();
            xml.create_element("media").with_attribute(("id", id.as_str())).write_inner_content(|xml| {
                text(xml, "type", media.kind)?;
                text(xml, "status", media.status.word())
            })?;
        }
        Ok(())
    })?;
    Ok(())
}

fn text(xml: &mut Xml, name: &str, value: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(&clean(value)))?;
    Ok(())
}

/// Without characters XML 1.0 has no place for.
fn clean(value: &str) -> String {
    let fits = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    value.chars().filter(fits).collect()
}

/// Participants who are there or on their way; those who left do not count.
fn user_count(state: &State) -> usize {
    let gone = |u: &User| {
        !u.endpoints.is_empty() && u.endpoints.iter().all(|e| e.status == super::Status::Disconnected)
    };
    state.users.iter().filter(|u| !gone(u)).count()
}

/// What changed from one state to the next.
struct Changes<'a> {
    description: bool,
    state: bool,
    gone: Vec<&'a str>,
    new: Vec<&'a User>,
}

impl<'a> Changes<'a> {
    fn between(before: &'a State, now: &'a State, detail: Detail) -> Self {
        let figures = |s: &State| (user_count(s), s.active, s.locked);
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        if detail > Detail::Counts {
            let mut old: HashMap<&str, &User> = before.users.iter().map(|u| (u.entity.as_str(), u)).collect();
            for user in &now.users {
                let same = old.remove(user.entity.as_str()).is_some_and(|o| match detail {
                    Detail::All => o == user,
                    _ => o.display_text == user.display_text && o.role == user.role,
                });
                if !same {
                    new.push(user);
                }
            }
            // In the order of the old list, so that the same change is always written the same.
            gone = before.users.iter().map(|u| u.entity.as_str()).filter(|e| old.contains_key(e)).collect();
        }
        let description = before.description != now.description;
        Self { description, state: figures(before) != figures(now), gone, new }
    }

    fn is_empty(&self) -> bool {
        !self.description && !self.state && self.gone.is_empty() && self.new.is_empty()
    }
}
