//! Layouts of files, seats that turn, message, clock, rules of sound: through the whole router.

use std::sync::Arc;

use crate::common::Api;
use cau_model::{
    layout::{Custom, Equipment, Layouts, Name, Piece, Share},
    scene::Fit,
    sound::Trouble,
};
use serde_json::json;

async fn with_file() -> Api {
    let piece = |x, fit| Piece { share: Share { x, y: 0, w: 5000, h: 10_000 }, fit };
    let pieces = vec![piece(0, Some(Fit::Fill)), piece(5000, None)];
    let custom = Custom::new(Name::new("hai-nua").unwrap(), Some("Hai nửa".into()), (0, 0, 0), pieces);
    let equipment = Equipment { layouts: [custom.unwrap()].into_iter().collect::<Layouts>(), logo: true };
    let api = Api::new().await;
    api.state.set_layouts(&equipment);
    api.handle.equip(Arc::new(equipment)).await;
    api
}

#[tokio::test]
async fn layouts_of_files_are_listed_and_set_and_unknown_ones_refused() {
    let api = with_file().await;
    let (path, _) = api.meeting(&["Huế", "Vinh", "Đà Lạt"]).await;
    let list = api.get("/api/v1/layouts?sites=3").await.json();
    let named = |name: &str| list.as_array().unwrap().iter().find(|l| l["layout"] == name).unwrap().clone();
    assert_eq!(named("hai-nua")["title"], "Hai nửa");
    assert_eq!(named("hai-nua")["seats"][1], json!({"x":0.5,"y":0.0,"w":0.5,"h":1.0}));
    assert_eq!(named("pip")["seats"].as_array().unwrap().len(), 2);
    assert_eq!(named("lecture")["lecturer_sees"].as_array().unwrap().len(), 2);
    assert_eq!((&named("2+8")["follow_voice"], &named("2x2")["follow_voice"]), (&json!(2), &json!(0)));
    for layout in ["hai-nua", "pip", "lecture", "1+12"] {
        let set = api.put(&format!("{path}/layout"), json!({ "layout": layout })).await;
        assert_eq!((set.status.as_u16(), &set.json()["layout"]), (200, &json!(layout)));
    }
    for layout in ["khong-co", "1+6", ""] {
        let refused = api.put(&format!("{path}/layout"), json!({ "layout": layout })).await;
        assert_eq!(refused.problem(), (422, "layout".into()), "{layout}");
        assert_eq!(api.get(&path).await.json()["layout"], "1+12", "nothing has changed");
        assert_eq!(api.patch(&path, json!({ "layout": layout })).await.problem(), (422, "layout".into()));
    }
    let made = api.post("/api/v1/conferences", json!({ "room": "8009", "layout": "hai-nua" })).await;
    assert_eq!(made.status, 201);
    let made = api.post("/api/v1/conferences", json!({ "room": "8010", "layout": "khong-co" })).await;
    assert_eq!(made.problem(), (422, "layout".into()));
}

#[tokio::test]
async fn seats_turn_as_asked_and_say_so() {
    let api = with_file().await;
    let (path, sites) = api.meeting(&["Huế", "Vinh", "Đà Lạt"]).await;
    let body = json!({ "layout": "1+5", "fit": "fill", "cycle": { "period_s": 15 },
        "seats": [{ "seat": 1, "participant": sites[0] }, { "seat": 2, "cycle": { "period_s": 5, "participants": [sites[1], sites[2]] } }] });
    let set = api.put(&format!("{path}/layout"), body).await.json();
    assert_eq!(set["cycle"], json!({ "period_s": 15, "participants": null }));
    assert_eq!(set["seats"][0], json!({ "seat": 1, "participant": sites[0] }));
    assert_eq!(set["seats"][1]["cycle"]["participants"], json!([sites[1], sites[2]]));
    for (body, field) in [
        (json!({ "layout": "1+5", "cycle": { "period_s": 1 } }), "cycle.period_s"),
        (json!({ "layout": "1+5", "seats": [{ "seat": 1 }] }), "seats[0].participant"),
        (json!({ "layout": "1+5", "fit": "crop" }), "fit"),
        (
            json!({ "layout": "1+5", "cycle": { "period_s": 9, "participants": ["p1"] } }),
            "cycle.participants[0]",
        ),
    ] {
        assert_eq!(
            api.put(&format!("{path}/layout"), body.clone()).await.problem(),
            (422, field.into()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_message_is_written_and_taken_away() {
    let api = with_file().await;
    let (path, sites) = api.meeting(&["Huế", "Vinh"]).await;
    let path = format!("{path}/message");
    let set = api.put(&path, json!({ "text": " Họp lại\nlúc 14 giờ ", "for": [sites[1]] })).await;
    assert_eq!(set.status, 200);
    let expected =
        json!({ "text": "Họp lại lúc 14 giờ", "motion": "scroll", "place": "bottom", "for": [sites[1]] });
    assert_eq!(set.json()["message"], expected);
    assert_eq!(api.put(&path, json!({ "text": " " })).await.problem(), (422, "text".into()));
    assert_eq!(api.put(&path, json!({ "text": "x", "for": [] })).await.problem(), (422, "for".into()));
    assert_eq!(
        api.put(&path, json!({ "text": "x", "place": "left" })).await.problem(),
        (422, "place".into())
    );
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.delete(&path).await.status, 204, "there is none: nothing to do");
    assert_eq!(api.put("/api/v1/conferences/c99/message", json!({ "text": "x" })).await.problem().0, 404);
}

#[tokio::test]
async fn clock_logo_fit_and_rules_of_sound_are_settings() {
    let api = with_file().await;
    let (path, sites) = api.meeting(&["Huế", "Vinh"]).await;
    let before = api.get(&path).await.json();
    assert_eq!(
        (&before["fit"], &before["logo"], &before["clock"]),
        (&json!("fit"), &json!(true), &json!(null))
    );
    let rules = json!({ "even_levels": true, "watch": true, "mute_noisy": false, "mute_echoing": false });
    assert_eq!(before["sound"], rules);
    let body = json!({ "fit": "fill", "logo": false, "clock": { "place": "lower-left" }, "sound": { "mute_echoing": true } });
    let after = api.patch(&path, body).await.json();
    assert_eq!(after["clock"], json!({ "place": "lower-left", "zone": "Asia/Ho_Chi_Minh" }));
    assert_eq!(
        (&after["sound"]["mute_echoing"], &after["sound"]["even_levels"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        api.patch(&path, json!({ "clock": { "zone": "Saigon" } })).await.problem(),
        (422, "clock.zone".into())
    );
    assert_eq!(
        api.patch(&path, json!({ "sound": { "mute": true } })).await.problem(),
        (422, "sound.mute".into())
    );
    let id = path.rsplit('/').next().unwrap();
    api.focus.trouble(id, &sites[1], Trouble::Echo { delay_ms: 240 });
    let site = api.get(&format!("{path}/participants/{}", sites[1])).await.json();
    assert_eq!((&site["troubles"][0]["kind"], &site["troubles"][0]["muted"]), (&json!("echo"), &json!(true)));
    assert_eq!(site["audio"]["muted"], true);
    assert!(site["troubles"][0]["detail"]["vi"].as_str().unwrap().contains("vọng"));
}
