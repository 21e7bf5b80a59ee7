use proptest::prelude::*;

use super::*;

fn keyring(count: usize) -> Keyring {
    let keys: Vec<String> = (0..count).map(|_| Keyring::generate().expose().to_owned()).collect();
    Keyring::from_text("a test", &keys.join(",")).unwrap()
}

proptest! {
    #[test]
    fn what_is_sealed_opens_for_the_same_row_only(value in ".{0,200}", what in "[a-z/]{1,20}", other in "[a-z/]{1,20}") {
        let keyring = keyring(1);
        let sealed = keyring.seal(&what, &value).unwrap();
        let opened = keyring.open(&what, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), value.as_str());
        prop_assert_eq!(keyring.open(&other, &sealed).is_ok(), other == what);
        prop_assert_ne!(keyring.seal(&what, &value).unwrap(), sealed);
    }

    #[test]
    fn a_changed_byte_is_noticed(value in ".{1,40}", at in any::<prop::sample::Index>(), change in 1_u8..) {
        let keyring = keyring(1);
        let sealed = keyring.seal("variable/a", &value).unwrap();
        let (head, body) = sealed.0.rsplit_once(':').unwrap();
        let mut bytes = BASE64.decode(body).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let changed = Sealed(format!("{head}:{}", BASE64.encode(bytes)));
        prop_assert!(keyring.open("variable/a", &changed).is_err());
    }
}

#[test]
fn a_key_added_before_the_others_encrypts_and_the_others_still_decrypt() {
    let old = Keyring::generate();
    let before = Keyring::from_text("a test", old.expose()).unwrap();
    let sealed = before.seal("variable/a", "value").unwrap();
    let new = Keyring::generate();
    let after = Keyring::from_text("a test", &format!("{}\n{}\n", new.expose(), old.expose())).unwrap();
    assert_eq!(after.open("variable/a", &sealed).unwrap().expose(), "value");
    let resealed = after.seal("variable/a", "value").unwrap();
    assert_eq!(resealed.key_id(), new.expose().split_once(':').map(|(id, _)| id));
    let error = before.open("variable/a", &resealed).unwrap_err().to_string();
    assert!(error.contains("cannot decrypt variable/a of the store: this process does not have the key"), "{error}");
}

#[test]
fn a_file_is_read_again_for_a_key_that_is_new() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let reader = Keyring::from_file(&path).unwrap();
    let error = reader.seal("variable/a", "value").unwrap_err().to_string();
    assert!(error.starts_with("cannot encrypt variable/a: no key is configured\nhint: "), "{error}");
    std::fs::write(&path, Keyring::generate().expose()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = reader.seal("variable/a", "value").unwrap_err().to_string();
    assert!(error.contains("others than its owner may read or write it (mode 644)"), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let sealed = reader.seal("variable/a", "value").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{}\n{text}", Keyring::generate().expose())).unwrap();
    let second = Keyring::from_file(&path).unwrap();
    let newer = second.seal("variable/a", "other").unwrap();
    assert_ne!(newer.key_id(), sealed.key_id());
    assert_eq!(reader.open("variable/a", &newer).unwrap().expose(), "other");
}

#[test]
fn keys_that_are_none_are_refused_without_being_shown() {
    let error = |text: &str| Keyring::from_text("FLOW__SECRETS__KEYS", text).unwrap_err().to_string();
    assert!(error("hunter2").contains("keys from FLOW__SECRETS__KEYS: key 1 has no `:` after its id"));
    assert!(error("a:hunter2").contains("key 1 is not base64"));
    assert!(error("a:aHVudGVyMg==").contains("key 1 does not have 32 bytes"));
    let key = Keyring::generate();
    assert!(error(&format!("{0} {0}", key.expose())).contains("two keys have the id"));
    assert!(!Keyring::from_text("x", "").unwrap().can_seal());
}
