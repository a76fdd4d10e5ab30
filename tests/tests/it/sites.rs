//! Six sites of a maker that is not us, in one conference: who sees whom where, who hears whom.

use std::time::SystemTime;

use cau_model::layout::{Kind, tiles};
use cau_tests::{Baresip, Judged, Server, client::Running, pause, secs, turn, wait_for};
use serde_json::json;

/// Where these identities sit: seat number = index.
fn seats(kind: &str, ids: &[u8], size: (u32, u32)) -> Vec<(u8, [f64; 4])> {
    let kind: Kind = kind.parse().unwrap();
    let (w, h) = (f64::from(size.0), f64::from(size.1));
    let rects = tiles(kind, ids.len(), size);
    let place = |r: &cau_model::layout::Rect| {
        [f64::from(r.x) / w, f64::from(r.y) / h, f64::from(r.x + r.w) / w, f64::from(r.y + r.h) / h]
    };
    ids.iter().zip(&rects).map(|(id, r)| (*id, place(r))).collect()
}

/// The identities and participant ids in order of joining, once all are there.
fn joined(server: &Server, conference: &str, count: usize) -> Vec<(u8, String)> {
    wait_for(&format!("{count} sites to be connected"), secs(25.0), || {
        let list = server.api.connected(conference);
        (list.len() == count).then(|| {
            list.iter()
                .map(|p| {
                    let uri = p["uri"].as_str().expect("uri");
                    let id = uri.split("ep").nth(1).and_then(|s| s.get(..1)).and_then(|s| s.parse().ok());
                    (id.unwrap_or_else(|| panic!("who is {uri}?")), p["id"].as_str().expect("id").to_owned())
                })
                .collect()
        })
    })
}

fn since_1970(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

fn finish(clients: Vec<Running>) -> Vec<Judged> {
    std::thread::scope(|s| {
        let judges: Vec<_> = clients.into_iter().map(|c| s.spawn(move || c.judge())).collect();
        judges.into_iter().map(|j| j.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    })
}

/// Six sites with every transport, sound codec and packetization mode of this slice between them; the operator goes from grid to
/// 1+5 to full screen. Each sees every other's colour, bar and running counter in the right seat, hears every other and never himself;
/// no bar is broken.
#[test]
fn six_sites_see_and_hear_each_other_in_every_layout() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8000", json!({ "layout": "grid" }));
    let stay = 44.0;
    let kinds = [
        ("udp", "opus/48000/2", "h264"),
        ("tcp", "opus/48000/2", "h264-0"),
        ("udp", "G722/16000", "h264-0"),
        ("tcp", "pcma", "h264"),
        ("udp", "pcmu", "h264"),
        ("udp", "opus/48000/2,pcma", "h264-0"),
    ];
    let clients: Vec<Running> = (0u8..)
        .zip(kinds)
        .map(|(id, (transport, audio, video))| {
            let client = Baresip::new(id, stay)
                .with("--transport", transport)
                .with("--acodec", audio)
                .with("--vcodec", video)
                .dial(&server, "8000");
            // Seats follow the order of joining, the list that of calling.
            joined(&server, &conference, usize::from(id) + 1);
            client
        })
        .collect();
    let order = joined(&server, &conference, 6);
    let all_there = since_1970(SystemTime::now());
    let by_joining: Vec<u8> = order.iter().map(|(id, _)| *id).collect();
    let participant = |id: u8| order.iter().find(|(i, _)| *i == id).expect("joined").1.clone();

    pause(secs(3.0));
    let grid = (SystemTime::now(), SystemTime::now() + secs(6.0));
    pause(secs(6.2));

    let wanted: [u8; 6] = [3, 0, 1, 2, 4, 5];
    let pins: Vec<_> = (0..)
        .zip(wanted)
        .map(|(seat, id): (u16, u8)| json!({ "seat": seat, "participant": participant(id) }))
        .collect();
    let (status, answer) = server
        .api
        .put(&format!("/api/v1/conferences/{conference}/layout"), &json!({ "layout": "1+5", "seats": pins }));
    assert_eq!(status, 200, "{answer}");
    pause(secs(1.0));
    let one_plus_five = (SystemTime::now(), SystemTime::now() + secs(6.0));
    pause(secs(6.2));

    let (status, answer) =
        server.api.put(&format!("/api/v1/conferences/{conference}/layout"), &json!({ "layout": "full" }));
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = server
        .api
        .put(&format!("/api/v1/conferences/{conference}/speaker"), &json!({ "participant": participant(2) }));
    assert_eq!(status, 200, "{answer}");
    pause(secs(1.0));
    let full = (SystemTime::now(), SystemTime::now() + secs(5.0));

    let judged = finish(clients);
    server.assert_well();
    for client in &judged {
        // From here on; before, the card of a site whose picture had not come yet may look like a pattern.
        client.assert_unbroken(&client.between(grid.0, full.1));
        let size = client.pictures.last().expect("a picture").size;

        let pictures = client.between(grid.0, grid.1);
        client.assert_seats(&pictures, &seats("grid", &by_joining, size));
        client.assert_running(&pictures, &by_joining);

        let pictures = client.between(one_plus_five.0, one_plus_five.1);
        client.assert_seats(&pictures, &seats("1+5", &wanted, size));
        client.assert_running(&pictures, &wanted);

        let pictures = client.between(full.0, full.1);
        if client.id == 2 {
            // The speaker himself sees the previous speaker.
            assert!(pictures.iter().all(|p| p.tiles.len() == 1 && p.tiles[0].colour != 2), "{pictures:?}");
        } else {
            client.assert_seats(&pictures, &seats("full", &[2], size));
            client.assert_running(&pictures, &[2]);
        }

        let others: Vec<u8> = (0..6).filter(|id| *id != client.id).collect();
        // The recording begins before the last site has come and ends as the first ones go.
        let start = client
            .seconds
            .iter()
            .position(|s| s.len() == others.len())
            .unwrap_or_else(|| panic!("client {} never heard all: {:?}", client.id, client.seconds));
        let end = (start + 22).min(client.seconds.len());
        let heard = Judged {
            id: client.id,
            pictures: Vec::new(),
            seconds: client.seconds[..end].to_vec(),
            summary: Default::default(),
        };
        let there = all_there - client.summary.established_at.expect("established");
        assert!(
            (start as f64) < there + 4.0,
            "client {}: all there after {there} s, heard after {start} s",
            client.id
        );
        heard.assert_hears(start, &others, 0);
    }
}

/// One site holds the call and comes back: the others see and hear him again, and he them; nobody's picture breaks.
#[test]
fn a_site_that_held_the_call_is_seen_and_heard_again() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8001", json!({ "layout": "grid" }));
    let clients = vec![
        Baresip::new(0, 22.0).dial(&server, "8001"),
        Baresip::new(1, 22.0).at(7.0, "hold").at(12.0, "resume").dial(&server, "8001"),
    ];
    joined(&server, &conference, 2);
    let judged = finish(clients);
    server.assert_well();
    for client in &judged {
        let all: Vec<_> = client.pictures.iter().skip(2).collect();
        client.assert_unbroken(&all);
        let begin = client.summary.established_at.expect("established");
        let after: Vec<_> =
            client.pictures.iter().filter(|p| p.t > begin + 15.0 && p.t < begin + 20.0).collect();
        assert!(!after.is_empty(), "client {}: no picture after the resume", client.id);
        for p in &after {
            let seen: Vec<u8> = p.tiles.iter().map(|t| t.colour).collect();
            assert_eq!(seen.len(), 2, "client {} after the resume: {p:?}", client.id);
        }
        client.assert_running(&after, &[0, 1]);
    }
    let heard = &judged[0].seconds;
    assert!(heard.iter().take(6).filter(|s| s.contains(&1)).count() >= 3, "before the hold: {heard:?}");
    assert!(
        heard.iter().skip(15).take(5).filter(|s| s.contains(&1)).count() >= 3,
        "after the resume: {heard:?}"
    );
    assert!(heard.iter().all(|s| !s.contains(&0)), "hears himself: {heard:?}");
}
