//! Every mistake is answered with place, key and remedy.

use std::{ffi::OsString, fs, path::Path};

use super::{Config, Error, load};

fn with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Error> {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("cau.toml");
    fs::write(&file, text).expect("written");
    load(Some(&file), environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))))
}

fn complaint(text: &str, environment: &[(&str, &str)]) -> String {
    with(text, environment).expect_err("refused").to_string()
}

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/cau.toml");
    let shipped = load(Some(&shipped), []).expect("valid");
    let empty = with("", &[]).expect("valid");
    assert_eq!(format!("{shipped:?}"), format!("{empty:?}"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = with(
        "[sip]\nbind = '127.0.0.1:5070'",
        &[("CAU_SIP__BIND", "127.0.0.1:0, [::1]:0"), ("CAU_DATA_DIR", "d")],
    );
    let config = config.expect("valid");
    assert_eq!(config.sip.bind.len(), 2);
    assert_eq!(config.sip.bind[0].port(), 0);
    assert_eq!(config.data_dir, Path::new("d"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    let said = complaint("\n[sip]\nbnd = '127.0.0.1:5060'\n", &[]);
    assert!(
        said.contains("line 3") && said.contains("`sip.bnd`") && said.contains("did you mean `sip.bind`"),
        "{said}"
    );
    let said = complaint("[spi]\nbind = 'x'\n", &[]);
    assert!(said.contains("line 1") && said.contains("`spi`") && said.contains("`sip`"), "{said}");
    let said = complaint("", &[("CAU_RTP__PORT", "1")]);
    assert!(said.contains("CAU_RTP__PORT") && said.contains("`rtp.ports`"), "{said}");
}

#[test]
fn a_wrong_value_is_named_with_its_line_and_what_would_be_right() {
    let said = complaint("[rtp]\nports = '20000'\n", &[]);
    assert!(said.contains("line 2") && said.contains("20000-29999"), "{said}");
    let said = complaint("[video]\n\nfps = 'fast'\n", &[]);
    assert!(said.contains("line 3") && said.contains("from 5 to 30"), "{said}");
    let said = complaint("[control]\nbind = '0.0.0.0:8080'\n", &[]);
    assert!(said.contains("TLS"), "{said}");
    let said = complaint("", &[("CAU_SIP__BIND", "nowhere")]);
    assert!(said.contains("CAU_SIP__BIND") && said.contains("0.0.0.0:5060"), "{said}");
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let config = with("[control]\ntrusted_proxies = ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32']\n", &[]);
    let nets: Vec<String> = config.expect("valid").trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32"]);
    let said = complaint("", &[("CAU_CONTROL__TRUSTED_PROXIES", "127.0.0.1,proxy")]);
    assert!(said.contains("`proxy`") && said.contains("10.0.0.0/8"), "{said}");
    let said = complaint("[control]\nmax_connections = 0\n", &[]);
    assert!(said.contains("line 2") && said.contains("from 1 to 100000"), "{said}");
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let said = complaint("data_dir = 'x'\n[sip\n", &[]);
    assert!(said.contains("line 2"), "{said}");
}

#[test]
fn what_comes_later_is_refused_not_ignored() {
    assert!(complaint("[sip]\ntls_bind = '0.0.0.0:5061'", &[]).contains("not available yet"));
    assert!(complaint("[[network]]\nbind = '10.0.0.1:5060'", &[]).contains("not available yet"));
}

#[test]
fn what_an_mcu_is_in_a_cascade_goes_together() {
    let slave = "[cascade]\nrole = 'slave'\npath = 'dak-lak'\nname = 'Đắk Lắk'\n\
                 masters = ['https://10.0.0.1:8443', 'https://10.0.0.2']\nallow = ['pictures', 'dial']\nclosed = ['dak-lak/x']\n";
    let config = with(slave, &[]).expect("valid").cascade.expect("on");
    assert_eq!(
        (config.path.as_str(), config.name.as_str(), config.room.as_str()),
        ("dak-lak", "Đắk Lắk", "8000")
    );
    assert_eq!(config.masters, ["10.0.0.1:8443", "10.0.0.2:8443"]);
    assert!(config.policy.pictures && config.policy.dial && !config.policy.sound && !config.policy.seize);
    assert!(with("", &[]).expect("valid").cascade.is_none());
    let master =
        with("[cascade]\nrole = 'standby'\n", &[("CAU_CONTROL__TLS_BIND", "127.0.0.1:0")]).expect("valid");
    assert!(!master.cascade.expect("on").commands);
    for (text, line, word) in [
        ("[cascade]\nrole = 'chief'", 2, "none of off, master, standby, slave"),
        ("[cascade]\nrole = 'slave'\npath = 'a'", 2, "cascade.masters"),
        ("[cascade]\nrole = 'slave'\nmasters = ['https://h']", 2, "cascade.path"),
        ("[cascade]\nrole = 'master'", 2, "control.tls_bind"),
        (
            "[control]\ntls_bind = '127.0.0.1:0'\n[cascade]\nrole = 'master'\nmasters = ['https://h']",
            5,
            "is a slave",
        ),
        ("[cascade]\npath = 'Đắk Lắk'", 2, "dak-lak/buon-ma-thuot"),
        ("[cascade]\n\nmasters = ['h:1']", 3, "https://10.0.0.1:8443"),
        ("[cascade]\nallow = ['all']", 2, "pictures, sound"),
        ("[cascade]\npath = 'a'\nclosed = ['b/c']", 3, "below this MCU"),
        ("[cascade]\nslots = 5", 2, "from 1 to 4"),
        ("[cascade]\nmaster = ['https://h']", 2, "did you mean `cascade.masters`"),
        ("[control]\ntls_bind = 'x'", 2, "0.0.0.0:8443"),
        ("[control]\ntls_bind = '127.0.0.1:0'\ntls_key = 'k'", 3, "control.tls_certificate"),
        ("[control]\ntls_certificate = 'c'\ntls_key = 'k'", 2, "control.tls_bind"),
    ] {
        let said = complaint(text, &[]);
        assert!(said.contains(&format!("line {line}:")) && said.contains(word), "{text}: {said}");
    }
}

#[test]
fn the_shipped_file_of_a_slave_is_right() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/slave.toml");
    let config = load(Some(&shipped), []).expect("valid").cascade.expect("on");
    assert!(!config.path.is_root() && config.masters.len() == 2);
}

#[test]
fn accounts_come_from_the_file_itself_and_from_one_of_their_own() {
    let dir = tempfile::tempdir().expect("temp dir");
    let accounts = dir.path().join("accounts.toml");
    fs::write(&accounts, "[[account]]\nuser = 'b'\nha1_sha256 = '".to_owned() + &"0".repeat(64) + "'\n")
        .expect("written");
    let text = format!(
        "[registrar]\nenabled = true\nrealm = 'mcu.example'\ndomains = ['mcu.example']\naccounts = '{}'\n\
         [[registrar.account]]\nuser = 'a'\npassword = 'hidden'\n\
         [[sip.register]]\nregistrar = 'sip:10.0.0.1;transport=tcp'\nuser = 'mcu'\npassword = 'hidden'\nroom = '8000'\n\
         [[sip.credentials]]\nrealm = 'r'\nuser = 'u'\npassword = 'hidden'\n",
        accounts.display()
    );
    let config = with(&text, &[("CAU_SIP__AUTHENTICATE_CALLS", "true")]).expect("valid");
    assert_eq!((config.registrar.accounts.len(), config.registrar.domains.len()), (2, 1));
    assert!(config.sip.authenticate_calls);
    let register = &config.sip.register[0];
    assert_eq!((register.host.as_str(), register.plan.contact.as_str()), ("10.0.0.1:5060", "8000"));
    assert_eq!(config.sip.credentials[0].realm, "r");
    assert!(!format!("{config:?}").contains("hidden"), "passwords are not shown");

    fs::write(&accounts, "[[account]]\nuser = 'b'\npasswort = 'x'\n").expect("written");
    let said = with(&text, &[]).expect_err("refused").to_string();
    assert!(said.contains("accounts.toml, line 3") && said.contains("did you mean `password`"), "{said}");
}

#[test]
fn accounts_that_make_no_sense_are_named_with_their_line() {
    let account = |more: &str| format!("[registrar]\nenabled = true\n\n[[registrar.account]]\n{more}\n");
    for (more, word) in [
        ("password = 'x'", "registrar.account.user"),
        ("user = 'a'", "no password"),
        ("user = 'a'\npassword = 'x'\nha1_md5 = '00'", "one is enough"),
        ("user = 'a'\nha1_md5 = '00'", "32 hexadecimal digits"),
        ("user = 'a'\npassword = 'x'\n[[registrar.account]]\nuser = 'a'\npassword = 'y'", "twice"),
    ] {
        let said = complaint(&account(more), &[]);
        assert!(said.contains("line ") && said.contains(word), "{said}");
    }
    assert!(complaint("[registrar]\nenabled = true", &[]).contains("line 2"));
    assert!(complaint("[sip]\nauthenticate_calls = true", &[]).contains("no accounts"));
    assert!(complaint("[registrar]\naccount = 'x'", &[]).contains("[[registrar.account]]"));
    assert!(complaint("", &[("CAU_REGISTRAR__ACCOUNT", "x")]).contains("only a file"));
    assert!(
        complaint("[[sip.register]]\nregistrar = 'sip:u@h'\nuser = 'u'\npassword = 'p'", &[])
            .contains("no registrar")
    );
    assert!(
        complaint("[[sip.register]]\nregistrar = 'h'\nuser = 'u'\npassword = 'p'\nexpires_s = 5", &[])
            .contains("from 60")
    );
}
