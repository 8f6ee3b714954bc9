use std::collections::BTreeSet;

use super::*;

const NOW_MS: u64 = 1_764_000_000_000;
const OURS: Address = Address { user: UserId::from_bytes([0x11; 16]), device: DeviceId::PRIMARY };
const FAMILY: FamilyId = FamilyId([0x22; 16]);

fn signer() -> (tempfile::TempDir, Signer) {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::open(folder.path()).unwrap();
    (folder, signer)
}

/// Signs other claims, or with another header, with the relay's own key.
fn forge(folder: &Path, header: &Header, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: OURS.user.to_string(),
        did: 1,
        fam: to_hex(&FAMILY.0),
        iat: NOW_MS / 1_000,
        exp: NOW_MS / 1_000 + 600,
    };
    change(&mut claims);
    let key = EncodingKey::from_ed_der(&fs::read(folder.join("signing.key")).unwrap());
    jsonwebtoken::encode(header, &claims, &key).unwrap()
}

#[test]
fn a_token_authenticates_its_device_until_it_expires() {
    let (_folder, signer) = signer();
    let (token, expires_ms) = signer.issue(OURS, FAMILY, NOW_MS).unwrap();
    assert_eq!(expires_ms, NOW_MS + ACCESS_LIFE_MS);
    let access = Access { address: OURS, family: FAMILY, expires_ms };
    assert_eq!(signer.verify(&token, NOW_MS), Ok(access));
    assert_eq!(signer.verify(&token, expires_ms + 60_999), Ok(access));
    assert_eq!(signer.verify(&token, expires_ms + 61_000), Err(Problem::InvalidToken));
}

#[test]
fn the_key_survives_a_restart_and_is_private() {
    let (folder, signer) = signer();
    let (token, _) = signer.issue(OURS, FAMILY, NOW_MS).unwrap();
    assert!(Signer::open(folder.path()).unwrap().verify(&token, NOW_MS).is_ok());
    let path = folder.path().join("signing.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Signer::open(folder.path()).is_err());
}

#[test]
fn wrong_audience_issuer_and_foreign_keys_are_refused() {
    let (folder, signer) = signer();
    let header = Header::new(Algorithm::EdDSA);
    let refused = [
        forge(folder.path(), &header, |claims| claims.aud = "someone-else".into()),
        forge(folder.path(), &header, |claims| claims.iss = "someone-else".into()),
        forge(folder.path(), &header, |claims| claims.did = 0),
        forge(folder.path(), &header, |claims| claims.sub = "../1".into()),
        self::signer().1.issue(OURS, FAMILY, NOW_MS).unwrap().0,
        String::new(),
    ];
    for token in refused {
        assert_eq!(signer.verify(&token, NOW_MS), Err(Problem::InvalidToken));
    }
    assert!(
        signer.verify(&forge(folder.path(), &header, |_| ()), NOW_MS).is_ok(),
        "an unchanged token is valid"
    );
}

#[test]
fn the_header_does_not_choose_the_algorithm() {
    let (folder, signer) = signer();
    let (token, _) = signer.issue(OURS, FAMILY, NOW_MS).unwrap();
    let claims = token.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"JWT"}, with no signature.
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    assert_eq!(signer.verify(&unsigned, NOW_MS), Err(Problem::InvalidToken));

    // HS256 with the public key as the shared secret.
    let pkcs8 = fs::read(folder.path().join("signing.key")).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap().public_key().as_ref().to_vec();
    let access = signer.verify(&token, NOW_MS).unwrap();
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: access.address.user.to_string(),
            did: 1,
            fam: to_hex(&FAMILY.0),
            iat: 0,
            exp: u64::MAX / 2_000,
        },
        &EncodingKey::from_secret(&public),
    )
    .unwrap();
    assert_eq!(signer.verify(&confused, NOW_MS), Err(Problem::InvalidToken));

    // A key id that looks like a path changes nothing.
    let header = Header { kid: Some("../../../dev/null".into()), ..Header::new(Algorithm::EdDSA) };
    assert!(signer.verify(&forge(folder.path(), &header, |_| ()), NOW_MS).is_ok());
}

#[test]
fn a_refresh_token_round_trips_through_its_text_and_debug_hides_it() {
    let token = signer().1.random(FAMILY);
    let again = RefreshToken::parse(&token.expose()).unwrap();
    assert_eq!(again.hash().0, token.hash().0);
    assert_eq!(again.family(), FAMILY);
    assert_eq!(
        format!("{token:?}{:?}{:?}", token.hash(), token.family()),
        "RefreshToken(..)TokenHash(..)FamilyId(..)"
    );
    let text = token.expose();
    for bad in ["", ".", &text[1..], &text.replace('.', ""), &text.replacen('2', "+", 1), "é.é"] {
        assert!(RefreshToken::parse(bad).is_err());
    }
}

#[test]
fn each_exchange_has_its_own_single_successor() {
    let (folder, signer) = signer();
    let token = signer.random(FAMILY);
    let (name, other) = (IdempotencyKey([1; 32]), IdempotencyKey([2; 32]));
    let next = signer.successor(&token, &name);
    assert_eq!(next.family(), FAMILY);
    let same = Signer::open(folder.path()).unwrap().successor(&token, &name);
    assert_eq!(same.expose(), next.expose(), "also after a restart");
    let different = [
        token.hash(),
        signer.successor(&token, &other).hash(),
        signer.successor(&next, &name).hash(),
        self::signer().1.successor(&token, &name).hash(),
    ];
    assert!(different.iter().all(|hash| hash.0 != next.hash().0));
}

#[test]
fn only_an_issued_refresh_token_proves_its_family() {
    let (folder, signer) = signer();
    let token = signer.random(FAMILY);
    let next = signer.successor(&token, &IdempotencyKey([1; 32]));
    let restarted = Signer::open(folder.path()).unwrap();
    for issued in [&token, &next] {
        let presented = RefreshToken::parse(&issued.expose()).unwrap();
        assert_eq!(restarted.origin(&presented), Origin::Issued);
    }
    let text = token.expose();
    let (family, secret, tag) = (&text[..32], &text[33..97], &text[98..]);
    let (zeros, others) = ("00".repeat(32), self::signer().1.random(FAMILY).expose());
    let guesses = [
        format!("{family}.{secret}"),
        format!("{family}.{zeros}"),
        format!("{family}.{zeros}.{tag}"),
        format!("{family}.{secret}.{}", "00".repeat(16)),
        format!("{}.{secret}.{tag}", "33".repeat(16)),
        others,
    ];
    for guess in guesses {
        let presented = RefreshToken::parse(&guess).unwrap();
        assert_eq!(signer.origin(&presented), Origin::Unproven, "{guess}");
    }
    for bad in
        [format!("{text}.00"), format!("{family}.{secret}."), format!("{family}.{secret}.{}", &tag[1..])]
    {
        assert!(RefreshToken::parse(&bad).is_err());
    }
}

#[test]
fn refresh_tokens_have_distinct_secrets() {
    let (_folder, signer) = signer();
    let hashes: BTreeSet<_> = (0..100).map(|_| signer.random(FAMILY).hash().0).collect();
    assert_eq!(hashes.len(), 100);
}

/// An access token consists of its claims and a signature by a random key, so equal claims give equal tokens.
#[test]
fn access_tokens_are_deterministic() {
    let (_folder, signer) = signer();
    let issue = |signer: &Signer, address, family, now_ms| signer.issue(address, family, now_ms).unwrap().0;
    let token = issue(&signer, OURS, FAMILY, NOW_MS);
    assert_eq!(issue(&signer, OURS, FAMILY, NOW_MS), token);
    let others = [
        issue(&signer, Address { user: UserId::from_bytes([0x12; 16]), ..OURS }, FAMILY, NOW_MS),
        issue(&signer, Address { device: DeviceId::new(2).unwrap(), ..OURS }, FAMILY, NOW_MS),
        issue(&signer, OURS, FamilyId([0x23; 16]), NOW_MS),
        issue(&signer, OURS, FAMILY, NOW_MS + 1_000),
        issue(&self::signer().1, OURS, FAMILY, NOW_MS),
    ];
    assert!(others.iter().all(|other| *other != token));
}
