//! `a=` lines (RFC 8866 5.13), in order, as they were written.

/// One `a=` line: `a=name` or `a=name:value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name, as written; compared without regard to case.
    pub name: String,
    /// What stands after the first colon; `None` for a property attribute.
    pub value: Option<String>,
}

/// The `a=` lines of a session or of one media line, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(pub Vec<Attribute>);

impl Attributes {
    /// Value of the first attribute of that name; an empty string for a property attribute.
    pub fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|a| a.name.eq_ignore_ascii_case(name));
        found.map(|a| a.value.as_deref().unwrap_or_default())
    }

    /// Values of all attributes of that name, in order.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> + Clone {
        self.0
            .iter()
            .filter(move |a| a.name.eq_ignore_ascii_case(name))
            .map(|a| a.value.as_deref().unwrap_or_default())
    }

    /// Whether an attribute of that name is there.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// Appends `a=name`.
    pub fn flag(&mut self, name: &str) {
        self.0.push(Attribute { name: name.to_owned(), value: None });
    }

    /// Appends `a=name:value`.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(Attribute { name: name.to_owned(), value: Some(value.into()) });
    }

    /// Removes every attribute of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|a| !a.name.eq_ignore_ascii_case(name));
    }
}
