//! The store on real files in temporary directories, restarts included. Time is given, never read.
#![allow(clippy::unwrap_used)]

use std::{
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use cau_model::{ConferenceId, ParticipantId, Settings};
use cau_store::{Entry, Error, Key, Options, PasswordError, Role, SignInError, Store, password};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PASSWORD: &str = "Cau-Long-Bien-1902";

fn at(s: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
}

fn options(dir: &tempfile::TempDir) -> Options {
    Options { admin_password: Some(PASSWORD.into()), ..Options::new(dir.path().join("data")) }
}

async fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(options(dir), at(0)).await.unwrap().store
}

#[tokio::test]
async fn first_start_makes_admin_with_the_given_password_and_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Store::open(options(&dir), at(0)).await.unwrap();
    assert_eq!(opened.admin_password_file, None);
    assert!(!dir.path().join("data/admin-password").exists());
    let signed = opened.store.sign_in("Admin", PASSWORD, HERE, at(1)).await.unwrap();
    assert_eq!((signed.session.user.name.as_str(), signed.session.user.role), ("admin", Role::Admin));
}

#[tokio::test]
async fn first_start_without_a_password_writes_a_random_one_for_this_account_only() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Store::open(Options::new(dir.path()), at(0)).await.unwrap();
    let file = opened.admin_password_file.unwrap();
    assert_eq!(file, dir.path().join("admin-password"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(opened.store.sign_in("admin", secret.trim(), HERE, at(1)).await.is_ok());
    opened.store.close().await;
    let again = Store::open(Options::new(dir.path()), at(9)).await.unwrap();
    assert_eq!(again.admin_password_file, None, "only on the first start");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
}

#[tokio::test]
async fn a_weak_first_password_is_refused_with_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    let weak = Options { admin_password: Some("admin".into()), ..Options::new(dir.path()) };
    let e = Store::open(weak, at(0)).await.unwrap_err();
    assert!(matches!(e, Error::AdminPassword(password::Weak::Short)), "{e}");
    assert!(e.to_string().contains("CAU_ADMIN_PASSWORD"), "{e}");
    assert!(Store::open(options(&dir), at(0)).await.is_ok(), "nothing half made is left behind");
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let token = store.sign_in("admin", PASSWORD, HERE, at(1)).await.unwrap().token;
    let a = store.create_conference(&Settings::new("8000").unwrap(), at(2)).await.unwrap();
    let b = store.create_conference(&Settings::new("8001").unwrap(), at(3)).await.unwrap();
    let renamed = Settings { name: "Giao ban tuần – xã Hòa Phú".into(), ..b.settings };
    store.update_conference(b.id, &renamed, at(4)).await.unwrap();
    store.delete_conference(a.id).await.unwrap();
    let journal = store.journal();
    journal.append(entry(at(5), Some(b.id), "conference.created"));
    journal.flush().await;
    store.close().await;

    let store = open(&dir).await;
    assert!(store.session(&token, at(10)).await.unwrap().is_some());
    let all = store.conferences().await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id, &all[0].settings, all[0].changed_at), (b.id, &renamed, at(4)));
    let rows = store.journal_entries(Some(b.id), 0, 10).await.unwrap();
    assert_eq!(rows[0].entry, entry(at(5), Some(b.id), "conference.created"));
    let c = store.create_conference(&Settings::new("8002").unwrap(), at(11)).await.unwrap();
    assert!(c.id.0 > b.id.0, "numbers are never given twice");
}

#[tokio::test]
async fn a_number_of_a_conference_that_ended_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let a = store.create_conference(&Settings::new("1").unwrap(), at(2)).await.unwrap();
    store.delete_conference(a.id).await.unwrap();
    let b = store.create_conference(&Settings::new("1").unwrap(), at(3)).await.unwrap();
    assert!(b.id != a.id);
}

#[tokio::test]
async fn a_room_is_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let settings = Settings::new("8000").unwrap();
    store.create_conference(&settings, at(1)).await.unwrap();
    let other = store.create_conference(&Settings::new("8001").unwrap(), at(1)).await.unwrap();
    assert!(
        matches!(store.create_conference(&settings, at(2)).await, Err(Error::RoomTaken(r)) if r == "8000")
    );
    assert!(matches!(store.update_conference(other.id, &settings, at(2)).await, Err(Error::RoomTaken(_))));
    assert!(matches!(store.delete_conference(ConferenceId(99)).await, Err(Error::Missing("conference"))));
    assert!(matches!(
        store.update_conference(ConferenceId(99), &settings, at(2)).await,
        Err(Error::Missing(_))
    ));
    assert!(matches!(store.conference(ConferenceId(u64::MAX)).await, Err(Error::Missing(_))));
}

#[tokio::test]
async fn a_session_ends_by_time_by_sign_out_and_by_a_new_password() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let one = store.sign_in("admin", PASSWORD, HERE, at(0)).await.unwrap();
    assert_eq!(one.session.expires_at, at(12 * 3600));
    assert_eq!(one.token.len(), 64);
    assert!(!format!("{one:?}").contains(&one.token), "no token in logs");
    assert!(store.session(&one.token, at(12 * 3600 - 1)).await.unwrap().is_some());
    assert!(store.session(&one.token, at(12 * 3600)).await.unwrap().is_none());
    assert!(store.session("", at(1)).await.unwrap().is_none());

    let two = store.sign_in("admin", PASSWORD, HERE, at(1)).await.unwrap();
    assert!(store.sign_out(&two.token).await.unwrap());
    assert!(!store.sign_out(&two.token).await.unwrap());
    assert!(store.session(&two.token, at(2)).await.unwrap().is_none());

    assert!(matches!(
        store.set_password("admin", "kém", at(3)).await,
        Err(PasswordError::Weak(password::Weak::Short))
    ));
    store.set_password("admin", "Cau-Nhat-Tan-2015", at(3)).await.unwrap();
    assert!(store.session(&one.token, at(4)).await.unwrap().is_none());
    assert!(matches!(store.sign_in("admin", PASSWORD, HERE, at(5)).await, Err(SignInError::Wrong)));
    assert!(store.sign_in("admin", "Cau-Nhat-Tan-2015", HERE, at(6)).await.is_ok());
}

#[tokio::test]
async fn neither_the_token_nor_the_password_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let token = store.sign_in("admin", PASSWORD, HERE, at(0)).await.unwrap().token;
    store.close().await;
    for file in std::fs::read_dir(dir.path().join("data")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
        let bytes = std::fs::read(file.path()).unwrap();
        let has = |needle: &str| bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
        assert!(!has(&token) && !has(PASSWORD));
    }
}

#[tokio::test]
async fn guessing_is_locked_out_and_the_lock_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for _ in 0..5 {
        assert!(matches!(
            store.sign_in("admin", "Sai-mat-khau-1", HERE, at(0)).await,
            Err(SignInError::Wrong)
        ));
    }
    let locked = store.sign_in("admin", PASSWORD, HERE, at(1)).await;
    assert!(matches!(locked, Err(SignInError::Locked { until }) if until == at(30)), "{locked:?}");
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert!(store.sign_in("admin", PASSWORD, elsewhere, at(1)).await.is_ok());
    assert!(store.sign_in("admin", PASSWORD, HERE, at(31)).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_turned_away_not_queued() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let flood: Vec<_> = (0..100_u8)
        .map(|n| {
            let store = store.clone();
            let from = IpAddr::V4(Ipv4Addr::new(198, 51, 100, n));
            tokio::spawn(async move { store.sign_in("admin", "Sai-mat-khau-1", from, at(0)).await })
        })
        .collect();
    let mut busy = 0;
    for guess in flood {
        match guess.await.unwrap() {
            Err(SignInError::Busy) => busy += 1,
            Err(SignInError::Wrong) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(busy, 36);
    assert!(store.sign_in("admin", PASSWORD, HERE, at(1)).await.is_ok());
}

#[tokio::test]
async fn the_journal_cannot_be_altered_and_keeps_six_months() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { journal_keep: Duration::from_secs(1), ..options(&dir) };
    let store = Store::open(options, at(0)).await.unwrap().store;
    let journal = store.journal();
    let day = 86_400;
    for d in [0, 10, 183, 184] {
        journal.append(entry(at(d * day), None, &format!("day.{d}")));
    }
    journal.flush().await;
    let kept = async || {
        let rows = store.journal_entries(None, 0, 10).await.unwrap();
        rows.into_iter().map(|r| r.entry.what).collect::<Vec<_>>()
    };
    assert_eq!(
        kept().await,
        ["day.0", "day.10", "day.183", "day.184"],
        "six months, whatever the setting says"
    );
    // A clock a century ahead prunes no more than the newest entry allows.
    assert_eq!(store.prune_journal(at(36_500 * day)).await.unwrap(), 1);
    journal.append(entry(at(300 * day), None, "day.300"));
    journal.flush().await;
    assert_eq!(kept().await, ["day.183", "day.184", "day.300"], "the first entry of a day prunes");
    assert_eq!(store.prune_journal(at(300 * day)).await.unwrap(), 0);
    store.close().await;

    let url = format!("sqlite://{}", dir.path().join("data/cau.db").display());
    let raw = sqlx::SqlitePool::connect(&url).await.unwrap();
    let update = sqlx::query("UPDATE journal SET who = 'x'").execute(&raw).await.unwrap_err().to_string();
    assert!(update.contains("append-only"), "{update}");
    let delete = sqlx::query("DELETE FROM journal").execute(&raw).await.unwrap_err().to_string();
    assert!(delete.contains("six months"), "{delete}");
}

#[tokio::test]
async fn journal_entries_are_paged_by_number_and_conference() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let journal = store.journal();
    for n in 0..1500_u64 {
        journal.append(entry(at(n), Some(ConferenceId(n % 2)), "x"));
    }
    journal.flush().await;
    assert_eq!(journal.lost(), 0);
    let first = store.journal_entries(Some(ConferenceId(1)), 0, 500).await.unwrap();
    let second = store.journal_entries(Some(ConferenceId(1)), first[499].id, 500).await.unwrap();
    assert_eq!((first.len(), second.len()), (500, 250));
    assert!(second[0].id > first[499].id);
    let newest = store.journal_of(ConferenceId(1), None, 500).await.unwrap();
    let rest = store.journal_of(ConferenceId(1), Some(newest[499].id), 500).await.unwrap();
    assert_eq!((newest.len(), rest.len()), (500, 250));
    assert_eq!((newest[0].entry.at, rest[249].entry.at), (at(1499), at(1)), "newest first");
    assert!(store.journal_entries(None, 0, 5000).await.unwrap().len() == 1500);
}

#[tokio::test]
async fn a_full_queue_drops_counts_and_tells() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let journal = store.journal();
    // On one thread the writer cannot run before this task waits.
    for n in 0..9000_u64 {
        journal.append(entry(at(n), None, "x"));
    }
    assert_eq!(journal.lost(), 9000 - 8192);
    journal.flush().await;
    let rows = store.journal_entries(None, 0, 20_000).await.unwrap();
    let told = rows.iter().find(|r| r.entry.what == "journal.lost").unwrap();
    assert_eq!(told.entry.detail, serde_json::json!({ "entries": 9000 - 8192 }));
    assert_eq!(rows.len(), 8192 + 1);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let e = Store::open(Options::new(file.join("data")), at(0)).await.unwrap_err();
    let text = e.to_string();
    assert!(matches!(e, Error::Directory { .. }), "{text}");
    assert!(text.contains(file.to_str().unwrap()) && text.contains("CAU_DATA_DIR"), "{text}");
}

#[tokio::test]
async fn a_damaged_database_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cau.db");
    std::fs::write(&path, "this is no database, whatever its name says".repeat(100)).unwrap();
    let e = Store::open(Options::new(dir.path()), at(0)).await.unwrap_err();
    let text = e.to_string();
    assert!(matches!(e, Error::Corrupt { .. }), "{e:?}");
    assert!(text.contains(path.to_str().unwrap()) && text.contains("backup"), "{text}");
    assert!(std::fs::read(&path).unwrap().starts_with(b"this is no database"), "left as it was found");
}

#[tokio::test]
async fn a_database_cut_short_is_damaged_not_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for n in 0..200 {
        store.create_conference(&Settings::new(&format!("r{n}")).unwrap(), at(1)).await.unwrap();
    }
    store.close().await;
    let path = dir.path().join("data/cau.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let found = match Store::open(options(&dir), at(2)).await {
        Err(e) => e,
        Ok(opened) => opened.store.conferences().await.unwrap_err(),
    };
    assert!(matches!(found, Error::Corrupt { .. }), "{found:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    store.close().await;
    let url = format!("sqlite://{}", dir.path().join("data/cau.db").display());
    let raw = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&raw)
    .await
    .unwrap();
    raw.close().await;
    let e = Store::open(options(&dir), at(2)).await.unwrap_err();
    assert!(matches!(e, Error::Newer { version: 9999, .. }), "{e:?}");
}

fn entry(at: SystemTime, conference: Option<ConferenceId>, what: &str) -> Entry {
    Entry {
        at,
        conference,
        who: "admin".into(),
        what: what.into(),
        detail: serde_json::json!({ "room": "8000" }),
    }
}

#[tokio::test]
async fn what_is_kept_is_there_after_a_restart_and_the_latest_counts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    assert_eq!(store.last_alive().await.unwrap(), None);
    let keeper = store.keeper(|| at(77));
    let (c, p) = (ConferenceId(1), ParticipantId(u64::MAX));
    let text = |s: &str| Some(s.to_owned());
    for n in 0..1_000 {
        keeper.keep(Key::Site(c, p), text(&format!("{n}")));
    }
    keeper.keep(Key::Room(c), text("room"));
    keeper.keep(Key::Site(c, ParticipantId(5)), text("gone soon"));
    keeper.flush().await;
    keeper.keep(Key::Site(c, ParticipantId(5)), None);
    keeper.keep(Key::Site(ConferenceId(2), ParticipantId(6)), text("other"));
    keeper.flush().await;
    // Killed: nothing is closed.
    let again = open(&dir).await;
    let kept = again.kept().await.unwrap();
    assert_eq!(kept[&c].room, text("room"));
    assert_eq!(kept[&c].sites, [(p, "999".to_owned())]);
    assert_eq!(again.last_alive().await.unwrap(), Some(at(77)));
    // A conference that ended takes its sites along, those still on the way too.
    keeper.keep(Key::Site(c, ParticipantId(9)), text("late"));
    keeper.keep(Key::Sites(c), None);
    keeper.keep(Key::Room(c), None);
    keeper.flush().await;
    let kept = again.kept().await.unwrap();
    assert_eq!((kept.contains_key(&c), kept.len(), keeper.lost()), (false, 1, 0));
    again.forget_kept().await.unwrap();
    assert!(again.kept().await.unwrap().is_empty());
    store.close().await;
    keeper.flush().await;
}
