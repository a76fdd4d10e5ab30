//! Layouts of files: `NAME.toml` in one folder, each checked with the line of what is wrong in it.

use std::{fs, path::Path};

use cau_model::{
    layout::{Custom, Kind, Layouts, Name, Piece, Share, WHOLE},
    scene::Fit,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Error, error::Place};

/// Largest file read, bytes.
const LARGEST: u64 = 65_536;
/// Most files read.
const MOST: usize = 200;

/// Reads every `*.toml` of `dir`; none when there is no such folder.
///
/// # Errors
/// [`Error`] with file, line, key and remedy, of the first file that is wrong.
pub fn read(dir: &Path) -> Result<Layouts, Error> {
    let cannot = |source| Error::Read { file: dir.to_owned(), source };
    let mut files = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                let path = entry.map_err(cannot)?.path();
                if path.extension().is_some_and(|e| e == "toml") {
                    files.push(path);
                }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(cannot(e)),
    }
    files.sort();
    if files.len() > MOST {
        return Err(value(dir, 1, "layouts", format!("{} files; {MOST} are the most", files.len())));
    }
    files.iter().map(|file| one(file)).collect::<Result<Layouts, Error>>()
}

fn one(file: &Path) -> Result<Custom, Error> {
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let name = match (Name::new(stem), stem.parse()) {
        (Some(name), Ok(Kind::Custom(_))) => name,
        (Some(_), _) => {
            let said = format!("`{stem}` is a layout of the house; give the file another name");
            return Err(value(file, 1, "name", said));
        }
        (None, _) => {
            let said = format!(
                "`{stem}` cannot be the name of a layout; use small letters without accents, digits, - and _, a letter first, at most {} of them",
                Name::MAX
            );
            return Err(value(file, 1, "name", said));
        }
    };
    let read = |source| Error::Read { file: file.to_owned(), source };
    let size = fs::metadata(file).map_err(read)?.len();
    if size > LARGEST {
        return Err(value(file, 1, "file", format!("{size} bytes; a layout has at most {LARGEST}")));
    }
    let text = fs::read_to_string(file).map_err(read)?;
    let reader = Reader { file, text: &text };
    let table = DeTable::parse(&text).map_err(|e| Error::Syntax {
        place: reader.place(e.span().map_or(0, |s| s.start)),
        message: e.message().to_owned(),
    })?;
    reader.layout(name, table.get_ref())
}

fn value(file: &Path, line: usize, key: &str, message: String) -> Error {
    Error::Value { place: Place::Line { file: file.to_owned(), line }, key: key.to_owned(), message }
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        let line = self.text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1);
        Place::Line { file: self.file.to_owned(), line }
    }

    fn wrong(&self, at: &Spanned<DeValue<'_>>, key: &str, message: impl Into<String>) -> Error {
        Error::Value { place: self.place(at.span().start), key: key.to_owned(), message: message.into() }
    }

    fn unknown(&self, offset: usize, key: String, known: &[&str]) -> Error {
        let own = key.rsplit('.').next().unwrap_or(&key);
        let nearest = known.iter().min_by_key(|k| strsim::damerau_levenshtein(k, own));
        let suggestion =
            nearest.filter(|k| strsim::damerau_levenshtein(k, own) <= 3).map(|k| (*k).to_owned());
        Error::Unknown { place: self.place(offset), key, suggestion }
    }

    fn layout(&self, name: Name, table: &DeTable<'_>) -> Result<Custom, Error> {
        let (mut title, mut background, mut fit) = (None, (0, 0, 0), None);
        let mut tiles: Vec<(usize, Piece)> = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "title" => {
                    let text = cau_model::name::clean(self.word(value, "title")?);
                    if text.is_empty() {
                        return Err(self.wrong(value, "title", "must not be empty; leave it out"));
                    }
                    title = Some(text);
                }
                "background" => {
                    let said =
                        "a colour is written as \"#0d1b2a\": red, green, blue in two hexadecimal digits each";
                    background = colour(self.word(value, "background")?)
                        .ok_or_else(|| self.wrong(value, "background", said))?;
                }
                "fit" => fit = Some(self.fit(value, "fit")?),
                "tile" => {
                    let DeValue::Array(list) = value.get_ref() else {
                        return Err(self.wrong(value, "tile", "write each tile as [[tile]]"));
                    };
                    for (number, tile) in list.iter().enumerate() {
                        tiles.push((tile.span().start, self.tile(number, tile)?));
                    }
                }
                other => {
                    let known = ["title", "background", "fit", "tile"];
                    return Err(self.unknown(key.span().start, other.to_owned(), &known));
                }
            }
        }
        let places: Vec<usize> = tiles.iter().map(|(at, _)| *at).collect();
        let pieces = tiles.into_iter().map(|(_, piece)| Piece { fit: piece.fit.or(fit), ..piece }).collect();
        Custom::new(name, title, background, pieces).map_err(|wrong| {
            let (offset, key) = match wrong.tile {
                Some(n) => (places.get(n).copied().unwrap_or(0), format!("tile[{n}]")),
                None => (0, "tile".to_owned()),
            };
            Error::Value { place: self.place(offset), key, message: wrong.words.en }
        })
    }

    fn tile(&self, number: usize, value: &Spanned<DeValue<'_>>) -> Result<Piece, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(value, &format!("tile[{number}]"), "write each tile as [[tile]]"));
        };
        let mut sides: [Option<u16>; 4] = [None; 4];
        let mut fit = None;
        const SIDES: [&str; 4] = ["x", "y", "w", "h"];
        for (key, value) in table {
            let full = format!("tile[{number}].{}", key.get_ref());
            match SIDES.iter().zip(&mut sides).find(|(name, _)| **name == key.get_ref()) {
                Some((_, side)) => *side = Some(self.share(value, &full)?),
                None if key.get_ref() == "fit" => fit = Some(self.fit(value, &full)?),
                None => return Err(self.unknown(key.span().start, full, &["x", "y", "w", "h", "fit"])),
            }
        }
        if let Some((name, _)) = SIDES.iter().zip(&sides).find(|(_, side)| side.is_none()) {
            let said = format!(
                "is missing; a tile has x, y, w and h, shares of the picture from 0 to 1 ({name} = 0.5)"
            );
            return Err(self.wrong(value, &format!("tile[{number}].{name}"), said));
        }
        let [x, y, w, h] = sides.map(Option::unwrap_or_default);
        Ok(Piece { share: Share { x, y, w, h }, fit })
    }

    fn share(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Result<u16, Error> {
        let number: Option<f64> = match value.get_ref() {
            DeValue::Integer(i) => i.to_string().parse().ok(),
            DeValue::Float(f) => f.to_string().parse().ok(),
            _ => None,
        };
        let whole = f64::from(WHOLE);
        match number.filter(|n| (0.0..=1.0).contains(n)) {
            Some(share) => Ok((share * whole).round() as u16),
            None => {
                let said = match number {
                    Some(n) if (1.0..=100.0).contains(&n) => {
                        format!(
                            "{n} is no share of the picture from 0 to 1; if it is per cent write {}",
                            n / 100.0
                        )
                    }
                    _ => "is no share of the picture: a number from 0 to 1, such as 0.25".to_owned(),
                };
                Err(self.wrong(value, key, said))
            }
        }
    }

    fn fit(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Result<Fit, Error> {
        let word = self.word(value, key)?;
        word.parse().map_err(|_| self.wrong(value, key, format!("`{word}` is none of \"fit\", \"fill\"")))
    }

    fn word<'v>(&self, value: &'v Spanned<DeValue<'_>>, key: &str) -> Result<&'v str, Error> {
        match value.get_ref() {
            DeValue::String(word) => Ok(word),
            _ => Err(self.wrong(value, key, "must be a text in quotation marks")),
        }
    }
}

fn colour(text: &str) -> Option<(u8, u8, u8)> {
    let digits =
        text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let part = |at: usize| digits.get(at..at + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    Some((part(0)?, part(2)?, part(4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Result<Layouts, String> {
        let dir = tempfile::tempdir().expect("temp dir");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("written");
        }
        read(dir.path()).map_err(|e| e.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    const TILE: &str = "[[tile]]\nx = 0\ny = 0\nw = 0.5\nh = 0.5\n";

    #[test]
    fn files_become_layouts_of_their_names() {
        let two =
            format!("title = 'Giao ban'\nbackground = '#0A0b0c'\nfit = 'fill'\n{TILE}{TILE}fit = 'fit'\n");
        let layouts = with(&[("giao-ban.toml", &two), ("khac.toml", TILE), ("README", "?")]).expect("right");
        let all: Vec<_> = layouts.iter().collect();
        assert_eq!(all.iter().map(|l| l.name().to_string()).collect::<Vec<_>>(), ["giao-ban", "khac"]);
        assert_eq!((all[0].title(), all[0].background(), all[1].title()), ("Giao ban", (10, 11, 12), "khac"));
        assert_eq!(
            all[0].pieces().iter().map(|p| p.fit).collect::<Vec<_>>(),
            [Some(Fit::Fill), Some(Fit::Fit)]
        );
        assert_eq!(all[0].pieces()[0].share, Share { x: 0, y: 0, w: 5000, h: 5000 });
        assert!(with(&[]).expect("an empty folder").iter().next().is_none());
        assert!(read(Path::new("/nowhere/at/all")).expect("no folder").iter().next().is_none());
    }

    #[test]
    fn the_shipped_ones_are_right() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/layouts");
        assert!(read(&dir).expect("right").iter().count() > 0);
    }

    #[test]
    fn a_wrong_file_is_named_with_line_and_remedy() {
        for (name, text, said) in [
            (
                "a.toml",
                "tittle = 'x'\n",
                "DIR/a.toml, line 1: there is no key `tittle`; did you mean `title`?",
            ),
            ("a.toml", "\n[[tile]\n", "DIR/a.toml, line 2: "),
            (
                "a.toml",
                "title = 'x'\n",
                "DIR/a.toml, line 1: `tile`: a layout has 1 to 64 tiles ([[tile]]), the file has 0",
            ),
            ("a.toml", "[[tile]]\nx = 0\ny = 0\nw = 1\n", "DIR/a.toml, line 1: `tile[0].h`: is missing"),
            (
                "a.toml",
                "[[tile]]\nx = 0\ny = 0\nw = 50\nh = 1\n",
                "DIR/a.toml, line 4: `tile[0].w`: 50 is no share of the picture from 0 to 1; if it is per cent write 0.5",
            ),
            (
                "a.toml",
                "[[tile]]\nx = 0\ny = 0\nw = 'wide'\nh = 1\n",
                "DIR/a.toml, line 4: `tile[0].w`: is no share",
            ),
            (
                "a.toml",
                "[[tile]]\nx = 0.6\ny = 0\nw = 0.6\nh = 1\n",
                "`tile[0]`: x + w = 1.2000 is beyond the edge of the picture (1); make w at most 0.4",
            ),
            (
                "a.toml",
                "[[tile]]\nx=0\ny=0\nw=1\nh=1\nfit='cover'\n",
                "line 6: `tile[0].fit`: `cover` is none of \"fit\", \"fill\"",
            ),
            ("a.toml", "[[tile]]\nx=0\ny=0\nw=1\nh=1\nz=1\n", "line 6: there is no key `tile[0].z`"),
            ("a.toml", "background = 'red'\n", "line 1: `background`: a colour is written as"),
            ("a.toml", "tile = 3\n", "line 1: `tile`: write each tile as [[tile]]"),
            (
                "grid.toml",
                TILE,
                "DIR/grid.toml, line 1: `name`: `grid` is a layout of the house; give the file another name",
            ),
            ("Họp.toml", TILE, "`Họp` cannot be the name of a layout; use small letters"),
            ("1x.toml", TILE, "a letter first"),
        ] {
            let complaint = with(&[(name, text)]).expect_err(said);
            assert!(complaint.contains(said), "{complaint}\nwanted: {said}");
        }
    }
}
