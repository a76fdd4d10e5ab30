//! Tables and lines for people at a terminal.

use serde_json::Value;

/// Columns as wide as their widest cell, two blanks between them.
fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
        cells.chain(head.get(n).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let blanks = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(blanks))
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let lines = std::iter::once(line(&head)).chain(rows.iter().map(|row| line(row)));
    lines.collect::<Vec<_>>().join("\n")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(['\n', '\r'], " "),
        other => other.to_string(),
    }
}

/// Conferences.
pub fn conferences(list: &[Value]) -> String {
    let row = |c: &Value| ["id", "room", "name", "layout", "connected"].map(|field| text(&c[field])).to_vec();
    columns(&["ID", "ROOM", "NAME", "LAYOUT", "SITES"], &list.iter().map(row).collect::<Vec<_>>())
}

fn reason(value: &Value, vi: bool) -> String {
    text(if vi { &value["reason"] } else { &value["reason_en"] })
}

/// Participants.
pub fn participants(list: &[Value], vi: bool) -> String {
    let row = |p: &Value| {
        let loss = p["quality"]["loss"].as_f64().unwrap_or_default() * 100.0;
        let connected = p["state"] == "connected";
        let line = if connected { format!("{loss:.1} %") } else { reason(p, vi) };
        let mut row = ["id", "state", "direction", "name", "uri"].map(|field| text(&p[field])).to_vec();
        row.push(line);
        row
    };
    let head = ["ID", "STATE", "DIR", "NAME", "ADDRESS", "LOSS / REASON"];
    columns(&head, &list.iter().map(row).collect::<Vec<_>>())
}

/// The tree: names set in by their depth.
pub fn tree(list: &[Value], vi: bool) -> String {
    if list.is_empty() {
        let words = ("MCU này không nối tầng (cascade.role).", "This MCU is in no cascade (cascade.role).");
        return if vi { words.0 } else { words.1 }.to_owned();
    }
    let row = |node: &Value| {
        let path = text(&node["path"]);
        let depth = if path.is_empty() { 0 } else { path.matches('/').count() + 1 };
        let name = format!("{}{}", "  ".repeat(depth), text(&node["name"]));
        let level = node["level"].as_u64().unwrap_or_default() as usize;
        let hand = if node["hand"] == true { "hand" } else { "" };
        let kind = ["kind", "state", "quality"].map(|field| text(&node[field]));
        let mut row = vec![name];
        row.extend(kind);
        row.extend(["|".repeat(level), hand.to_owned(), path]);
        row
    };
    let head = ["NAME", "KIND", "STATE", "LINE", "SOUND", "HAND", "PATH"];
    columns(&head, &list.iter().map(row).collect::<Vec<_>>())
}

/// Sites made ready.
pub fn prepared(list: &[Value]) -> String {
    let row = |site: &Value| {
        vec![
            text(&site["site"]),
            if site["ready"] == true { "ready".to_owned() } else { "waiting".to_owned() },
        ]
    };
    columns(&["SITE", "STATE"], &list.iter().map(row).collect::<Vec<_>>())
}

/// Links.
pub fn links(list: &[Value], vi: bool) -> String {
    let row = |link: &Value| {
        let mut row =
            ["id", "direction", "path", "name", "state", "sites"].map(|field| text(&link[field])).to_vec();
        row.push(reason(link, vi));
        row
    };
    let head = ["ID", "DIR", "PATH", "NAME", "STATE", "SITES", "REASON"];
    columns(&head, &list.iter().map(row).collect::<Vec<_>>())
}

/// Who of two masters commands, in a few lines.
pub fn standby(list: &[Value], vi: bool) -> String {
    let Some(now) = list.first() else { return String::new() };
    let own = ["commands", "undecided", "term", "slaves", "waiting"].map(|field| (field, text(&now[field])));
    let other = ["address", "connected", "other_commands", "in_step", "behind_ms", "records"];
    let other = other.map(|field| (field, text(&now[field])));
    let drill = ["by", "slaves", "command_ms", "over_ms", "return_ms", "back_ms"];
    let drill = drill.map(|field| (field, text(&now["drill"][field])));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (of, pairs) in [("this", &own[..]), ("other", &other), ("drill", &drill)] {
        let shown = pairs.iter().filter(|(_, value)| !value.is_empty());
        rows.extend(shown.map(|(field, value)| vec![of.to_owned(), (*field).to_owned(), value.clone()]));
    }
    let error = text(&now["drill"][if vi { "error" } else { "error_en" }]);
    rows.extend((!error.is_empty()).then(|| vec!["drill".to_owned(), "error".to_owned(), error]));
    rows.extend(
        Some(reason(now, vi))
            .filter(|r| !r.is_empty())
            .map(|r| vec!["other".to_owned(), "reason".to_owned(), r]),
    );
    columns(&["MCU", "WHAT", "VALUE"], &rows)
}

/// An operation with the times of its steps.
pub fn operation(list: &[Value], vi: bool) -> String {
    let Some(operation) = list.first() else { return String::new() };
    let steps = operation["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let row =
        |step: &Value| vec![text(&step["name"]), format!("{} ms", text(&step["at_ms"])), text(&step["mcu"])];
    let rows: Vec<Vec<String>> = steps.iter().map(row).collect();
    let error = text(if vi { &operation["error"] } else { &operation["error_en"] });
    let end = format!("{} ({} ms) {error}", text(&operation["state"]), text(&operation["elapsed_ms"]));
    format!("{}\n{}", columns(&["STEP", "AT", "MCU"], &rows), end.trim_end())
}

/// One event in words; `None` for what is not worth a line.
pub fn event(kind: &str, data: &Value, vi: bool) -> Option<String> {
    let name = text(&data["name"]);
    let words = match kind {
        "participant" => {
            let why = reason(data, vi);
            let why = if why.is_empty() { why } else { format!(": {why}") };
            format!("{} {name} ({}){why}", text(&data["state"]), text(&data["id"]))
        }
        "conference" if data["removed"] == true => "ended".to_owned(),
        "conference" => {
            format!("{name}: {} sites, layout {}", text(&data["connected"]), text(&data["layout"]))
        }
        "operation" => {
            let step = data["steps"].as_array().and_then(|steps| steps.last());
            let error = text(if vi { &data["error"] } else { &data["error_en"] });
            let at =
                step.map(|s| format!("{} {} ms", text(&s["name"]), text(&s["at_ms"]))).unwrap_or_default();
            format!("{} {} {at} {error}", text(&data["id"]), text(&data["state"])).trim_end().to_owned()
        }
        "alarm" | "call-refused" => text(if vi { &data["detail"]["vi"] } else { &data["detail"]["en"] }),
        "reset" => "events were lost; look at the lists anew".to_owned(),
        _ => return None,
    };
    Some(format!("{kind:<12} {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_below_each_other_with_vietnamese_letters_too() {
        let list = [
            json!({ "id": "p1", "state": "connected", "direction": "out", "name": "Xã Hòa Phú", "uri": "sip:a@h", "quality": { "loss": 0.012 } }),
            json!({ "id": "p2", "state": "left", "direction": "in", "name": "B", "uri": "sip:b@h", "reason": "bận", "reason_en": "busy" }),
        ];
        let table = participants(&list, true);
        let lines: Vec<&str> = table.lines().collect();
        let column = |line: &str, word: &str| line.split(word).next().unwrap().chars().count();
        assert_eq!(column(lines[0], "ADDRESS"), column(lines[1], "sip:a"));
        assert_eq!(column(lines[1], "sip:a"), column(lines[2], "sip:b"));
        assert!(lines[1].ends_with("1.2 %") && lines[2].ends_with("bận"), "{table}");
        assert!(participants(&list, false).ends_with("busy"));
    }

    #[test]
    fn events_are_one_line_each() {
        let data = json!({ "id": "p2", "state": "left", "name": "B\nC", "reason": "bận" });
        assert_eq!(event("participant", &data, true).unwrap(), "participant  left B C (p2): bận");
        assert_eq!(event("level", &data, true), None);
    }
}
