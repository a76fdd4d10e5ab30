//! The console with a meeting in it that is only played: `cargo run -p cau-control --example console [PORT [SITES]]` serves it
//! on 127.0.0.1, user `admin`, password `Cau-Long-Bien-1902`. For working on the page; calls and media are not behind it.

#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
#[path = "../tests/it/common/mod.rs"]
mod common;

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use cau_codec::{
    draw::{self, Painter},
    jpeg,
    scale::Rect,
    video::{Canvas, Colour},
};
use cau_model::{
    Conference, ParticipantId, Words,
    layout::{Custom, Equipment, Name, Piece, Share},
    scene::Card,
    sound::Trouble,
};
use common::Api;
use serde_json::json;

const SITES: [&str; 9] = [
    "UBND tỉnh Đắk Lắk",
    "Phường Buôn Ma Thuột",
    "Xã Hòa Phú",
    "Xã Ea Kao",
    "Xã Đắk Liêng",
    "Sở Y tế",
    "Xã Ô Loan",
    "Công an tỉnh",
    "Xã Ân Hảo",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |p| p.parse())?;
    let more = std::env::args().nth(2).map_or(Ok(0), |n| n.parse())?;
    tokio::runtime::Runtime::new()?.block_on(serve(port, more))
}

async fn serve(port: u16, more: usize) -> Result<(), Box<dyn std::error::Error>> {
    let api = Api::new().await;
    let (path, mut sites) = api.meeting(&SITES).await;
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();
    sites.extend((0..more).map(|n| api.focus.join(&id, &format!("Xã thứ {n}"))));
    api.patch(&path, json!({ "name": "Giao ban trực tuyến tháng 11", "chair": sites[0], "layout": "1+5" }))
        .await;
    api.post("/api/v1/conferences", json!({ "room": "8001", "name": "Tập huấn phòng chống thiên tai" }))
        .await;
    api.patch(&format!("{path}/participants/{}", sites[3]), json!({ "audio_muted": true })).await;
    api.patch(
        &format!("{path}/participants/{}", sites[6]),
        json!({ "audio_muted": true, "video_hidden": true }),
    )
    .await;
    let pieces =
        [(0, 1250, 7500), (7500, 0, 2500), (7500, 2500, 2500), (7500, 5000, 2500), (7500, 7500, 2500)];
    let pieces = pieces.map(|(x, y, w)| Piece { share: Share { x, y, w, h: w }, fit: None });
    let name = Name::new("hoi-truong").ok_or("a name")?;
    let hall = Custom::new(name, Some("Hội trường".into()), (13, 27, 42), pieces.into())
        .map_err(|wrong| wrong.words.en)?;
    let equipment = Equipment { layouts: [hall].into_iter().collect(), logo: false };
    api.state.set_layouts(&equipment);
    api.handle.equip(Arc::new(equipment)).await;
    api.put(
        &format!("{path}/layout"),
        json!({ "layout": "1+5", "seats": [{ "seat": 2, "participant": sites[5] }] }),
    )
    .await;
    api.put(&format!("{path}/message"), json!({ "text": "Giải lao, họp lại lúc 14 giờ 30" })).await;
    api.patch(&format!("{path}/participants/{}", sites[1]), json!({ "volume_db": -6 })).await;
    api.focus.trouble(&id, &sites[8], Trouble::Echo { delay_ms: 240 });
    api.focus.trouble(&id, &sites[2], Trouble::Noise { level_dbov: -42 });
    api.focus.lose(&id, &sites[7]);
    let gone = api.focus.join(&id, "Xã Krông Ana");
    api.focus.leave(&id, &gone, "thiết bị gác máy");
    api.focus.still(Arc::new(still));

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    writeln!(std::io::stdout(), "http://{}/", listener.local_addr()?)?;
    let focus = api.focus.clone();
    let (conference, playing) = (id.clone(), sites.clone());
    tokio::spawn(async move { play(&focus, &conference, &playing).await });
    let router = api.router.clone();
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// Somebody speaks for some seconds, then the next; lines get worse and better.
async fn play(focus: &common::focus::Fake, conference: &str, sites: &[String]) {
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    for n in 0_usize.. {
        tick.tick().await;
        let speaker = [0, 4, 2, 7][n / 16 % 4];
        let levels: Vec<(&str, i8, bool)> = sites
            .iter()
            .enumerate()
            .map(|(i, site)| {
                let wobble = (n * 7 + i * 13) % 11;
                let level = if i == speaker { -14 } else { -52 } - wobble as i8;
                (site.as_str(), level, i == speaker)
            })
            .collect();
        focus.voice(conference, &levels);
        common::focus::tick(focus, conference);
        if n % 4 == 0 {
            for (i, site) in sites.iter().enumerate() {
                let loss = match i {
                    4 => 0.021,
                    8 => 0.067,
                    _ => 0.0005 * (n % 5) as f32,
                };
                focus.line(conference, site, loss, 1500 + ((n * 31 + i * 97) % 400) as u32);
            }
        }
        if n % 40 == 10 {
            let words = Words::new("mất hình 3 giây, đã có lại", "picture lost for 3 s, back again");
            focus.alarm(conference, &sites[8], words);
        }
    }
}

/// What a participant sends or sees, painted.
fn still(conference: &Conference, participant: ParticipantId, seen: bool) -> Option<Vec<u8>> {
    let mut canvas = Canvas::new(1280, 720)?;
    canvas.fill(Colour::rgb(10, 14, 18));
    let mut painter = Painter::new();
    if seen {
        let scenes = conference.scenes();
        let (scene, _) = scenes.iter().find(|(_, viewers)| viewers.contains(&participant))?;
        for (tile, r) in scene.tiles.iter().zip(scene.rects((1280, 720))) {
            let rect = Rect { x: r.x, y: r.y, w: r.w, h: r.h };
            if tile.card == Card::Picture
                && let Some(p) = tile.participant
            {
                room(&mut canvas, rect, p);
            }
            if let Some(name) = &tile.name {
                painter.name(&mut canvas, rect, name);
            }
            if tile.border {
                draw::border(&mut canvas, rect, draw::border_thickness(rect), Colour::SPEAKER);
            }
        }
    } else {
        room(&mut canvas, Rect { x: 0, y: 0, w: 1280, h: 720 }, participant);
    }
    jpeg::encode(&canvas.freeze(), 80).ok()
}

/// A meeting room with somebody at a table, in a colour of its own.
fn room(canvas: &mut Canvas, r: Rect, who: ParticipantId) {
    let hue = (who.0 * 47 % 360) as f32;
    let wall = |light: f32| {
        let part = |shift: f32| ((hue + shift).to_radians().cos() * 0.5 + 0.5) * 70.0 + light;
        Colour::rgb(part(0.0) as u8, part(240.0) as u8, part(120.0) as u8)
    };
    draw::fill(canvas, r, wall(70.0));
    let part = |x: f32, y: f32, w: f32, h: f32| Rect {
        x: r.x + (r.w as f32 * x) as u32,
        y: r.y + (r.h as f32 * y) as u32,
        w: (r.w as f32 * w) as u32,
        h: (r.h as f32 * h) as u32,
    };
    draw::fill(canvas, part(0.08, 0.12, 0.2, 0.3), wall(110.0));
    draw::fill(canvas, part(0.72, 0.12, 0.2, 0.3), wall(110.0));
    // Head and shoulders, row by row.
    for row in 0..60 {
        let y = row as f32 / 60.0;
        let head = (1.0 - ((y - 0.25) / 0.17).powi(2)).max(0.0).sqrt() * 0.075;
        let body = if y > 0.42 { (((y - 0.42) / 0.3).min(1.0)).sqrt() * 0.2 } else { 0.0 };
        for (half, colour) in [(body, Colour::rgb(36, 44, 58)), (head, Colour::rgb(214, 170, 140))] {
            if half > 0.01 {
                draw::fill(canvas, part(0.5 - half, 0.22 + y * 0.7, half * 2.0, 0.03), colour);
            }
        }
    }
    draw::fill(canvas, part(0.0, 0.86, 1.0, 0.14), Colour::rgb(92, 62, 40));
}
