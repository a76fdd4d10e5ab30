//! linphonec: sound first and the camera later, keys pressed.

use cau_tests::{Baresip, Linphone, Server, pause, secs, turn, wait_for};
use serde_json::json;

/// A linphone joins with sound only, switches its camera on later, and presses keys: from then on it is seen, and sees.
#[test]
fn a_camera_switched_on_later_is_seen() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8000", json!({ "layout": "grid" }));
    let other = Baresip::new(1, 28.0).dial(&server, "8000");
    let phone = Linphone::new(5, 20.0)
        .with(&["--audio-first", "--acodec", "opus"])
        .at(5.0, "camera on")
        .at(9.0, "1")
        .dial(&server, "8000");
    let list = wait_for("both to be connected", secs(20.0), || {
        Some(server.api.connected(&conference)).filter(|l| l.len() == 2)
    });
    assert!(
        list.iter().any(|p| p["video"].is_null() || p["video"]["codec"].is_null()),
        "one came without video: {list:?}"
    );
    wait_for("the camera to be on", secs(15.0), || {
        let list = server.api.connected(&conference);
        (list.len() == 2
            && list.iter().all(|p| p["video"]["codec"] == "H264" || p["video"]["codec"] == "h264"))
        .then_some(())
    });
    pause(secs(1.0));
    let (phone, other) = (phone.judge(), other.judge());
    server.assert_well();

    let begin = phone.summary.established_at.expect("established");
    let seen: Vec<_> = other.pictures.iter().filter(|p| p.t > begin + 10.0 && p.t < begin + 18.0).collect();
    other.assert_unbroken(&seen);
    assert!(
        !seen.is_empty() && seen.iter().all(|p| p.tiles.iter().any(|t| t.colour == 5)),
        "baresip sees linphone: {seen:?}"
    );
    assert!(
        other.seconds.iter().filter(|s| s.contains(&5)).count() >= 10,
        "baresip hears linphone: {:?}",
        other.seconds
    );
    let sees =
        phone.pictures.iter().filter(|p| p.tiles.iter().any(|t| t.colour == 1 && t.id == Some(1))).count();
    assert!(sees >= 3, "linphone sees baresip in {sees} snapshots of {}", phone.pictures.len());
    assert!(
        phone.seconds.iter().filter(|s| s.contains(&1)).count() >= 10,
        "linphone hears baresip: {:?}",
        phone.seconds
    );
    assert!(phone.seconds.iter().all(|s| !s.contains(&5)), "linphone hears itself: {:?}", phone.seconds);
}
