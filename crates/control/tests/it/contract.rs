//! Each status of the contract, through the whole router.

use crate::common::{Api, PASSWORD};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};

#[tokio::test]
async fn sign_in_gives_a_token_that_works_until_sign_out() {
    let api = Api::new().await;
    let signed = api.sign_in(PASSWORD, "192.0.2.1").await;
    assert_eq!(signed.status, 201);
    assert_eq!(signed.json()["role"], "admin");
    assert_eq!(signed.json()["expires_at"], "2027-01-15T20:00:00Z");
    let current = api.get("/api/v1/sessions/current").await;
    assert_eq!((current.status, &current.json()["username"]), (StatusCode::OK, &json!("admin")));
    assert_eq!(api.delete("/api/v1/sessions/current").await.status, 204);
    assert_eq!(api.get("/api/v1/conferences").await.problem().0, 401);
}

#[tokio::test]
async fn a_token_expires() {
    let api = Api::new().await;
    api.later(12 * 3600 - 1);
    assert_eq!(api.get("/api/v1/conferences").await.status, 200);
    api.later(1);
    let expired = api.get("/api/v1/conferences").await;
    assert_eq!(expired.problem().0, 401);
    assert_eq!(expired.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn wrong_passwords_are_401_and_then_429_for_that_address_only() {
    let api = Api::new().await;
    for _ in 0..5 {
        assert_eq!(api.sign_in("Sai-mat-khau-1", "192.0.2.9").await.problem().0, 401);
    }
    let locked = api.sign_in(PASSWORD, "192.0.2.9").await;
    assert_eq!(locked.problem().0, 429);
    assert_eq!(locked.header("retry-after"), "30");
    assert_eq!(api.sign_in(PASSWORD, "192.0.2.10").await.status, 201);
    api.later(30);
    assert_eq!(api.sign_in(PASSWORD, "192.0.2.9").await.status, 201);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_locked_out_for_itself() {
    let api = Api::with(|state| state.with_trusted_proxies(vec!["192.0.2.0/24".parse().unwrap()])).await;
    let sign_in = async |password: &str, client: &str| {
        let body = json!({ "username": "admin", "password": password }).to_string();
        let mut request = Request::post("/api/v1/sessions")
            .header("content-type", "application/json")
            .header("x-forwarded-for", client)
            .body(Body::from(body))
            .unwrap();
        let proxy: std::net::SocketAddr = "192.0.2.1:4000".parse().unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(proxy));
        api.raw(request).await.status.as_u16()
    };
    for _ in 0..5 {
        assert_eq!(sign_in("Sai-mat-khau-1", "198.51.100.1").await, 401);
    }
    assert_eq!(sign_in(PASSWORD, "198.51.100.1").await, 429);
    assert_eq!(sign_in(PASSWORD, "198.51.100.2").await, 201);
}

#[tokio::test]
async fn a_body_the_listener_gave_up_waiting_for_is_408() {
    let api = Api::new().await;
    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
    let body = Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(late)]));
    let request = Request::post("/api/v1/sessions").header("content-type", "application/json").body(body);
    assert_eq!(api.raw(request.unwrap()).await.problem().0, 408);
}

#[tokio::test]
async fn nothing_of_the_api_answers_without_a_sign_in() {
    let api = Api::new().await;
    let described = serde_json::to_value(cau_control::openapi()).unwrap();
    let mut operations = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if (path.as_str(), method.as_str()) == ("/sessions", "post") {
                continue;
            }
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let path = format!("/api/v1{}", path.replace("{id}", "c1").replace("{pid}", "p1"));
            let request = Request::builder().method(method.clone()).uri(&path).body(Body::empty()).unwrap();
            let answer = api.raw(request).await;
            assert_eq!(answer.problem().0, 401, "{method} {path}");
            operations += 1;
        }
    }
    assert!(operations >= 20, "{operations}");
    let request = Request::get("/api/v1/nothing/here").body(Body::empty()).unwrap();
    assert_eq!(api.raw(request).await.problem().0, 401, "unknown paths tell nothing either");
    let request =
        Request::get("/api/v1/conferences").header("authorization", "Bearer 00").body(Body::empty()).unwrap();
    assert_eq!(api.raw(request).await.problem().0, 401);
}

#[tokio::test]
async fn a_conference_is_made_read_changed_and_ended() {
    let api = Api::new().await;
    let made = api
        .post(
            "/api/v1/conferences",
            json!({"room":"8000","name":"Giao ban","pin":null,"layout":"1+5","names":"on","join_muted":true,"encryption":"off","chair":null}),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let whole = made.json();
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("/api/v1/conferences/{}", whole["id"].as_str().unwrap()));
    for (field, value) in [
        ("room", json!("8000")),
        ("name", json!("Giao ban")),
        ("layout", json!("1+5")),
        ("names", json!("on")),
        ("join_muted", json!(true)),
        ("encryption", json!("off")),
        ("chair", Value::Null),
        ("pin", Value::Null),
    ] {
        assert_eq!(whole[field], value, "{field}");
    }
    assert_eq!(api.get(&path).await.json(), whole);
    assert_eq!(api.get("/api/v1/conferences").await.json(), json!([whole]));

    let changed = api.patch(&path, json!({"name":"Họp giao ban tuần","chair":"ubnd-tinh"})).await;
    assert_eq!(changed.status, 200);
    assert_eq!(
        (&changed.json()["name"], &changed.json()["layout"]),
        (&json!("Họp giao ban tuần"), &json!("1+5"))
    );
    assert_eq!(api.patch(&path, json!({"chair":null})).await.json()["chair"], Value::Null);

    assert_eq!(api.delete(&path).await.status, 204);
    for answer in [api.get(&path).await, api.delete(&path).await, api.patch(&path, json!({})).await] {
        assert_eq!(answer.problem().0, 404);
    }
}

#[tokio::test]
async fn what_was_answered_is_stored() {
    let api = Api::new().await;
    let (path, _) = api.meeting(&[]).await;
    let stored = |all: Vec<cau_store::Record>| all.into_iter().map(|r| r.settings).collect::<Vec<_>>();
    assert_eq!(stored(api.store.conferences().await.unwrap())[0].name, "Giao ban");
    api.patch(&path, json!({"name":"Mới"})).await;
    assert_eq!(stored(api.store.conferences().await.unwrap())[0].name, "Mới");
    api.put(&format!("{path}/layout"), json!({"layout":"2x2","names":"off"})).await;
    let now = stored(api.store.conferences().await.unwrap());
    assert_eq!((now[0].layout.to_string().as_str(), now[0].names), ("2x2", cau_model::settings::Names::Off));
    api.delete(&path).await;
    assert!(api.store.conferences().await.unwrap().is_empty());

    api.journal.flush().await;
    let rows = api.store.journal_entries(None, 0, 100).await.unwrap();
    let what: Vec<_> = rows.iter().map(|r| r.entry.what.as_str()).collect();
    assert_eq!(
        what,
        ["session.created", "conference.created", "conference.changed", "layout.set", "conference.deleted"]
    );
    assert!(rows.iter().all(|r| r.entry.who == "admin"));
}

#[tokio::test]
async fn what_happened_in_a_conference_is_told_newest_first_in_pages() {
    let api = Api::new().await;
    let (path, _) = api.meeting(&[]).await;
    api.patch(&path, json!({"name":"Mới"})).await;
    api.put(&format!("{path}/layout"), json!({"layout":"2x2"})).await;
    api.journal.flush().await;
    let journal = format!("{path}/journal");
    let all = api.get(&journal).await.json();
    let what: Vec<_> = all.as_array().unwrap().iter().map(|e| e["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["layout.set", "conference.changed", "conference.created"]);
    assert_eq!((&all[0]["who"], &all[0]["at"]), (&json!("admin"), &json!("2027-01-15T08:00:00Z")));

    let first = api.get(&format!("{journal}?limit=2")).await;
    assert_eq!(first.json().as_array().unwrap()[..], all.as_array().unwrap()[..2]);
    let next = first.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let last = api.get(&next).await;
    assert_eq!((last.json(), last.header("link")), (json!([all[2]]), ""));

    api.delete(&path).await;
    api.journal.flush().await;
    assert_eq!(api.get(&journal).await.json()[0]["what"], "conference.deleted", "the record outlives it");
    assert_eq!(api.get("/api/v1/conferences/c999/journal").await.problem().0, 404);
    assert_eq!(api.get(&format!("{journal}?after=x")).await.problem(), (422, "after".into()));
}

#[tokio::test]
async fn what_the_focus_refuses_is_taken_back_in_the_store() {
    let api = Api::new().await;
    api.focus.refuse_next();
    let refused = api.post("/api/v1/conferences", json!({"room":"8000"})).await;
    assert_eq!(refused.problem().0, 503);
    assert_eq!(refused.header("retry-after"), "2");
    assert!(api.store.conferences().await.unwrap().is_empty());

    let (path, _) = api.meeting(&[]).await;
    api.focus.refuse_next();
    assert_eq!(api.patch(&path, json!({"name":"Khác"})).await.problem().0, 503);
    api.focus.refuse_next();
    assert_eq!(api.put(&format!("{path}/layout"), json!({"layout":"full"})).await.problem().0, 503);
    let record = api.store.conferences().await.unwrap().remove(0);
    assert_eq!(
        (record.settings.name.as_str(), record.settings.layout.to_string().as_str()),
        ("Giao ban", "grid")
    );
}

#[tokio::test]
async fn a_room_is_taken_409() {
    let api = Api::new().await;
    let (_, _) = api.meeting(&[]).await;
    let other = api.post("/api/v1/conferences", json!({"room":"8001"})).await.json();
    assert_eq!(api.post("/api/v1/conferences", json!({"room":"8000"})).await.problem(), (409, "room".into()));
    let path = format!("/api/v1/conferences/{}", other["id"].as_str().unwrap());
    assert_eq!(api.patch(&path, json!({"room":"8000"})).await.problem(), (409, "room".into()));
}

#[tokio::test]
async fn what_makes_no_sense_is_422_and_names_the_field() {
    let api = Api::new().await;
    let create = |body| api.post("/api/v1/conferences", body);
    for (body, field) in [
        (json!({}), "room"),
        (json!({"room":8000}), "room"),
        (json!({"room":"a b"}), "room"),
        (json!({"room":"1","layout":"7x9"}), "layout"),
        (json!({"room":"1","layout":"karaoke"}), "layout"),
        (json!({"room":"1","names":"maybe"}), "names"),
        (json!({"room":"1","pin":"12345"}), "pin"),
        (json!({"room":"1","encryption":"required"}), "encryption"),
        (json!({"room":"1","join_muted":"yes"}), "join_muted"),
        (json!({"room":"1","colour":"red"}), "colour"),
    ] {
        let text = body.to_string();
        assert_eq!(create(body).await.problem(), (422, field.to_owned()), "{text}");
    }
    let (path, sites) = api.meeting(&["Hòa Phú"]).await;
    let of = async |body: Value| api.put(&format!("{path}/layout"), body).await.problem();
    assert_eq!(of(json!({"layout":"9x9"})).await, (422, "layout".into()));
    assert_eq!(of(json!({})).await, (422, "layout".into()));
    assert_eq!(
        of(json!({"layout":"1+5","seats":[{"seat":99,"participant":sites[0]}]})).await,
        (422, "seats[0].seat".into())
    );
    assert_eq!(
        of(json!({"layout":"1+5","seats":[{"seat":0,"participant":"x"}]})).await,
        (422, "seats[0].participant".into())
    );
    assert_eq!(of(json!({"layout":"1+5","seats":[{"seat":0}]})).await, (422, "seats[0].participant".into()));
    assert_eq!(api.put(&format!("{path}/speaker"), json!({})).await.problem(), (422, "participant".into()));
    let volume = api.patch(&format!("{path}/participants/{}", sites[0]), json!({"volume_db": 99})).await;
    assert_eq!(volume.problem(), (422, "volume_db".into()));
    let all = api.patch(&format!("{path}/participants"), json!({"name":"x"})).await;
    assert_eq!(all.problem(), (422, "name".into()));
    assert_eq!(api.get(&format!("{path}/preview.jpg?as=heard")).await.problem().0, 422);
    assert_eq!(api.get("/api/v1/events?conference=x").await.problem(), (422, "conference".into()));
    assert_eq!(api.get("/api/v1/conferences?limit=0").await.problem(), (422, "limit".into()));
    assert_eq!(api.get("/api/v1/conferences?limit=x").await.problem(), (422, "limit".into()));
    assert_eq!(api.get("/api/v1/conferences?page=1").await.problem(), (422, "page".into()));
}

#[tokio::test]
async fn participants_are_listed_muted_renamed_and_hung_up() {
    let api = Api::new().await;
    let (path, sites) = api.meeting(&["UBND tỉnh", "Xã Hòa Phú", "Xã Ea Kao"]).await;
    let list = api.get(&format!("{path}/participants")).await.json();
    assert_eq!(list.as_array().unwrap().len(), 3);
    let first = &list[0];
    for (pointer, value) in [
        ("/name", json!("UBND tỉnh")),
        ("/state", json!("connected")),
        ("/direction", json!("in")),
        ("/audio/codec", json!("opus")),
        ("/audio/muted", json!(false)),
        ("/video/codec", json!("H264")),
        ("/video/width", json!(1280)),
        ("/quality/rx_kbps", json!(1800)),
        ("/send/video", json!("encoded")),
    ] {
        assert_eq!(first.pointer(pointer), Some(&value), "{pointer}");
    }
    let one = format!("{path}/participants/{}", sites[1]);
    let muted = api.patch(&one, json!({"audio_muted":true,"name":"Hòa Phú"})).await;
    assert_eq!(muted.status, 200, "{}", muted.text());
    assert_eq!((&muted.json()["audio"]["muted"], &muted.json()["name"]), (&json!(true), &json!("Hòa Phú")));
    assert_eq!(api.get(&one).await.json(), muted.json());

    api.patch(&path, json!({"chair": sites[0]})).await;
    let all = api.patch(&format!("{path}/participants"), json!({"audio_muted":true})).await;
    assert_eq!((all.status, all.json().as_array().unwrap().len()), (StatusCode::OK, 2), "all but the chair");
    let list = api.get(&format!("{path}/participants")).await.json();
    assert_eq!([&list[0]["audio"]["muted"], &list[2]["audio"]["muted"]], [&json!(false), &json!(true)]);

    assert_eq!(api.delete(&one).await.status, 204);
    assert_eq!(api.delete(&one).await.problem().0, 409, "has left already");
    assert_eq!(api.get(&one).await.json()["state"], "left");
    assert_eq!(api.delete(&format!("{path}/participants/p999")).await.problem().0, 404);
    assert_eq!(api.patch(&format!("{path}/participants/nobody"), json!({})).await.problem().0, 404);
}

#[tokio::test]
async fn layout_and_speaker_are_set_and_given_back() {
    let api = Api::new().await;
    let (path, sites) = api.meeting(&["A", "B", "C"]).await;
    let set = api
        .put(
            &format!("{path}/layout"),
            json!({"layout":"1+5","seats":[{"seat":0,"participant":sites[2]}],"names":"on"}),
        )
        .await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(
        (&set.json()["layout"], &set.json()["seats"]),
        (&json!("1+5"), &json!([{"seat":0,"participant":sites[2]}]))
    );
    let own = api.put(&format!("{path}/layout"), json!({"layout":"full","for":[sites[0]]})).await.json();
    assert_eq!((&own["layout"], &own["layouts"][0]["for"]), (&json!("1+5"), &json!([sites[0]])));

    let named = api.put(&format!("{path}/speaker"), json!({"participant":sites[1]})).await.json();
    assert_eq!((&named["speaker"], &named["speaker_named"]), (&json!(sites[1]), &json!(true)));
    let free = api.put(&format!("{path}/speaker"), json!({"participant":null})).await.json();
    assert_eq!(free["speaker_named"], false);
    assert!(matches!(
        api.put(&format!("{path}/speaker"), json!({"participant":"p999"})).await.problem().0,
        404 | 422
    ));
    assert_eq!(
        api.put("/api/v1/conferences/c999/speaker", json!({"participant":null})).await.problem().0,
        404
    );
}

#[tokio::test]
async fn stills_of_what_is_sent_seen_and_common() {
    let api = Api::new().await;
    let (path, sites) = api.meeting(&["A", "B", "C"]).await;
    let still = async |query: &str| api.get(&format!("{path}/preview.jpg{query}")).await;
    let sent = still(&format!("?participant={}", sites[0])).await;
    assert_eq!(
        (sent.status, sent.header("content-type"), sent.header("cache-control")),
        (StatusCode::OK, "image/jpeg", "no-store")
    );
    assert_eq!(sent.text(), format!("jpeg of {} seen=false", sites[0]));
    assert_eq!(
        still(&format!("?participant={}&as=seen", sites[0])).await.text(),
        format!("jpeg of {} seen=true", sites[0])
    );
    // The speaker may see another, and A has a layout of his own: what is common is what C sees.
    api.put(&format!("{path}/speaker"), json!({"participant":sites[1]})).await;
    api.put(&format!("{path}/layout"), json!({"layout":"full","for":[sites[0]]})).await;
    assert_eq!(still("").await.text(), format!("jpeg of {} seen=true", sites[2]));
    assert_eq!(still("?participant=p999").await.problem().0, 404);
    assert_eq!(still("?as=sent").await.problem(), (422, "participant".into()));
    api.focus.still(std::sync::Arc::new(|_, _, _| None));
    assert_eq!(still("").await.problem().0, 404);
}

#[tokio::test]
async fn an_mcu_in_no_cascade_says_so() {
    let api = Api::new().await;
    // Every console asks for it: nobody's fault when there is none.
    let tree = api.get("/api/v1/cascade/tree?limit=1000").await;
    assert_eq!((tree.status.as_u16(), tree.json()), (200, json!([])));
    assert_eq!(api.get("/api/v1/cascade/tree?under=A%20b").await.problem(), (422, "under".into()));
    let answers = [
        api.get("/api/v1/cascade/links").await,
        api.post("/api/v1/cascade/links", json!({ "path": "dak-lak" })).await,
        api.delete("/api/v1/cascade/links/l1").await,
        api.post("/api/v1/conferences/c1/bring-up", json!({ "site": "dak-lak/hoa-phu" })).await,
    ];
    for answer in answers {
        assert_eq!(answer.problem().0, 422);
        assert!(
            answer.json()["detail"].as_str().unwrap().starts_with("This MCU is in no cascade"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(api.get("/api/v1/operations/o1").await.problem().0, 404);
    assert_eq!(api.post("/api/v1/conferences/c99/bring-up", json!({"site":"x"})).await.problem().0, 404);
}

#[tokio::test]
async fn lists_are_paged_with_a_link() {
    let api = Api::new().await;
    let names: Vec<String> = (0..25).map(|n| format!("Xã {n}")).collect();
    let (path, sites) = api.meeting(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut next = Some(format!("{path}/participants?limit=10"));
    let mut seen = Vec::new();
    let mut pages = 0;
    while let Some(url) = next {
        let page = api.get(&url).await;
        seen.extend(page.json().as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap().to_owned()));
        pages += 1;
        let link = page.header("link");
        next = link.strip_prefix('<').map(|rest| rest.split_once(">; rel=\"next\"").unwrap().0.to_owned());
    }
    assert_eq!((pages, seen), (3, sites));
}

#[tokio::test]
async fn malformed_large_and_foreign_bodies_are_refused() {
    let api = Api::new().await;
    let post = async |kind: &str, body: Vec<u8>| {
        let request = Request::post("/api/v1/conferences")
            .header("authorization", format!("Bearer {}", api.token))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        api.raw(request).await.problem().0
    };
    assert_eq!(post("application/json", b"{\"room\":".to_vec()).await, 400);
    assert_eq!(post("application/json", b"".to_vec()).await, 400);
    assert_eq!(post("application/json", b"\xff\xfe".to_vec()).await, 400);
    assert_eq!(post("text/plain", b"{\"room\":\"1\"}".to_vec()).await, 415);
    let large = format!("{{\"room\":\"{}\"}}", "1".repeat(cau_control::MAX_BODY));
    assert_eq!(post("application/json", large.into_bytes()).await, 413);
    assert_eq!(
        post("application/json; charset=utf-8", "[".repeat(500_000).into_bytes()).await / 100,
        4,
        "deep nesting"
    );
}

#[tokio::test]
async fn wrong_methods_and_addresses_are_problems_too() {
    let api = Api::new().await;
    let wrong = api.delete("/api/v1/conferences").await;
    assert_eq!(wrong.problem().0, 405);
    assert!(wrong.header("allow").contains("GET") && wrong.header("allow").contains("POST"), "{wrong:?}");
    assert_eq!(api.get("/api/v1/sessions").await.problem().0, 405);
    assert_eq!(api.get("/api/v1/nothing").await.problem().0, 404);
    assert_eq!(api.get("/nothing.html").await.problem().0, 404);
    assert_eq!(api.get("/../Cargo.toml").await.problem().0, 404);
    assert_eq!(api.get("/api/v2/conferences").await.problem().0, 404);
}

#[tokio::test]
async fn words_follow_the_accepted_language() {
    let api = Api::new().await;
    let detail = async |language: Option<&str>| {
        let mut request =
            Request::get("/api/v1/conferences/c99").header("authorization", format!("Bearer {}", api.token));
        if let Some(language) = language {
            request = request.header("accept-language", language);
        }
        let answer = api.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.json()["title"], "Not Found");
        (
            answer.header("content-language").to_owned(),
            answer.json()["detail"].as_str().unwrap().to_lowercase(),
        )
    };
    let (language, words) = detail(None).await;
    assert_eq!(language, "vi");
    assert!(words.contains("phiên họp"), "{words}");
    let (language, words) = detail(Some("en-US,en;q=0.9")).await;
    assert_eq!(language, "en");
    assert!(words.contains("conference"), "{words}");
}

#[tokio::test]
async fn layouts_are_described_by_their_rectangles() {
    let api = Api::new().await;
    let list = api.get("/api/v1/layouts?sites=7").await.json();
    let of =
        |name: &str| list.as_array().unwrap().iter().find(|l| l["layout"] == name).unwrap()["seats"].clone();
    assert_eq!(of("full"), json!([{"x":0.0,"y":0.0,"w":1.0,"h":1.0}]));
    assert_eq!(of("grid").as_array().unwrap().len(), 7);
    assert_eq!(of("1+5").as_array().unwrap().len(), 6);
    assert!(of("1+5")[0]["w"].as_f64().unwrap() > 0.6);
    assert_eq!(api.get("/api/v1/layouts?sites=0").await.problem(), (422, "sites".into()));
    let about = api.get("/api/v1/about").await.json();
    assert_eq!(about, json!({"version":"0.1.0","sip":["192.0.2.10:5060"],"logo":false}));
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let api = Api::new().await;
    api.meeting(&["A", "B"]).await;
    let from = async |path: &str, peer: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        api.raw(request).await
    };
    assert_eq!(from("/healthz", "192.0.2.1:9").await.status, 200);
    assert_eq!(from("/readyz", "192.0.2.1:9").await.status, 200);
    let metrics = from("/metrics", "127.0.0.1:9").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = metrics.text();
    assert!(
        text.contains("\ncau_participants 2\n") && text.contains("# TYPE cau_calls_accepted_total counter\n"),
        "{text}"
    );
    assert_eq!(from("/metrics", "192.0.2.1:9").await.problem().0, 401, "from elsewhere with a token only");
    assert_eq!(api.get("/metrics").await.status, 200);
    api.focus.drain();
    assert_eq!(from("/readyz", "192.0.2.1:9").await.problem().0, 503);
    assert_eq!(from("/healthz", "192.0.2.1:9").await.status, 200);
}

#[tokio::test]
async fn one_site_or_a_list_is_called() {
    let api = Api::new().await;
    let (path, _) = api.meeting(&["A"]).await;
    let sites = format!("{path}/participants");
    let one = api.post(&sites, json!({"uri":"sip:hoaphu@10.0.0.7","name":"Xã Hòa Phú"})).await;
    assert_eq!(one.status, 202, "{}", one.text());
    let one = one.json();
    assert_eq!((&one["state"], &one["direction"]), (&json!("calling"), &json!("out")));
    assert_eq!(one["name"], "Xã Hòa Phú");
    let list = json!([{"uri":"sip:a@10.0.0.8"},{"uri":"sip:b@10.0.0.9","name":"B"}]);
    let list = api.post(&sites, list).await;
    assert_eq!((list.status.as_u16(), list.json().as_array().map(Vec::len)), (202, Some(2)));
    assert_eq!(api.get(&sites).await.json().as_array().unwrap().len(), 4);
    let wrong = async |body| api.post(&sites, body).await.problem();
    assert_eq!(wrong(json!([{"uri":"sip:a@10.0.0.8"},{"uri":"http://x"}])).await, (422, "[1].uri".into()));
    assert_eq!(wrong(json!({"uri":"http://x"})).await, (422, "uri".into()));
    assert_eq!(wrong(json!({"name":"x"})).await, (422, "uri".into()));
    assert_eq!(wrong(json!([{"uri":"sip:a@b","nam":"x"}])).await, (422, "[0].nam".into()));
    assert_eq!(wrong(json!("sip:a@b")).await.0, 422);
    let nowhere = api.post("/api/v1/conferences/c999/participants", json!({"uri":"sip:a@b"})).await;
    assert_eq!(nowhere.problem().0, 404);
}

#[tokio::test]
async fn a_bring_up_is_begun_and_followed() {
    let api = Api::new().await;
    let (path, sites) = api.meeting(&["A", "B"]).await;
    let begun =
        api.post(&format!("{path}/bring-up"), json!({"site":sites[0],"for":[sites[1]],"deadline_s":7})).await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    let id = begun.json()["operation"].as_str().unwrap().to_owned();
    assert_eq!(begun.header("location"), format!("/api/v1/operations/{id}"));
    let operation = api.get(&format!("/api/v1/operations/{id}")).await.json();
    assert_eq!((&operation["state"], &operation["elapsed_ms"]), (&json!("running"), &json!(7_000)));
    assert_eq!(operation["steps"][0], json!({"name":"find","mcu":"cau","at_ms":0}));
    assert_eq!((&operation["for"], &operation["by"]), (&json!([sites[1]]), &json!("admin")));
    assert_eq!(operation["error"], json!(null));
    for id in ["o999", "x", "p1"] {
        assert_eq!(api.get(&format!("/api/v1/operations/{id}")).await.problem().0, 404, "{id}");
    }
    let wrong = async |body| api.post(&format!("{path}/bring-up"), body).await.problem();
    assert_eq!(wrong(json!({})).await, (422, "site".into()));
    assert_eq!(wrong(json!({"site":"a","for":["x"]})).await, (422, "for[0]".into()));
    assert_eq!(wrong(json!({"site":"a","until":1})).await, (422, "until".into()));
}
