//! Carries out what happens between the lines, and records what all sides must have then.

use sealpost_core::{
    ContactCard, LinkPreview, Location, Markup, Mention, Message, MessageBody, Profile, StyledRange,
    TextRange, TextStyle, Thread,
};

use crate::act::{Act, Deed, Kind};
use crate::model::{Body, Entry};
use crate::run::{Failure, Result};
use crate::side::{Settled, until};
use crate::stage::Stage;

impl Stage {
    /// One side does something. What is to be sent is on disk when this returns.
    pub(crate) async fn perform(&mut self, act: &Act) -> Result<()> {
        let (by, kind) = (act.by, act.kind());
        match &act.deed {
            Deed::Styles | Deed::Contact | Deed::Location | Deed::Poll { .. } => self.say_new(act).await,
            Deed::Reply(to) => {
                let target = self.message(by, *to).await?;
                let text = format!("As for that: message {} is about it, too.", self.next_number());
                let thread = self.thread(by).await?;
                let settled = Settled::listen(&self.side(by)?.client);
                let sent = thread.reply(target.id, &text).await?;
                let place = settled.place(&thread, sent.id).await?;
                let entry =
                    Entry { replies_to: target.server_seq, ..Entry::new(by, place, Body::Text(text)) };
                self.model.push(kind, entry);
                Ok(())
            }
            Deed::Forward(of) => self.forward(by, *of).await,
            Deed::SetTimer(seconds) => self.set_timer(by, *seconds, kind).await,
            Deed::Disappear => self.say_for_a_second(by).await,
            Deed::Profile => {
                let changes = self.model.done(kind);
                let name = self.side(by)?.name.clone();
                let about = format!("{name} travels by train, and has changed this {changes} times before.");
                let profile = Profile { name, about: about.clone(), avatar: vec![7; 64] };
                self.side(by)?.client.set_profile(profile.clone()).await?;
                self.model.secrets.push(about);
                self.model.set_profile(by, &profile);
                self.model.count(kind);
                Ok(())
            }
            Deed::Read => {
                self.read_everything(by).await?;
                self.model.count(kind);
                Ok(())
            }
            Deed::Note => {
                let text = format!(
                    "Only for me, number {}: the tickets are in the blue bag.",
                    self.model.done(kind)
                );
                self.side(by)?.client.note_to_self().await?.send_text(&text).await?;
                self.model.secrets.push(text.clone());
                self.model.people.get_mut(by).into_iter().for_each(|ours| ours.notes.push(text.clone()));
                self.model.count(kind);
                Ok(())
            }
            Deed::Type => self.type_something(by).await,
            Deed::Appear => self.appear(by).await,
            Deed::Call => self.call(by).await,
            Deed::Edit(at)
            | Deed::React(at, _)
            | Deed::TakeReactionBack(at)
            | Deed::Delete(at)
            | Deed::Vote(at, _)
            | Deed::Pin(at)
            | Deed::Unpin(at) => self.change(act, *at).await,
        }
    }

    /// The number that the next message will have.
    fn next_number(&self) -> usize {
        self.model.messages.saturating_add(1)
    }

    async fn say_new(&mut self, act: &Act) -> Result<()> {
        let (by, number) = (act.by, self.next_number());
        let thread = self.thread(by).await?;
        let settled = Settled::listen(&self.side(by)?.client);
        let (sent, body, markup) = match act.deed {
            Deed::Contact => {
                let (name, email) = (format!("Buffet {number}"), format!("buffet-{number}@olten.example"));
                let user = Some(self.side(by)?.client.user_id());
                let card = ContactCard { name, user, phone: "+41 62 555 01 23".to_owned(), email };
                (thread.send_contact(card.clone()).await?, Body::Contact(card), None)
            }
            Deed::Location => {
                let name = format!("Platform {number}, sector B");
                let place =
                    Location { latitude_e7: 473_521_000, longitude_e7: 79_078_000, accuracy_m: 25, name };
                (thread.send_location(place.clone()).await?, Body::Location(place), None)
            }
            Deed::Poll { is_multiple } => {
                let question = format!("Question {number}: what do we take along?");
                let options = ["the blue umbrella", "half a lemon", "обе чашки"].map(str::to_owned).to_vec();
                let sent = thread.send_poll(&question, options.clone(), is_multiple).await?;
                (sent, Body::Poll { question, options, is_multiple }, None)
            }
            _ => {
                let (text, markup) = self.styled(by, number)?;
                let sent = thread.send_with(&text, markup.clone()).await?;
                (sent, Body::Text(text), Some(Box::new(markup)))
            }
        };
        let place = settled.place(&thread, sent.id).await?;
        self.model.push(act.kind(), Entry { markup, ..Entry::new(by, place, body) });
        Ok(())
    }

    /// A text with a style, a mention of another side, and the preview of its link.
    fn styled(&mut self, by: usize, number: usize) -> Result<(String, Markup)> {
        let other = self.model.members().find(|side| *side != by).unwrap_or(by);
        let other = self.side(other)?;
        let (name, user) = (format!("@{}", other.name), other.client.user_id());
        let url = format!("https://trains.example/{number}");
        let text = format!("Fahrplanänderung! {name}: {url}");
        let range = |part: &str| {
            let start = text.find(part).unwrap_or_default();
            let small = |number: usize| u32::try_from(number).unwrap_or_default();
            TextRange { start: small(start), length: small(part.len()) }
        };
        let markup = Markup {
            styles: vec![StyledRange { range: range("Fahrplanänderung!"), style: TextStyle::Bold }],
            mentions: vec![Mention { range: range(&name), user }],
            preview: Some(Box::new(LinkPreview {
                url: url.clone(),
                title: format!("Timetable {number} has changed"),
                description: "The early train leaves nine minutes later.".to_owned(),
                thumbnail: vec![1; 200],
            })),
        };
        Ok((text, markup))
    }

    async fn forward(&mut self, by: usize, of: usize) -> Result<()> {
        let Some(expected) = self.model.entry(by, of).cloned() else { return Ok(()) };
        let (id, client) = (self.message(by, of).await?.id, self.side(by)?.client.clone());
        // An edit of it may still be on its way.
        let target = until("an edit", async || {
            let target = client.message(id).await?;
            let is_present = !matches!(&expected.body, Body::Text(text) if target.text() != Some(text));
            Ok(is_present.then_some(target))
        })
        .await?;
        let thread = self.thread(by).await?;
        let settled = Settled::listen(&self.side(by)?.client);
        let sent = thread.forward(target.id).await?;
        let place = settled.place(&thread, sent.id).await?;
        let Entry { body, mut markup, .. } = expected;
        // Those who are mentioned belong to the conversation from which it comes.
        markup.iter_mut().for_each(|markup| markup.mentions.clear());
        let entry = Entry { markup, is_forwarded: true, ..Entry::new(by, place, body) };
        self.model.push(Kind::Forward, entry);
        Ok(())
    }

    async fn change(&mut self, act: &Act, at: usize) -> Result<()> {
        let (by, kind) = (act.by, act.kind());
        let id = self.message(by, at).await?.id;
        let thread = self.thread(by).await?;
        match &act.deed {
            Deed::Edit(_) => {
                let text = format!("What message {} says is better said like this.", self.next_number());
                let text = format!("{text} ({})", self.model.done(kind));
                thread.edit(id, &text).await?;
                self.model.secrets.push(text.clone());
                self.model.change(kind, (by, at), |entry| {
                    if let Body::Text(present) = &mut entry.body {
                        entry.earlier.push(std::mem::replace(present, text.clone()));
                    }
                    entry.markup = None;
                });
            }
            Deed::React(_, emoji) => {
                thread.react(id, emoji).await?;
                self.model.change(kind, (by, at), |entry| {
                    entry.reactions.insert(by, (*emoji).to_owned());
                });
            }
            Deed::TakeReactionBack(_) => {
                thread.remove_reaction(id).await?;
                self.model.change(kind, (by, at), |entry| {
                    entry.reactions.remove(&by);
                });
            }
            Deed::Delete(_) => {
                thread.delete_for_everyone(id).await?;
                self.model.change(kind, (by, at), Entry::delete);
            }
            Deed::Vote(_, choices) => {
                thread.vote(id, choices.clone()).await?;
                self.model.change(kind, (by, at), |entry| {
                    entry.votes.remove(&by);
                    entry.votes.extend((!choices.is_empty()).then(|| (by, choices.clone())));
                });
            }
            Deed::Pin(_) => {
                thread.pin(id).await?;
                self.model.change(kind, (by, at), |entry| entry.is_pinned = true);
            }
            _ => {
                thread.unpin(id).await?;
                self.model.change(kind, (by, at), |entry| entry.is_pinned = false);
            }
        }
        Ok(())
    }

    /// Sets the timer, and waits until all sides have it, because it also applies to what the others say.
    async fn set_timer(&mut self, by: usize, seconds: u32, kind: Kind) -> Result<()> {
        self.model.timer_s = seconds;
        if self.model.is_group() {
            self.group(by).await?.set_timer(seconds).await?;
            self.model.count(kind);
        } else {
            let thread = self.thread(by).await?;
            thread.set_timer(seconds).await?;
            let place = until("the change of the timer", async || {
                let newest = thread.history(None).await?.messages.into_iter().next();
                let is_it = |message: &Message| message.body == MessageBody::TimerChanged { seconds };
                Ok(newest.filter(is_it).and_then(|message| message.server_seq))
            })
            .await?;
            self.model.push(kind, Entry::new(by, place, Body::Timer(seconds)));
        }
        for side in self.model.members().collect::<Vec<_>>() {
            let thread = self.thread(side).await?;
            until("the timer", async || Ok((thread.timer().await? == seconds).then_some(()))).await?;
        }
        Ok(())
    }

    /// Sends a message that is gone on all sides in the end.
    async fn say_for_a_second(&mut self, by: usize) -> Result<()> {
        let before = self.model.timer_s;
        self.set_timer(by, 1, Kind::Timer).await?;
        let text = format!("This one, number {}, is gone in a moment.", self.next_number());
        let thread = self.thread(by).await?;
        let settled = Settled::listen(&self.side(by)?.client);
        let sent = thread.send_text(&text).await?;
        let place = settled.place(&thread, sent.id).await?;
        for reader in self.model.members().filter(|side| *side != by).collect::<Vec<_>>() {
            let id = self.message_at(reader, place).await?.id;
            self.thread(reader).await?.mark_read(id).await?;
        }
        self.model.secrets.push(text);
        self.model.tell_profile(by);
        self.model.count(Kind::Disappearance);
        self.set_timer(by, before, Kind::Timer).await
    }

    /// Marks everything as read that this side has.
    pub(crate) async fn read_everything(&mut self, by: usize) -> Result<()> {
        let thread: Thread = self.thread(by).await?;
        match thread.history_of(None, 1).await?.messages.first() {
            Some(newest) => Ok(thread.mark_read(newest.id).await?),
            // Somebody who was just added.
            None if self.model.is_group() => Ok(()),
            None => Err(Failure::TimedOut("a message to read")),
        }
    }
}
