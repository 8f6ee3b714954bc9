use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::address::DeviceId;
use crate::device::{AccountId, AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, VerifiedDeviceList};
use crate::identity::IdentityKeyPair;
use crate::vectors::{self, bytes};

const USER: AccountId = [7; 16];
const TOKEN: [u8; LINK_TOKEN_LEN] = [9; LINK_TOKEN_LEN];

fn number(device: u32) -> DeviceId {
    DeviceId::new(device).unwrap()
}

struct Talk {
    account: AccountKeyPair,
    list: VerifiedDeviceList,
    keys: LinkKeys,
    code: LinkCode,
    sealed: SealedOffer,
    offer: Offer,
    sent: Vec<u8>,
    answer: Answer,
    rng: StdRng,
}

impl Talk {
    /// Both sides up to the short code. The primary device knows the code from its text form.
    fn new(seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (account, primary) = (AccountKeyPair::generate(rng), IdentityKeyPair::generate(rng));
        let binding = DeviceBinding::sign(&USER, number(1), &primary, &account.public(), rng);
        let entry = DeviceEntry {
            device: number(1),
            identity: *primary.public(),
            added_ms: 5,
            is_primary: true,
            binding,
        };
        let list = sign(&account, 3, vec![entry], rng);
        let keys = LinkKeys::generate([4; LINK_ID_LEN], rng);
        let code: LinkCode = keys.code().to_text().parse().unwrap();
        let sealed = offer(&list).seal(&code, rng).unwrap();
        let offer = Offer::open(&keys, &sealed.bytes).unwrap();
        let answer = Answer::new(&keys, &offer, (77, "tablet".to_owned()), rng);
        let sent = answer.seal(&keys, &offer).unwrap();
        Self { account, list, keys, code, sealed, offer, sent, answer, rng: StdRng::seed_from_u64(!seed) }
    }

    fn open_answer(&self, sealed: &[u8]) -> Result<Answer, LinkError> {
        Answer::open(&self.code, &self.sealed.seed, (&USER, number(2), &self.account.public()), sealed)
    }

    /// The list with the companion.
    fn linked(&mut self, version: u64) -> VerifiedDeviceList {
        let entry = self.answer.entry(&self.code, number(2), 6);
        let devices = [self.list.devices(), &[entry]].concat();
        sign(&self.account, version, devices, &mut self.rng)
    }

    fn open_release(&self, release: &Release) -> Result<Release, LinkError> {
        Release::open(&self.keys, &self.offer, &release.seal(&self.code, &self.sealed.seed).unwrap())
    }
}

fn sign(
    account: &AccountKeyPair,
    version: u64,
    devices: Vec<DeviceEntry>,
    rng: &mut StdRng,
) -> VerifiedDeviceList {
    DeviceList::new(version, devices).unwrap().sign(&USER, account, rng).verify(&USER).unwrap()
}

fn offer(list: &VerifiedDeviceList) -> NewOffer<'_> {
    NewOffer { user: &USER, device: number(2), token: &TOKEN, list }
}

#[test]
fn both_sides_show_the_same_digits_and_the_companion_gets_on_the_list() {
    let mut talk = Talk::new(1);
    assert_eq!((talk.offer.user, talk.offer.device), (USER, number(2)));
    assert_eq!(*talk.offer.token.expose(), TOKEN);
    let opened = talk.open_answer(&talk.sent).unwrap();
    assert_eq!((opened.registration_id, opened.name.as_str()), (77, "tablet"));
    let nonce = LinkNonce::parse(talk.sealed.nonce.as_bytes()).unwrap();
    assert_eq!(talk.offer.check(&nonce), Ok(()));
    let ours = ShortCode::new(talk.keys.code(), &talk.sealed.bytes, &talk.sent, &nonce);
    let theirs = ShortCode::new(&talk.code, &talk.sealed.bytes, &talk.sent, &talk.sealed.nonce);
    assert_eq!(ours.to_string(), theirs.to_string());
    assert_eq!(ours.to_string().len(), 9);
    let list = talk.linked(4);
    let Ok(Release::Linked(released)) = talk.open_release(&Release::Linked(list.clone())) else { panic!() };
    assert_eq!(released.digest(), list.digest());
    assert!(matches!(talk.open_release(&Release::Refused), Ok(Release::Refused)));
}

#[test]
fn a_message_that_is_changed_or_cut_is_refused() {
    let mut talk = Talk::new(2);
    let release = Release::Linked(talk.linked(4)).seal(&talk.code, &talk.sealed.seed).unwrap();
    for position in 0..talk.sealed.bytes.len() {
        let mut wrong = talk.sealed.bytes.clone();
        wrong[position] ^= 1;
        assert!(Offer::open(&talk.keys, &wrong).is_err());
        assert!(Offer::open(&talk.keys, &talk.sealed.bytes[..position]).is_err());
    }
    for position in 0..talk.sent.len() {
        let mut wrong = talk.sent.clone();
        wrong[position] ^= 1;
        assert_eq!(talk.open_answer(&wrong).unwrap_err(), LinkError::NotAuthentic);
        assert_eq!(talk.open_answer(&talk.sent[..position]).unwrap_err(), LinkError::NotAuthentic);
    }
    for position in 0..release.len() {
        let mut wrong = release.clone();
        wrong[position] ^= 1;
        assert!(Release::open(&talk.keys, &talk.offer, &wrong).is_err());
    }
    assert!(Release::open(&talk.keys, &talk.offer, &talk.sent).is_err(), "a message of another kind");
    assert_eq!(talk.open_answer(&release).unwrap_err(), LinkError::NotAuthentic);
}

#[test]
fn somebody_who_does_not_know_the_secret_cannot_answer() {
    let (talk, mut other) = (Talk::new(3), Talk::new(4));
    // The same public keys, and another secret.
    let mut guessed: LinkCode = talk.keys.code().to_text().parse().unwrap();
    guessed.secret = Secret::new([1; 32]);
    let forged = offer(&other.list).seal(&guessed, &mut other.rng).unwrap();
    assert_eq!(Offer::open(&talk.keys, &forged.bytes).unwrap_err(), LinkError::NotAuthentic);
    assert_eq!(Offer::open(&talk.keys, &other.sealed.bytes).unwrap_err(), LinkError::NotAuthentic);
    // Somebody who has seen the code, but not the offer.
    let seed = Secret::new([1; 32]);
    let us = (&USER, number(2), &talk.account.public());
    assert_eq!(Answer::open(&talk.code, &seed, us, &talk.sent).unwrap_err(), LinkError::NotAuthentic);
}

#[test]
fn an_offer_with_a_list_that_does_not_fit_is_refused() {
    let mut talk = Talk::new(5);
    let with_us = talk.linked(4);
    let sealed = offer(&with_us).seal(&talk.code, &mut talk.rng).unwrap();
    assert_eq!(Offer::open(&talk.keys, &sealed.bytes).unwrap_err(), LinkError::OtherList);
    let first = NewOffer { device: number(1), ..offer(&talk.list) };
    let sealed = first.seal(&talk.code, &mut talk.rng).unwrap();
    assert_eq!(Offer::open(&talk.keys, &sealed.bytes).unwrap_err(), LinkError::OtherList);
    let of_another = NewOffer { user: &[8; 16], ..offer(&talk.list) };
    let sealed = of_another.seal(&talk.code, &mut talk.rng).unwrap();
    assert_eq!(Offer::open(&talk.keys, &sealed.bytes).unwrap_err(), LinkError::List(ListError::Signature));
}

#[test]
fn an_answer_for_another_account_or_number_is_refused() {
    let talk = Talk::new(6);
    let account = talk.account.public();
    let open = |user, device, account| {
        Answer::open(&talk.code, &talk.sealed.seed, (user, device, account), &talk.sent).unwrap_err()
    };
    assert_eq!(open(&[8; 16], number(2), &account), LinkError::Binding);
    assert_eq!(open(&USER, number(3), &account), LinkError::Binding);
    let other = AccountKeyPair::generate(&mut StdRng::seed_from_u64(9)).public();
    assert_eq!(open(&USER, number(2), &other), LinkError::Binding);
}

#[test]
fn a_release_whose_list_does_not_fit_is_refused() {
    let mut talk = Talk::new(7);
    let old = Release::Linked(talk.linked(3));
    assert_eq!(talk.open_release(&old).unwrap_err(), LinkError::OtherList, "not later than in the offer");
    let devices = talk.list.devices().to_vec();
    let without = Release::Linked(sign(&talk.account, 4, devices.clone(), &mut talk.rng));
    assert_eq!(talk.open_release(&without).unwrap_err(), LinkError::OtherList);
    let other = AccountKeyPair::generate(&mut talk.rng);
    let primary = IdentityKeyPair::generate(&mut talk.rng);
    let bind = |identity: &IdentityKeyPair, device, rng: &mut StdRng| {
        DeviceBinding::sign(&USER, number(device), identity, &other.public(), rng)
    };
    let first =
        DeviceEntry { identity: *primary.public(), binding: bind(&primary, 1, &mut talk.rng), ..devices[0] };
    let second = DeviceEntry {
        binding: bind(talk.keys.identity(), 2, &mut talk.rng),
        ..talk.answer.entry(&talk.code, number(2), 6)
    };
    let replaced = Release::Linked(sign(&other, 4, vec![first, second], &mut talk.rng));
    assert_eq!(talk.open_release(&replaced).unwrap_err(), LinkError::OtherList, "another account key");
}

#[test]
fn the_digits_depend_on_everything_that_was_sent() {
    let (talk, other) = (Talk::new(8), Talk::new(9));
    let digits = |code, offer, answer, nonce| ShortCode::new(code, offer, answer, nonce).to_string();
    let (code, sealed) = (&talk.code, &talk.sealed);
    let same = digits(code, &sealed.bytes, &talk.sent, &sealed.nonce);
    assert_ne!(digits(&other.code, &sealed.bytes, &talk.sent, &sealed.nonce), same);
    assert_ne!(digits(code, &other.sealed.bytes, &talk.sent, &sealed.nonce), same);
    assert_ne!(digits(code, &sealed.bytes, &other.sent, &sealed.nonce), same);
    assert_ne!(digits(code, &sealed.bytes, &talk.sent, &other.sealed.nonce), same);
    assert_eq!(talk.offer.check(&other.sealed.nonce), Err(LinkError::Nonce));
}

#[test]
fn a_code_that_cannot_be_used_is_refused_with_the_reason() {
    let keys = LinkKeys::generate([4; LINK_ID_LEN], &mut StdRng::seed_from_u64(1));
    let (code, text) = (keys.code().to_bytes(), keys.code().to_text());
    let reason = |bytes: &[u8]| LinkCode::parse(bytes).unwrap_err();
    for length in 3..code.len() {
        assert_eq!(reason(&code[..length]), CodeError::Cut, "{length}");
    }
    for length in "SEALPOST:".len() + 5..text.len() {
        assert_eq!(text[..length].parse::<LinkCode>().unwrap_err(), CodeError::Cut, "{length}");
    }
    for other in ["", "SPL", "https://example.org/", "SEALPOST", "sealpost?SPL"] {
        assert_eq!(other.parse::<LinkCode>().unwrap_err(), CodeError::NotACode, "{other}");
    }
    assert_eq!(reason(b"SP"), CodeError::NotACode);
    assert_eq!(reason(b"XPL\x01"), CodeError::NotACode);
    let mut later = code.to_vec();
    later[3] = 2;
    assert_eq!(reason(&later), CodeError::OtherVersion);
    assert_eq!(reason(&later[..60]), CodeError::OtherVersion);
    for position in 4..code.len() {
        let mut wrong = code.to_vec();
        wrong[position] ^= 1;
        assert_eq!(reason(&wrong), CodeError::Damaged);
    }
    assert_eq!(reason(&[&code, &[0][..]].concat()), CodeError::Damaged);
    assert_eq!(format!("{text}!", text = *text).parse::<LinkCode>().unwrap_err(), CodeError::Damaged);
    assert!(format!("\n {} ", text.to_lowercase()).parse::<LinkCode>().is_ok());
}

#[test]
fn the_stored_keys_open_what_was_sealed_for_the_code() {
    let talk = Talk::new(10);
    let stored = LinkKeys::from_bytes(&talk.keys.to_bytes()).unwrap();
    assert_eq!(stored.code().to_text(), talk.keys.code().to_text());
    assert!(Offer::open(&stored, &talk.sealed.bytes).is_ok());
    let form = talk.keys.to_bytes();
    for length in 0..form.len() {
        assert!(LinkKeys::from_bytes(&form[..length]).is_err());
    }
}

#[test]
fn secrets_are_not_printed() {
    let talk = Talk::new(11);
    let nonce = format!("{:?}", talk.sealed.nonce);
    assert_eq!(nonce, "LinkNonce(..)");
    let printed = format!("{:?} {:?} {:?}", talk.keys, talk.sealed.seed, talk.offer);
    let secret = hex::encode(talk.code.secret.expose());
    assert!(!printed.contains(&secret[..8]) && !printed.contains("9, 9, 9"), "{printed}");
}

/// The bytes are those that `docs/wire.md` defines: they were recorded once, so that no change of the code changes them unnoticed.
#[test]
fn recorded_messages_are_opened() {
    let case = vectors::load("link");
    let keys = LinkKeys::from_bytes(&bytes(&case["companion"])).unwrap();
    assert_eq!(case["code"].as_str().unwrap(), keys.code().to_text().as_str());
    let (sent, answer) = (bytes(&case["offer"]), bytes(&case["answer"]));
    let offer = Offer::open(&keys, &sent).unwrap();
    assert_eq!(offer.user.to_vec(), bytes(&case["user"]));
    assert_eq!(offer.token.expose().to_vec(), bytes(&case["token"]));
    assert_eq!(offer.seed.expose().to_vec(), bytes(&case["seed"]));
    assert_eq!(offer.list.serialize(), bytes(&case["list"]));
    let nonce = LinkNonce::parse(&bytes(&case["nonce"])).unwrap();
    assert_eq!(offer.check(&nonce), Ok(()));
    let account = offer.list.account_key();
    let opened =
        Answer::open(keys.code(), &offer.seed, (&offer.user, offer.device, account), &answer).unwrap();
    assert_eq!(opened.name, case["name"].as_str().unwrap());
    let digits = ShortCode::new(keys.code(), &sent, &answer, &nonce).to_string();
    assert_eq!(digits, case["digits"].as_str().unwrap());
    let Ok(Release::Linked(list)) = Release::open(&keys, &offer, &bytes(&case["release"])) else { panic!() };
    assert_eq!(list.serialize(), bytes(&case["linked"]));
}

/// Prints the file that `recorded_messages_are_opened` reads, for a new version of the format.
#[test]
#[ignore = "prints a new file of test vectors"]
fn record() {
    let mut talk = Talk::new(12);
    let list = talk.linked(4);
    let release = Release::Linked(list.clone()).seal(&talk.code, &talk.sealed.seed).unwrap();
    let digits = ShortCode::new(&talk.code, &talk.sealed.bytes, &talk.sent, &talk.sealed.nonce);
    let case = serde_json::json!({
        "source": "this library",
        "companion": hex::encode(&*talk.keys.to_bytes()),
        "code": talk.code.to_text().as_str(),
        "user": hex::encode(USER),
        "token": hex::encode(TOKEN),
        "seed": hex::encode(talk.sealed.seed.expose()),
        "list": hex::encode(talk.list.serialize()),
        "offer": hex::encode(&talk.sealed.bytes),
        "nonce": hex::encode(talk.sealed.nonce.as_bytes()),
        "answer": hex::encode(&talk.sent),
        "name": "tablet",
        "digits": digits.to_string(),
        "release": hex::encode(release),
        "linked": hex::encode(list.serialize()),
    });
    println!("{case:#}");
}

proptest! {
    #[test]
    fn a_code_has_one_form(link in any::<[u8; LINK_ID_LEN]>(), seed in any::<u64>()) {
        let keys = LinkKeys::generate(link, &mut StdRng::seed_from_u64(seed));
        let (form, text) = (keys.code().to_bytes(), keys.code().to_text());
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b':'));
        prop_assert_eq!(LinkCode::parse(&form).unwrap().to_bytes().to_vec(), form.to_vec());
        let parsed: LinkCode = text.parse().unwrap();
        prop_assert_eq!(parsed.to_bytes().to_vec(), form.to_vec());
        prop_assert_eq!(parsed.link(), &link);
    }

    #[test]
    fn no_input_breaks_the_parsers(input in proptest::collection::vec(any::<u8>(), 0..900), text in "(SEALPOST:)?[A-Za-z2-7]{0,210}") {
        let keys = LinkKeys::generate([1; LINK_ID_LEN], &mut StdRng::seed_from_u64(1));
        prop_assert!(Offer::open(&keys, &input).is_err());
        prop_assert!(LinkKeys::from_bytes(&input).is_err());
        prop_assert!(LinkCode::parse(&input).is_err());
        prop_assert!(text.parse::<LinkCode>().is_err());
    }

    #[test]
    fn base32_is_decoded_to_what_was_encoded(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let text = text::encode(&bytes);
        prop_assert_eq!(text::decode(&text), Some(bytes));
    }

    #[test]
    fn a_text_that_is_decoded_is_the_encoding(text in "[A-Z2-7]{0,24}") {
        if let Some(bytes) = text::decode(&text) {
            prop_assert_eq!(text::encode(&bytes), text);
        }
    }
}
