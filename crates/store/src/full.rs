//! A disk that is full, and has room again: SQLite's limit of pages on every connection of the pool stands for the disk.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, SystemTime},
};

use cau_model::{Settings, name};

use crate::{Entry, Error, Options, SignInError, Store};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PASSWORD: &str = "Cau-Long-Bien-1902";

fn at(s: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
}

/// Limits the database to `pages`; SQLite takes the present size where that is more. New connections have no limit.
async fn limit(store: &Store, pages: u32) {
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(store.0.pool.acquire().await.unwrap());
    }
    for connection in &mut all {
        let set = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(set).execute(&mut **connection).await.unwrap();
    }
}

fn settings(room: u32) -> Settings {
    let mut settings = Settings::new(&room.to_string()).unwrap();
    settings.name = "Đ".repeat(name::MAX_CHARS);
    settings
}

fn entry(s: u64) -> Entry {
    Entry {
        at: at(s),
        conference: None,
        who: "admin".into(),
        what: "test".into(),
        detail: serde_json::json!({ "text": "x".repeat(5000) }),
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_lost_or_broken_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { admin_password: Some(PASSWORD.into()), ..Options::new(dir.path()) };
    let store = Store::open(options, at(0)).await.unwrap().store;
    let journal = store.journal();
    let mut made = Vec::new();
    let mut refused = 0;
    let mut room = 1000;
    for round in 0..20 {
        // Every failed connection is replaced by one without the limit: it is set anew.
        limit(&store, 1).await;
        journal.append(entry(round));
        for _ in 0..10 {
            room += 1;
            match store.create_conference(&settings(room), at(round)).await {
                Ok(record) => made.push(record.settings.room),
                Err(Error::NotWritable { detail, .. }) => {
                    refused += 1;
                    assert!(detail.contains("full"), "{detail}");
                }
                Err(e) => panic!("{e}"),
            }
        }
        match store.sign_in("admin", PASSWORD, HERE, at(round)).await {
            Ok(_) | Err(SignInError::Store(Error::NotWritable { .. })) => {}
            Err(e) => panic!("{e}"),
        }
        journal.flush().await;
    }
    assert!(refused > 0 && journal.lost() > 0, "the limit was never reached");

    limit(&store, 1_000_000).await;
    store.probe().await.unwrap();
    store.check().await.unwrap();
    for room in 2000..2008 {
        made.push(store.create_conference(&settings(room), at(100)).await.unwrap().settings.room);
        store.sign_in("admin", PASSWORD, HERE, at(100)).await.unwrap();
    }
    let lost = journal.lost();
    journal.append(entry(100));
    journal.flush().await;
    assert_eq!(journal.lost(), lost);
    let told = store.journal_entries(None, 0, 1000).await.unwrap();
    assert!(told.iter().any(|r| r.entry.what == "journal.lost"), "what was lost stands in the journal");

    store.close().await;
    let store = Store::open(Options::new(dir.path()), at(200)).await.unwrap().store;
    let kept: Vec<String> = store.conferences().await.unwrap().into_iter().map(|r| r.settings.room).collect();
    assert_eq!(kept, made, "what was acknowledged is there after a restart, and nothing else");
}

#[tokio::test]
async fn readiness_sees_a_store_that_cannot_be_written_and_that_it_can_be_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { admin_password: Some(PASSWORD.into()), ..Options::new(dir.path()) };
    let store = Store::open(options, at(0)).await.unwrap().store;
    store.check().await.unwrap();
    for room in 1000..2000 {
        limit(&store, 1).await;
        if store.create_conference(&settings(room), at(1)).await.is_err() {
            break;
        }
    }
    assert!(matches!(store.check().await, Err(Error::NotWritable { .. })));
    limit(&store, 1_000_000).await;
    store.probe().await.unwrap();
    store.check().await.unwrap();
    assert_eq!(store.failing(), None);
}
