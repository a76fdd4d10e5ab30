//! What may break a server of its surroundings: a full disk, clients that never finish, bodies of the wrong shape.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cau_tests::{Server, wait_for};
use serde_json::{Value, json};

/// A disk of one megabyte in memory; taken away again at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this account may not mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
        done.is_ok_and(|o| o.status.success()).then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last byte with a file, which is given back.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn rooms(server: &Server) -> Vec<String> {
    let (status, list) = server.api.get("/api/v1/conferences?limit=10000");
    assert_eq!(status, 200, "{list}");
    list.as_array().unwrap().iter().map(|c| c["room"].as_str().unwrap().to_owned()).collect()
}

fn create(server: &Server, room: u32) -> (u16, Value) {
    server.api.post("/api/v1/conferences", &json!({ "room": room.to_string(), "name": "Đ".repeat(80) }))
}

#[test]
fn a_full_disk_refuses_changes_and_all_works_again_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: a tmpfs cannot be mounted by this account");
        return;
    };
    let data = disk.path().to_str().unwrap().to_owned();
    let mut made = Vec::new();
    {
        let mut server = Server::start_with(&[("CAU_DATA_DIR", &data)]);
        let ballast = disk.fill();
        let mut refused = 0;
        for room in 1000..1400 {
            match create(&server, room) {
                (201, _) => made.push(room.to_string()),
                (503, problem) => {
                    refused += 1;
                    assert!(problem["detail"].as_str().unwrap().contains("ổ đĩa"), "{problem}");
                }
                other => panic!("room {room}: {other:?}"),
            }
            if refused > 60 {
                break;
            }
        }
        assert!(refused > 60, "the disk never filled up");
        assert_eq!(server.api.get("/readyz").0, 503);
        assert_eq!(server.api.get("/healthz").0, 200);
        assert_eq!(rooms(&server), made);

        fs::remove_file(ballast).unwrap();
        wait_for("/readyz after space is free", Duration::from_secs(15), || {
            (server.api.get("/readyz").0 == 200).then_some(())
        });
        for room in 2000..2012 {
            assert_eq!(create(&server, room).0, 201);
            made.push(room.to_string());
            let _ = server.api.clone().sign_in("admin", "Dien-Tap-2026!");
        }
        assert_eq!(rooms(&server), made);
        server.assert_well();
    }
    let server = Server::start_with(&[("CAU_DATA_DIR", &data)]);
    assert_eq!(rooms(&server), made, "what was acknowledged is there after a restart, and nothing else");
}

#[test]
fn a_crowd_of_half_requests_is_bounded_and_goes_away() {
    let server = Server::start_with(&[("CAU_CONTROL__MAX_CONNECTIONS", "40")]);
    let address = server.api.address();
    let begin = Instant::now();
    let mut crowd: Vec<TcpStream> = (0..120)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let _ = stream.write_all(b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nX-Half: ");
            stream
        })
        .collect();
    for stream in &mut crowd {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // An end or a reset; a time-out of ours would be neither.
        let end = stream.read(&mut [0; 64]);
        assert!(!matches!(&end, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "still open");
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    let metrics = wait_for("a place", Duration::from_secs(10), || match server.api.get("/metrics") {
        (200, text) => text.as_str().map(str::to_owned),
        _ => None,
    });
    for reason in ["too-many", "no-request"] {
        let line = format!("cau_http_closed_total{{reason=\"{reason}\"}} ");
        let value = metrics.lines().find_map(|l| l.strip_prefix(&line)).expect(reason);
        assert!(value.parse::<f64>().unwrap() >= 40.0, "{reason} {value}");
    }
}

#[test]
fn bodies_of_the_wrong_shape_are_refused_with_field_and_reason() {
    let server = Server::start();
    let post = |body: Value| server.api.post("/api/v1/conferences", &body);
    for body in [json!(["7001", null]), json!([]), json!(null)] {
        let (status, problem) = post(body);
        assert_eq!(status, 422, "{problem}");
        assert!(!problem.to_string().contains("struct"), "{problem}");
    }
    for room in [".", "..", "-", "phòng 1"] {
        let (status, problem) = post(json!({ "room": room }));
        assert_eq!((status, problem["field"].as_str()), (422, Some("room")), "{problem}");
    }
    let id = server.conference("7001", json!({}));
    let change = |body: Value| server.api.patch(&format!("/api/v1/conferences/{id}"), &body);
    for field in ["room", "name", "layout", "names", "join_muted", "encryption"] {
        let (status, problem) = change(json!({ field: null }));
        assert_eq!((status, problem["field"].as_str()), (422, Some(field)), "{problem}");
    }
    assert_eq!(change(json!([null, "x"])).0, 422);
    assert_eq!(change(json!({ "pin": null, "chair": null })).0, 200);
}
