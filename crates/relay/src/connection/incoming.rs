//! Handles incoming frames: each is checked and passed on, and answered later.

use std::sync::atomic::Ordering;

use axum::extract::ws::Message as WsMessage;
use sealpost_wire::frame::Body;
use sealpost_wire::id::{InvalidId, ThreadId};
use sealpost_wire::limits::{MAX_CURSORS, close};
use sealpost_wire::{Ack, FRAME_VERSION, Frame, Hello, Mail, Ping, Pong, Send, Sync, ThreadCursor};

use super::gaps::TooMany;
use super::hello;
use super::pages::PAGE_ROWS;
use super::state::{Closing, Connection, Reply};
use crate::body::acknowledged;
use crate::limits::{Flooding, Wait};
use crate::mailing;
use crate::matrix;
use crate::problem::Problem;
use crate::sending;
use crate::store::{InboxKey, MailClass};

impl Connection<'_> {
    pub(super) fn on_message(
        &mut self,
        message: Option<Result<WsMessage, axum::Error>>,
    ) -> Result<(), Closing> {
        self.last_received = self.state.clock.monotonic();
        match message {
            Some(Ok(WsMessage::Binary(bytes))) => match sealpost_wire::decode(bytes) {
                Ok(frame) => self.on_frame(frame),
                Err(_) => self.bad_frame(),
            },
            Some(Ok(WsMessage::Text(_))) => self.bad_frame(),
            Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_))) => self.control(),
            Some(Ok(WsMessage::Close(_))) | None => Err(Closing::Gone),
            Some(Err(error)) => Err(hello::read_error(&error)),
        }
    }

    fn on_frame(&mut self, frame: Frame) -> Result<(), Closing> {
        let Frame { v, id, body } = frame;
        if v != FRAME_VERSION {
            return Err(Closing::Because(close::SCHEMA));
        }
        let frames = &self.state.metrics.frames;
        match body.as_ref().and_then(matrix::Frame::of) {
            Some(matrix::Frame::Send) => frames.send.count(),
            Some(matrix::Frame::Ack | matrix::Frame::AckMail) => frames.ack.count(),
            Some(matrix::Frame::Mail) => frames.mail.count(),
            Some(
                matrix::Frame::Hello | matrix::Frame::Sync | matrix::Frame::Ping | matrix::Frame::Credit,
            ) => {
                frames.other.count();
                self.control()?;
            }
            None => return self.bad_frame(),
        }
        match body {
            Some(Body::Send(send)) => self.on_send(id, &send),
            Some(Body::Ack(ack)) => self.on_ack(id, &ack),
            Some(Body::AckMail(ack)) => self.on_ack_mail(id, ack),
            Some(Body::Mail(mail)) => self.on_mail(id, &mail),
            Some(Body::Hello(hello)) => self.on_hello(id, &hello),
            Some(Body::Sync(sync)) => self.on_sync(id, &sync),
            Some(Body::Ping(Ping { t })) => {
                let server_time_ms = self.state.clock.unix_ms();
                let store_version = self.state.signer.store_version(&self.state.store.version());
                self.push(id, Body::Pong(Pong { t, server_time_ms, store_version }));
                Ok(())
            }
            Some(Body::Credit(credit)) => {
                self.window.grant(credit.more);
                Ok(())
            }
            _ => self.bad_frame(),
        }
    }

    fn on_send(&mut self, id: u64, send: &Send) -> Result<(), Closing> {
        let began = self.state.clock.monotonic();
        let (state, sender) = (self.state, self.access.address);
        // The device sends on a newer connection. This one is closed, so that a second process of the device that still
        // uses it can reconnect and send.
        if self.subscription.superseded().load(Ordering::SeqCst) {
            return Err(Closing::Because(close::CONNECTED_ELSEWHERE));
        }
        if !std::mem::replace(&mut self.sends, true) {
            self.subscription.supersede_older();
        }
        // A send without a valid thread id is refused for that reason.
        let lane = ThreadId::from_slice(&send.thread_id).ok();
        let turn = lane.map(|lane| match send.lookup {
            true => self.order.lookup(lane),
            false => self.order.turn(lane, send.resume),
        });
        let charged = self.pay(|| sending::charge(state, sender, send))?;
        let sending = charged.and_then(|charged| sending::submit(state, sender, send, turn, charged));
        self.replies.push_back(Box::pin(async move {
            let outcome = match sending {
                Ok(sending) => sending.await,
                Err(problem) => Err(problem),
            };
            Reply::Sent { id, lane, began, outcome }
        }));
        Ok(())
    }

    /// Mail has no order, so it needs no turn and may be sent on any connection of the device.
    fn on_mail(&mut self, id: u64, mail: &Mail) -> Result<(), Closing> {
        let (state, sender) = (self.state, self.access.address);
        let charged = self.pay(|| mailing::charge(state, sender, mail))?;
        let mailing = charged.and_then(|charged| mailing::submit(state, sender, mail, charged));
        self.replies.push_back(Box::pin(async move {
            let outcome = match mailing {
                Ok(mailing) => mailing.await,
                Err(problem) => Err(problem),
            };
            Reply::Mailed { id, outcome }
        }));
        Ok(())
    }

    fn on_ack(&mut self, id: u64, ack: &Ack) -> Result<(), Closing> {
        let (state, device, now) = (self.state, self.access.address, self.last_received);
        let charged = self.pay(|| Ok(state.limiter.acknowledge(device, ack.keys.len(), now)?))?;
        let keys = match charged.and_then(|_| acknowledged(ack)) {
            Ok(keys) => keys,
            // Reported even if no answer was requested, because these rows have to be acknowledged again.
            Err(problem) => {
                self.push(id, Body::Error(problem.to_wire()));
                return Ok(());
            }
        };
        let removed = self.state.store.inbox_ack(self.access.address, keys.clone());
        let reported =
            (ack.trimmed > 0).then(|| self.state.store.mark_reported(self.access.address, ack.trimmed));
        self.replies.push_back(Box::pin(async move {
            let outcome = removed.await;
            let outcome = match reported {
                Some(reported) => reported.await.and(outcome),
                None => outcome,
            };
            Reply::Acknowledged { id, keys, outcome }
        }));
        Ok(())
    }

    /// A new token for the same device, on the same socket.
    fn on_hello(&mut self, id: u64, hello: &Hello) -> Result<(), Closing> {
        let revocations_seen = self.state.store.revocations().mark();
        let authenticated = self.state.authenticate(&hello.access_token);
        self.replies.push_back(Box::pin(async move {
            let outcome = authenticated.await;
            Reply::Renewed { id, revocations_seen, outcome }
        }));
        Ok(())
    }

    fn on_sync(&mut self, id: u64, sync: &Sync) -> Result<(), Closing> {
        if sync.threads.len() > MAX_CURSORS {
            self.push(id, Body::Error(Problem::Malformed.to_wire()));
            return Ok(());
        }
        let cursor = |cursor: &ThreadCursor| {
            let thread = ThreadId::from_slice(&cursor.thread_id)?;
            Ok((InboxKey { thread, server_seq: cursor.after_seq }, cursor.limit.clamp(1, PAGE_ROWS)))
        };
        let cursors: Result<Vec<_>, InvalidId> = sync.threads.iter().map(cursor).collect();
        let Ok(cursors) = cursors else {
            self.push(id, Body::Error(Problem::Malformed.to_wire()));
            return Ok(());
        };
        if !cursors.is_empty() {
            self.gaps.ask(id, cursors).map_err(|TooMany| Closing::Because(close::FLOODING))?;
        }
        if sync.inbox {
            MailClass::ALL.into_iter().for_each(|class| self.mail.wake(class));
            self.feed.ask();
        }
        Ok(())
    }

    /// Charges a frame that is cheap and not covered by another limit.
    fn control(&mut self) -> Result<(), Closing> {
        let flooding = |Flooding| Closing::Because(close::FLOODING);
        self.limits.control(&self.state.limiter, self.last_received).map_err(flooding)
    }

    /// Charges a frame that is expensive for the store. A client above a limit is not read from for a while, and
    /// nothing is buffered for it. The outer error means that it was refused too often.
    pub(super) fn pay(
        &mut self,
        charge: impl FnOnce() -> Result<Wait, Problem>,
    ) -> Result<Result<Wait, Problem>, Closing> {
        let limiter = &self.state.limiter;
        let frame = limiter.frame(self.access.address, self.last_received);
        let charged = frame.map_err(Problem::from).and_then(|wait| Ok(wait.max(charge()?)));
        match &charged {
            Ok(Wait(rest)) if rest.is_zero() => {}
            Ok(Wait(rest)) => self.pause = Some(Box::pin(tokio::time::sleep(*rest))),
            Err(_) => self
                .limits
                .refused(limiter, self.last_received)
                .map_err(|Flooding| Closing::Because(close::FLOODING))?,
        }
        Ok(charged)
    }

    fn bad_frame(&self) -> Result<(), Closing> {
        self.state.metrics.frames.bad.count();
        Err(Closing::Because(close::BAD_FRAME))
    }
}
