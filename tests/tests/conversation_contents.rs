//! What people send besides texts, and what belongs to it: two clients and a real relay.

#![cfg(test)]

use sealpost_core::{ContactCard, Error, Location, Message, MessageBody};
use sealpost_testkit::{Pair, history, when};

#[tokio::test(flavor = "multi_thread")]
async fn contact_cards_and_locations_are_sent_forwarded_and_replied_to() {
    let pair = Pair::new().await;
    let card = ContactCard {
        name: "Cyd".to_owned(),
        user: Some(pair.ada.client.user_id()),
        phone: "+1 555 0100".to_owned(),
        email: String::new(),
    };
    let place = Location {
        latitude_e7: -337_568_000,
        longitude_e7: 1_511_540_000,
        accuracy_m: 25,
        name: String::new(),
    };
    pair.hers.send_contact(card.clone()).await.unwrap();
    pair.hers.send_location(place.clone()).await.unwrap();
    let is_place = |message: &Message| message.body == MessageBody::Location(place.clone());
    let received = when("the place", &pair.his, is_place).await;
    let all = history(&pair.his).await;
    assert_eq!(all[0].body, MessageBody::Contact(card.clone()));
    let reply = pair.his.reply(all[0].id, "thanks").await.unwrap();
    assert_eq!(reply.quote.unwrap().text, "Cyd");
    let forwarded = pair.his.forward(received.id).await.unwrap();
    assert!(forwarded.is_forwarded && is_place(&forwarded));
    when("the forwarded place", &pair.hers, |message| message.is_forwarded && is_place(message)).await;
    let both = |message: &Message| matches!(message.body, MessageBody::Contact(_) | MessageBody::Location(_));
    assert_eq!(history(&pair.hers).await.iter().filter(|message| both(message)).count(), 3);

    let nameless = ContactCard { name: " ".to_owned(), ..card.clone() };
    assert!(matches!(pair.hers.send_contact(nameless).await, Err(Error::InvalidContent(_))));
    let long = ContactCard { email: "a".repeat(257), ..card };
    assert!(matches!(pair.hers.send_contact(long).await, Err(Error::InvalidContent(_))));
    let nowhere = Location { latitude_e7: 900_000_001, ..place };
    assert!(matches!(pair.hers.send_location(nowhere).await, Err(Error::InvalidContent(_))));
}
