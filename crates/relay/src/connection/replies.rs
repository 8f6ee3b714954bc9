//! Handles answers from the store to earlier frames.

use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::limits::close;
use sealpost_wire::{AckOk, KeysLow};

use super::hello;
use super::state::{Closing, Connection, Reply, store_failed};
use super::window::Pushed;
use crate::fault::{self, Station};
use crate::keys::are_low;
use crate::problem::Problem;
use crate::sending::Sent;
use crate::store::{RevocationMark, TooManyStopped};
use crate::tokens::Access;

impl Connection<'_> {
    pub(super) fn on_reply(&mut self, reply: Reply) -> Result<(), Closing> {
        match reply {
            Reply::Sent { id, lane, began, outcome } => {
                self.answer_send(id, began, outcome);
                let answered = lane.map_or(Ok(()), |lane| self.order.answered(lane));
                answered.map_err(|TooManyStopped| Closing::Because(close::FLOODING))
            }
            Reply::Mailed { id, outcome } => {
                self.answer_mail(id, outcome);
                Ok(())
            }
            Reply::Acknowledged { id, keys, outcome: Ok(removed) } => {
                fault::at(Station::AckAfterCommit);
                self.window.acknowledge(keys);
                self.answer(id, Body::AckOk(AckOk { removed }));
                Ok(())
            }
            Reply::MailAcknowledged { id, seqs, outcome: Ok(removed) } => {
                self.window.acknowledge(seqs.into_iter().map(Pushed::Mail));
                self.answer(id, Body::AckOk(AckOk { removed }));
                Ok(())
            }
            Reply::Acknowledged { id, outcome: Err(error), .. }
            | Reply::MailAcknowledged { id, outcome: Err(error), .. } => {
                self.answer(id, Body::Error(Problem::from(error).to_wire()));
                Ok(())
            }
            Reply::Renewed { id, revocations_seen, outcome } => self.renew(id, revocations_seen, outcome),
            Reply::Trimmed(trimmed) => {
                self.report_trimmed(trimmed.map_err(store_failed)?);
                Ok(())
            }
            Reply::Live { family, outcome } => {
                let over = !outcome.map_err(store_failed)? && family == self.access.family;
                if over { Err(Closing::Because(close::UNAUTHORIZED)) } else { Ok(()) }
            }
            Reply::KeysLeft(left) => {
                let left = left.map_err(store_failed)?;
                if are_low(left) {
                    self.push(0, Body::KeysLow(KeysLow { ec_left: left.ec, kem_left: left.kem }));
                }
                Ok(())
            }
        }
    }

    fn answer_send(&mut self, id: u64, began: Duration, outcome: Result<Sent, Problem>) {
        match outcome {
            Ok(sent) => {
                self.answer(id, Body::SendAck(sent.ack()));
                self.write_queue.ack = true;
                sent.wake(self.state);
                let took = self.state.clock.monotonic().saturating_sub(began);
                self.state.metrics.send_ack.socket.observe(took);
            }
            Err(problem) => self.answer(id, Body::Error(problem.to_wire())),
        }
    }

    fn answer_mail(&mut self, id: u64, outcome: Result<Sent, Problem>) {
        match outcome {
            Ok(sent) => {
                sent.wake(self.state);
                self.answer(id, Body::SendAck(sent.ack()));
            }
            Err(problem) => self.answer(id, Body::Error(problem.to_wire())),
        }
    }

    fn renew(
        &mut self,
        id: u64,
        revocations_seen: RevocationMark,
        outcome: Result<Access, Problem>,
    ) -> Result<(), Closing> {
        match outcome {
            Ok(access) if access.address == self.access.address => {
                self.access = access;
                self.revocations_seen = revocations_seen;
                let welcome = hello::welcome(self.state, access, false, None);
                self.push(id, Body::Welcome(welcome));
                Ok(())
            }
            Ok(_) | Err(Problem::InvalidToken) => {
                self.push(id, Body::Error(Problem::InvalidToken.to_wire()));
                Err(Closing::Because(close::UNAUTHORIZED))
            }
            Err(problem) => {
                self.push(id, Body::Error(problem.to_wire()));
                Ok(())
            }
        }
    }
}
