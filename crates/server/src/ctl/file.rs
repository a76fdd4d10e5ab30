//! Lists of sites as spreadsheets write them: CSV (RFC 4180) with `,`, `;` or tab, in UTF-8, with or without a byte order mark.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use crate::failure::Failure;

/// One site of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Site {
    /// Where it stands, from 1.
    pub line: usize,
    /// The name to show.
    pub name: String,
    /// SIP address.
    pub uri: String,
}

/// A line that names no site: its number from 1, and why.
pub type Wrong = (usize, String);

/// Reads a file, `-` is standard input. The sites, and what is wrong in which line.
pub fn read(file: &Path) -> Result<(Vec<Site>, Vec<Wrong>), Failure> {
    let bytes = if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let bytes = bytes.map_err(|e| Failure::Ctl(format!("{}: {e}", file.display())))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::Ctl(format!("{}: not UTF-8; save it as CSV UTF-8", file.display())))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> (Vec<Site>, Vec<(usize, String)>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut sites, mut wrong) = (Vec::new(), Vec::new());
    let mut first = true;
    for (line, row) in records(text) {
        let cells: Vec<&str> = row.iter().map(|cell| cell.trim()).collect();
        if cells.iter().all(|cell| cell.is_empty()) || cells.first().is_some_and(|c| c.starts_with('#')) {
            continue;
        }
        let head = std::mem::take(&mut first);
        let at = cells.iter().position(|cell| cell.to_ascii_lowercase().starts_with("sip"));
        match (at, cells.as_slice()) {
            (Some(at), cells) => {
                let name = cells.iter().enumerate().find(|(n, cell)| *n != at && !cell.is_empty());
                let name = name.map(|(_, name)| (*name).to_owned()).unwrap_or_default();
                sites.push(Site { line, name, uri: cells.get(at).copied().unwrap_or_default().to_owned() });
            }
            // Names of the columns.
            (None, _) if head => {}
            (None, _) => wrong.push((line, "no SIP address (sip:…) in this line".to_owned())),
        }
    }
    (sites, wrong)
}

/// Records with the line each begins in. Quoted cells may hold separators, quotes (doubled) and line ends.
fn records(text: &str) -> Vec<(usize, Vec<String>)> {
    let separator = separator(text);
    let (mut records, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut line, mut begun) = (false, 1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() => {
                cell.clear();
                quoted = true;
            }
            '\n' => {
                line += 1;
                if quoted {
                    cell.push('\n');
                    continue;
                }
                row.push(std::mem::take(&mut cell));
                records.push((begun, std::mem::take(&mut row)));
                begun = line;
            }
            '\r' if !quoted => {}
            c if c == separator && !quoted => row.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        records.push((begun, row));
    }
    records
}

/// The separator of the first line: spreadsheets of many countries write `;`.
fn separator(text: &str) -> char {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // `;` also stands in addresses (;transport=tcp), where it comes after one.
    let before = first.split("sip").next().unwrap_or_default();
    [';', '\t', ','].into_iter().find(|s| before.contains(*s)).unwrap_or(if first.contains('\t') {
        '\t'
    } else {
        ','
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(text: &str) -> Vec<(usize, String, String)> {
        let (sites, wrong) = parse(text);
        assert!(wrong.is_empty(), "{wrong:?}");
        sites.into_iter().map(|s| (s.line, s.name, s.uri)).collect()
    }

    fn site(line: usize, name: &str, uri: &str) -> (usize, String, String) {
        (line, name.into(), uri.into())
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        let plain = "name,uri\nXã Hòa Phú,sip:hoaphu@10.0.0.7\n\"Xã Ea Kao, thôn 2\",sip:eakao@10.0.0.8;transport=tcp\n";
        let want = [
            site(2, "Xã Hòa Phú", "sip:hoaphu@10.0.0.7"),
            site(3, "Xã Ea Kao, thôn 2", "sip:eakao@10.0.0.8;transport=tcp"),
        ];
        assert_eq!(sites(plain), want);
        assert_eq!(sites(&format!("\u{feff}{plain}").replace('\n', "\r\n")), want, "as Excel writes it");
        let semicolons = "Tên;Địa chỉ\nA \"\"B\"\";sip:a@h\n";
        assert_eq!(sites(semicolons)[0].2, "sip:a@h");
        assert_eq!(sites("A\tsip:a@h\nB\tsip:b@h"), [site(1, "A", "sip:a@h"), site(2, "B", "sip:b@h")]);
        assert_eq!(sites("sip:a@h,A\n"), [site(1, "A", "sip:a@h")], "the columns the other way round");
        assert_eq!(sites("sip:a@h;transport=tcp\n"), [site(1, "", "sip:a@h;transport=tcp")], "no name");
        assert_eq!(
            sites("\n# later\n\"two\nlines\",sip:a@h\nB,sip:b@h"),
            [site(3, "two\nlines", "sip:a@h"), site(5, "B", "sip:b@h"),]
        );
        assert!(sites("").is_empty());
    }

    #[test]
    fn a_line_without_an_address_is_named() {
        let (sites, wrong) = parse("A,sip:a@h\nB,10.0.0.7\n,\nC,sip:c@h\n");
        assert_eq!(sites.len(), 2);
        assert_eq!(wrong, [(2, "no SIP address (sip:…) in this line".to_owned())]);
    }
}
