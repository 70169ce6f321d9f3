mod current;

use super::*;
use crate::password::PasswordHash;

/// A hash that costs a test nothing.
fn hash(password: &str) -> PasswordHash {
    PasswordHash::create_at(password.as_bytes(), 8, 1).expect("hashed")
}

fn parse(text: &str) -> Users {
    Users::parse(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[test]
fn users_are_read_with_their_groups() {
    let text = format!(
        "# people\n[user.alice]\npassword = \"{}\"\ngroups = [\"ops\", \"admins\", \"ops\"]\n\n\
         [user.\"gate way/7\"]\ngroups = []\n[user.bob]\ndisabled = true\n",
        hash("secret")
    );
    let users = parse(&text);
    let shown: Vec<_> = users
        .iter()
        .map(|(name, user)| {
            let groups: Vec<_> = user.groups().collect();
            (
                name,
                groups.join(","),
                user.has_password(),
                user.is_disabled(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("alice", "admins,ops".to_owned(), true, false),
            ("bob", String::new(), false, true),
            ("gate way/7", String::new(), false, false),
        ]
    );
    let alice = users.get("alice").expect("there");
    assert!(alice.verify(b"secret") && !alice.verify(b"other"));
    assert!(!users.get("bob").expect("there").verify(b""));
    assert!(parse("").is_empty());
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_without_a_secret() {
    for (text, line, message) in [
        (
            // At the name: the line of the key may hold a password.
            "[user.a]\npasword = \"hunter2\"",
            1,
            "unknown key `pasword`",
        ),
        ("[usr.a]", 1, "unknown section or key `usr`"),
        (
            "\n[user.a]\npassword = \"hunter2\"",
            2,
            "the password of user `a` is not a hash in the PHC format, \
             `$argon2id$v=19$m=…,t=…,p=…$salt$hash`",
        ),
        (
            "[user.a]\npassword = 12345",
            1,
            "the password of user `a` must be a hash in quotes",
        ),
        (
            "[user.a]\ngroups = \"admins\"",
            2,
            "`groups` must be a list of names in quotes, such as [\"consoles\"]",
        ),
        ("[user.\"\"]", 1, "user `` has no name"),
        (
            "[user.\"a\\tb\"]",
            1,
            "user `a\\tb` contains control characters",
        ),
        (
            "[user.a]\ngroups = [\"x\", \"\"]",
            2,
            "group `` of user `a` has no name",
        ),
        ("[user.a]\n[user.a]", 2, "not TOML: duplicate key"),
        ("[user.a", 1, "not TOML: unclosed table, expected `]`"),
    ] {
        let errors = Users::parse(text).expect_err(text);
        let found = (errors[0].line, errors[0].message.as_str());
        assert_eq!(found, (line, message), "{text}");
        assert!(!errors[0].message.contains("hunter2"));
        assert!(!text[errors[0].span.clone()].contains("hunter2"), "{text}");
    }
}

#[test]
fn every_wrong_user_is_told_at_once() {
    let errors = Users::parse("[user.a]\npassword = \"x\"\n[user.b]\npassword = \"y\"\n")
        .expect_err("both are wrong");
    let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 3]);
    let errors = Users::parse(
        "[user.a]\npasword = \"x\"\ngroups = 1\ndisabled = \"no\"\n[usr]\n[user.b]\npassword = 5\n\
         [user.\"\"]\ngroups = [1]\n",
    )
    .expect_err("much is wrong");
    let told: Vec<_> = errors
        .iter()
        .map(|error| (error.line, error.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (1, "unknown key `pasword`"),
            (
                3,
                "`groups` must be a list of names in quotes, such as [\"consoles\"]"
            ),
            (4, "`disabled` must be true or false"),
            (5, "unknown section or key `usr`"),
            (6, "the password of user `b` must be a hash in quotes"),
            (8, "user `` has no name"),
            (
                9,
                "`groups` must be a list of names in quotes, such as [\"consoles\"]"
            ),
        ]
    );
}

#[test]
fn what_did_not_change_keeps_its_memory() {
    let (alice, bob) = (hash("a"), hash("b"));
    let file = |alice: &PasswordHash, bob_groups: &str, rest: &str| {
        parse(&format!(
            "[user.alice]\npassword = \"{alice}\"\n[user.bob]\npassword = \"{bob}\"\n\
             groups = [{bob_groups}]\n{rest}"
        ))
    };
    let before = file(&alice, "", "[user.carol]\n");
    let now = Instant::now();
    let (pair, lifetime) = ([7; 32], Duration::from_secs(60));
    for (_, user) in before.iter() {
        user.remember(pair, now);
    }
    let changed_of = |after: Users| {
        let (after, changed) = after.replacing(&before);
        let mut changed: Vec<_> = changed.into_iter().map(String::from).collect();
        changed.sort();
        let recalled = |name: &str| {
            after
                .get(name)
                .is_some_and(|user| user.recalls(&pair, lifetime, now))
        };
        (changed, recalled("alice"), recalled("bob"))
    };
    assert_eq!(
        changed_of(file(&alice, "", "[user.carol]\n")),
        (vec![], true, true)
    );
    assert_eq!(
        changed_of(file(&alice, "\"ops\"", "[user.dave]\n")),
        (
            vec!["bob".into(), "carol".into(), "dave".into()],
            true,
            false
        )
    );
    assert_eq!(
        changed_of(file(&hash("new"), "", "[user.carol]\ndisabled = true\n")),
        (vec!["alice".into(), "carol".into()], false, true)
    );
}

#[test]
fn a_login_is_remembered_for_its_time_and_from_its_latest_use() {
    let users = parse(&format!("[user.alice]\npassword = \"{}\"\n", hash("a")));
    let alice = users.get("alice").expect("there");
    let (start, lifetime) = (Instant::now(), Duration::from_secs(60));
    assert!(!alice.recalls(&[1; 32], lifetime, start));
    alice.remember([1; 32], start);
    assert!(!alice.recalls(&[2; 32], lifetime, start));
    let later = start + Duration::from_secs(59);
    assert!(alice.recalls(&[1; 32], lifetime, later));
    assert!(alice.recalls(&[1; 32], lifetime, later + Duration::from_secs(59)));
    assert!(!alice.recalls(&[1; 32], lifetime, later + Duration::from_secs(200)));
    assert!(!alice.recalls(&[1; 32], Duration::ZERO, start));
}

#[test]
fn the_latest_networks_are_familiar() {
    let users = parse("[user.alice]\n");
    let alice = users.get("alice").expect("there");
    for network in 0..20 {
        alice.was_seen_in(network);
        alice.was_seen_in(network);
    }
    let familiar: Vec<_> = (0..20)
        .filter(|network| alice.is_familiar_with(*network))
        .collect();
    assert_eq!(familiar, (4..20).collect::<Vec<_>>());
}

mod editing {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/users.toml");
        let mut file = UserFile::open(&path).expect("new");
        assert!(file.users().is_empty());
        let groups = ["ops".to_owned()];
        file.put("alice", Some(&hash("a")), Some(&groups))
            .expect("put");
        file.put("b.c/d", None, None).expect("put");
        file.save().expect("saved");
        assert_eq!(mode(&path), 0o600);
        let users = Users::load(&path).expect("ours");
        assert!(users.get("alice").expect("there").verify(b"a"));
        assert!(users.get("b.c/d").is_some());
        let names: Vec<_> = fs::read_dir(path.parent().expect("a folder"))
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["users.toml"]);
        let text = fs::read_to_string(&path).expect("read");
        assert!(
            text.starts_with("# The users of Millrace's broker."),
            "{text}"
        );
        assert!(!text.contains("[user]"), "{text}");
    }

    #[test]
    fn comments_and_everybody_else_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.toml");
        let before = "# ours\n[user.alice] # the boss\ngroups = [\"admins\"]\n\n# machines\n\
                      [user.bob]\ngroups = [ \"ops\" ]\n\n# the end\n[user.carol]\n";
        fs::write(&path, before).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        let mut file = UserFile::open(&path).expect("good");
        assert!(file.remove("bob"));
        assert!(!file.remove("bob"));
        file.put("alice", None, Some(&["x".to_owned()]))
            .expect("put");
        file.put("dave", None, Some(&[])).expect("put");
        file.save().expect("saved");
        let after = fs::read_to_string(&path).expect("read");
        assert_eq!(
            after,
            "# ours\n[user.alice] # the boss\ngroups = [\"x\"]\n\n# the end\n[user.carol]\n\n\
             [user.dave]\ngroups = []\n"
        );
        // Nobody but the group may go on reading it.
        assert_eq!(mode(&path), 0o640);
    }

    #[test]
    fn a_broken_file_is_not_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.toml");
        fs::write(&path, "[user.alice]\npasword = \"x\"\n").expect("written");
        let error = UserFile::open(&path).err().expect("broken").to_string();
        assert!(
            error.contains("line 1") && error.contains("`pasword`"),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_could_not_be_read_again_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = UserFile::open(&folder.path().join("users.toml")).expect("new");
        for name in ["", "a\nb", &"x".repeat(300)] {
            assert!(matches!(
                file.put(name, None, None),
                Err(EditError::Name { .. })
            ));
        }
        let wrong = file.put("a", None, Some(&[String::new()]));
        assert_eq!(
            wrong.expect_err("empty").to_string(),
            "group `` has no name"
        );
    }

    #[test]
    fn a_link_is_followed_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (
            folder.path().join("real.toml"),
            folder.path().join("link.toml"),
        );
        fs::write(&real, "[user.alice]\n").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let mut file = UserFile::open(&link).expect("good");
        file.put("bob", None, None).expect("put");
        file.save().expect("saved");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(Users::load(&real).expect("good").len(), 2);
    }
}
