use std::time::Duration;

use super::*;
use crate::backend::KeyStorePassword;

fn password(text: &str) -> Pin {
    Pin::new(text).unwrap()
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let mut record = Record::new(password("given111"), password("current1"));
    let code = ConnectionErrorCode::UserLockedOut;
    for (pending, tries, refused) in
        [(None, 0, None), (Some(password("pending1")), 3, None), (None, 1, Some(code))]
    {
        record.pending_refused = pending.is_some();
        record.told_refused = refused.is_some();
        record.told = record.told_refused.then(|| password("told1111"));
        record.telling = pending.is_none().then(TellingId::generate);
        record.others.push(TokenName::Label(format!("a\tb\nc{tries}")).to_string());
        (record.pending, record.tries, record.refused) = (pending, tries, refused);
        assert_eq!(Record::from_bytes(record.to_bytes().expose()), Some(record.clone()));
    }
    for text in ["1", " ", "user-pin-1", "refused", "p\u{e4}ss\u{2028}w\u{f6}rd"] {
        let mut record = Record::new(password(text), password(text));
        (record.told, record.pending) = (Some(password(text)), Some(password(text)));
        assert_eq!(Record::from_bytes(record.to_bytes().expose()), Some(record));
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let record = Record::new(password("given111"), password("current1")).to_bytes();
    let bytes = record.expose();
    for end in 0..bytes.len() {
        assert_eq!(Record::from_bytes(&bytes[..end]), None, "{end}");
    }
    assert_eq!(Record::from_bytes(&[bytes, b"\n"].concat()), None);
    let text = std::str::from_utf8(bytes).unwrap();
    for telling in ["", "0123"] {
        let told = text.replacen("v1\n", &format!("v2\n{telling}\n"), 1);
        assert_ne!(told, text);
        assert_eq!(Record::from_bytes(told.as_bytes()), None);
    }
    assert_eq!(Record::from_bytes(&[0xff; 40]), None);
}

#[test]
fn a_record_without_a_telling_is_one_of_the_first_version() {
    let first = b"custom-key-store password v1\ntold1111\nrefused\ngiven111\ncurrent1\n\n\n2\n\n\n";
    let mut expected = Record::new(password("given111"), password("current1"));
    (expected.told, expected.told_refused, expected.tries) = (Some(password("told1111")), true, 2);
    assert_eq!(expected.to_bytes().expose(), first);
    assert_eq!(Record::from_bytes(first), Some(expected));
}

/// Which may hold a password that nobody else knows.
#[test]
fn a_record_of_a_later_version_gives_way_to_what_the_store_was_told_since_and_to_nothing_else() {
    let (before, since) = (telling(GIVEN), telling(GIVEN));
    let of_another = telling("another1");
    let later = format!("custom-key-store password v3\n{}\nwhatever that may be\n", before.id());
    futures::executor::block_on(async {
        for (text, telling, is_read) in [
            (&*later, None, false),
            (&later, Some(&before), false),
            (&later, Some(&of_another), false),
            (&later, Some(&since), true),
            ("of somebody else", None, false),
            ("of somebody else", Some(&since), true),
        ] {
            let vault: Arc<dyn Vault> = Arc::new(crate::backend::MemoryVault::new());
            vault.write(text.as_bytes().into()).await.unwrap();
            match Keeper::open(&request(&vault, telling), &password(GIVEN)).await {
                Ok(keeper) => {
                    assert!(is_read, "{text}");
                    assert_eq!(keeper.candidates().unwrap(), [(Candidate::Current, password(GIVEN))]);
                }
                Err(error) => {
                    assert!(!is_read, "{text}");
                    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
                }
            }
            let kept = vault.read().await.unwrap().unwrap();
            assert_eq!(kept.expose(), text.as_bytes());
        }
    });
}

/// That a store was told this.
fn telling(text: &str) -> Telling {
    Telling::new(TellingId::generate(), KeyStorePassword::new(text).unwrap())
}

fn request(vault: &Arc<dyn Vault>, telling: Option<&Telling>) -> ConnectRequest {
    let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(1));
    let request = request.with_vault(Arc::clone(vault));
    telling.cloned().into_iter().fold(request, ConnectRequest::with_telling)
}

/// What somebody does with the store. Each connects it, as a process does that knows nothing of the ones before.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It is opened with this password in its configuration.
    Opened(&'static str),
    /// It is told this one in an update.
    Told(&'static str),
    /// It is connected once more.
    Again,
    /// It is connected, and nobody hears what the token says of the first password.
    CutOff,
    /// It is told this one, and whatever connects it then does not come as far as the token.
    ToldInVain(&'static str),
}

const GIVEN: &str = "given111";

const STEPS: [Step; 9] = [
    Step::Opened(GIVEN),
    Step::Opened("mistake1"),
    Step::Opened("mistake2"),
    Step::Told(GIVEN),
    Step::Told("mistake1"),
    Step::Again,
    Step::CutOff,
    Step::ToldInVain(GIVEN),
    Step::ToldInVain("mistake1"),
];

/// A store, and a token in which this password is in force.
struct Bench {
    vault: Arc<dyn Vault>,
    in_force: Pin,
    given: Pin,
    telling: Option<Telling>,
    /// Those that were refused since the store was given one.
    refused: Vec<Pin>,
}

impl Bench {
    async fn new(record: &Record, in_force: &str) -> Self {
        let vault: Arc<dyn Vault> = Arc::new(crate::backend::MemoryVault::new());
        vault.write(record.to_bytes()).await.unwrap();
        let (given, in_force) = (record.given.clone(), password(in_force));
        Self { vault, in_force, given, telling: None, refused: Vec::new() }
    }

    async fn step(&mut self, step: Step) -> Result<(), ConnectionError> {
        match step {
            Step::Opened(text) => {
                if password(text) != self.given {
                    self.refused.clear();
                }
                self.given = password(text);
            }
            Step::Told(text) | Step::ToldInVain(text) => {
                self.refused.clear();
                (self.given, self.telling) = (password(text), Some(telling(text)));
            }
            Step::Again | Step::CutOff => {}
        }
        let mut keeper = Keeper::open(&request(&self.vault, self.telling.as_ref()), &self.given).await?;
        if matches!(step, Step::ToldInVain(_)) {
            return Err(ConnectionError::new(ConnectionErrorCode::NetworkErrors));
        }
        self.connect(&mut keeper, matches!(step, Step::CutOff)).await
    }

    async fn connect(&mut self, keeper: &mut Keeper, is_cut_off: bool) -> Result<(), ConnectionError> {
        for (candidate, password) in keeper.candidates()? {
            keeper.before_try().await?;
            if is_cut_off {
                break;
            }
            if password == self.in_force {
                return keeper.accepted(candidate).await;
            }
            assert!(!self.refused.contains(&password), "{password:?} is tried again");
            self.refused.push(password);
            keeper.declined(candidate);
        }
        let error = ConnectionError::new(ConnectionErrorCode::InvalidCredentials);
        if !is_cut_off {
            keeper.refused(error.code()).await;
        }
        Err(error)
    }
}

/// Whoever does whatever, in four steps, and then tells the store the password that it was given first.
#[test]
fn no_steps_lose_a_password_that_only_the_store_knows() {
    let mut changed = Record::new(password(GIVEN), password("current1"));
    let mut unclear = changed.clone();
    unclear.pending = Some(password("pending1"));
    changed.others.push("label \"b\"".to_owned());
    let cases = [(&changed, "current1"), (&unclear, "current1"), (&unclear, "pending1")];
    futures::executor::block_on(async {
        for (record, in_force) in cases {
            for number in 0..STEPS.len().pow(4) {
                let steps = [0, 1, 2, 3].map(|nth| STEPS[number / STEPS.len().pow(nth) % STEPS.len()]);
                let mut bench = Bench::new(record, in_force).await;
                for step in steps {
                    let is_known = matches!(step, Step::Opened(GIVEN) | Step::Told(GIVEN));
                    let is_new = matches!(step, Step::Told(_)) || bench.given != password(GIVEN);
                    let outcome = bench.step(step).await;
                    assert!(!(is_known && is_new) || outcome.is_ok(), "{in_force}: {steps:?}");
                }
                bench.step(Step::Told(GIVEN)).await.unwrap();
                bench.step(Step::Again).await.unwrap();
                assert_eq!(bench.refused.iter().filter(|one| **one == bench.in_force).count(), 0);
            }
        }
    });
}

#[test]
fn a_password_that_is_told_replaces_the_others_when_it_is_in_force() {
    futures::executor::block_on(async {
        let record = Record::new(password(GIVEN), password("current1"));
        for text in [GIVEN, "another1"] {
            let mut bench = Bench::new(&record, text).await;
            bench.step(Step::Opened("mistake1")).await.unwrap_err();
            bench.step(Step::Told(text)).await.unwrap();
            assert!(bench.refused.is_empty());
            let written = bench.vault.read().await.unwrap().unwrap();
            let mut expected = Record::new(password(text), password(text));
            expected.telling = bench.telling.map(|telling| telling.id().clone());
            assert_eq!(Record::from_bytes(written.expose()), Some(expected));
        }
    });
}

#[test]
fn new_passwords_are_long_and_unlike() {
    let (one, other) = (new_password().unwrap(), new_password().unwrap());
    assert_eq!((one.expose().len(), other.expose().len()), (32, 32));
    assert_ne!(one, other);
}
