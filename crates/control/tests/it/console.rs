//! The console's files, the documentation, the headers, and the cookie that signs the console in.

use crate::common::{Api, PASSWORD};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};

async fn cookie(api: &Api) -> String {
    let signed = api.sign_in(PASSWORD, "192.0.2.1").await;
    let cookie = signed.header("set-cookie").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_cookie_reads_freely_and_changes_from_our_own_page_only() {
    let api = Api::new().await;
    let cookie = cookie(&api).await;
    let ask = async |method: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder()
            .method(method)
            .uri("/api/v1/conferences")
            .header("cookie", &cookie)
            .header("content-type", "application/json")
            .header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        api.raw(request.body(Body::from(r#"{"room":"8000"}"#)).unwrap()).await.status.as_u16()
    };
    assert_eq!(ask("GET", &[]).await, 200);
    assert_eq!(ask("POST", &[]).await, 403);
    assert_eq!(ask("POST", &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(ask("POST", &[("origin", "http://evil.example")]).await, 403);
    assert_eq!(ask("POST", &[("sec-fetch-site", "same-origin")]).await, 201);
    assert_eq!(
        ask("POST", &[("origin", "http://127.0.0.1:8080")]).await,
        409,
        "let in, and the room is taken"
    );
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_browsers() {
    let api = Api::new().await;
    for path in ["/", "/api/v1/conferences", "/nothing", "/docs/", "/healthz"] {
        let answer = api.get(path).await;
        let csp = answer.header("content-security-policy");
        assert!(
            csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
            "{path}: {csp}"
        );
        assert!(!csp.contains("script-src 'self' 'unsafe"), "{path}: {csp}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
    assert_eq!(api.get("/api/v1/conferences").await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_console_is_served_and_not_sent_twice() {
    let api = Api::new().await;
    let page = api.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    let text = page.text();
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing from elsewhere");
    for file in ["app.js", "console.css", "icon.svg"] {
        assert!(text.contains(file), "{file}");
        assert_eq!(api.get(&format!("/{file}")).await.status, 200, "{file}");
    }
    let again = Request::get("/").header("if-none-match", page.header("etag")).body(Body::empty()).unwrap();
    let again = api.raw(again).await;
    assert_eq!((again.status, again.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
}

/// Texts of others are shown with textContent; nothing in the console makes markup out of text.
#[test]
fn the_console_makes_no_markup_out_of_text() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/console");
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "js" && e != "html") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            " onclick=",
            "<style",
            "style=",
        ] {
            assert!(!text.contains(bad), "{} has {bad}", path.display());
        }
        files += 1;
    }
    assert!(files >= 2);
}

#[tokio::test]
async fn the_description_is_served_browsable_and_the_committed_one() {
    let api = Api::new().await;
    let described = api.get("/api/v1/openapi.json").await;
    assert_eq!(described.status, 200);
    assert!(described.json()["openapi"].as_str().unwrap().starts_with("3.1"));
    let page = api.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("swagger-ui"));
    assert!(api.get("/docs/swagger-initializer.js").await.text().contains("/api/v1/openapi.json"));

    let text = described.text();
    let operations: Vec<&str> =
        text.split("\"operationId\":\"").skip(1).filter_map(|s| s.split('"').next()).collect();
    let distinct: std::collections::HashSet<_> = operations.iter().collect();
    assert!(operations.len() > 20 && operations.len() == distinct.len(), "{operations:?}");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        committed == described.json(),
        "docs/openapi.json is old: cargo run -p cau-control --example openapi > docs/openapi.json"
    );
}
