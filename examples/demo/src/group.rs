//! The group of more than two people: who is in it, and who comes and goes.

use sealpost_core::{Error, Group, GroupDetails, GroupPermissions};

use crate::run::{Failure, Result};
use crate::side::until;
use crate::stage::Stage;

/// Who creates the group, and adds and removes the others.
pub(crate) const FOUNDER: usize = 0;

impl Stage {
    /// The group, as a side has it.
    pub(crate) async fn group(&mut self, side: usize) -> Result<Group> {
        let id = self.group.ok_or(Failure::TimedOut("a group"))?;
        Ok(self.side(side)?.client.group(id).await?)
    }

    /// Creates the group with everybody except one, who comes later.
    pub(crate) async fn gather(&mut self, later: usize) -> Result<()> {
        let others = (0..self.sides.len()).filter(|side| ![FOUNDER, later].contains(side));
        let others: Vec<usize> = others.collect();
        let mut users = Vec::new();
        for side in &others {
            users.push(self.side(*side)?.client.user_id());
        }
        let title = self.model.title.clone().unwrap_or_default();
        let (details, permissions) =
            (GroupDetails { title, ..GroupDetails::default() }, GroupPermissions::default());
        let group = self.side(FOUNDER)?.client.create_group(details, permissions, &users).await?;
        self.group = Some(group.id());
        self.model.set_member(FOUNDER, true);
        for side in others {
            self.join(side).await?;
        }
        self.all_know_the_members().await
    }

    /// Somebody is invited, and accepts.
    pub(crate) async fn add(&mut self, side: usize) -> Result<()> {
        let user = self.side(side)?.client.user_id();
        self.group(FOUNDER).await?.invite(&[user]).await?;
        self.join(side).await?;
        self.all_know_the_members().await
    }

    /// Somebody is removed. They do not get what is said once the others know it.
    pub(crate) async fn remove(&mut self, side: usize) -> Result<()> {
        let user = self.side(side)?.client.user_id();
        self.group(FOUNDER).await?.remove(&[user]).await?;
        self.model.set_member(side, false);
        self.all_know_the_members().await
    }

    async fn join(&mut self, side: usize) -> Result<()> {
        let (id, client) = (self.group.ok_or(Failure::TimedOut("a group"))?, self.side(side)?.client.clone());
        let invitation = until("an invitation", async || {
            let group = match client.group(id).await {
                Err(Error::NotFound) => return Ok(None),
                group => group?,
            };
            Ok(group.invited().await?.contains(&client.user_id()).then_some(group))
        });
        let group = invitation.await?;
        group.accept().await?;
        let has_joined = || async {
            let mut members = group.members().await?.into_iter();
            Ok(members.any(|member| member.user == client.user_id()).then_some(()))
        };
        until("that an invitation is accepted", async || has_joined().await).await?;
        self.model.set_member(side, true);
        Ok(())
    }

    /// Waits until each member knows all of them.
    async fn all_know_the_members(&mut self) -> Result<()> {
        let members: Vec<usize> = self.model.members().collect();
        let mut expected = Vec::new();
        for side in &members {
            expected.push(self.side(*side)?.client.user_id());
        }
        expected.sort();
        for side in members {
            let (id, client) =
                (self.group.ok_or(Failure::TimedOut("a group"))?, self.side(side)?.client.clone());
            until("that all know the members of the group", async || {
                let group = match client.group(id).await {
                    Err(Error::NotFound) => return Ok(None),
                    group => group?,
                };
                let members = group.members().await?.into_iter().map(|member| member.user);
                Ok(members.eq(expected.iter().copied()).then_some(()))
            })
            .await?;
        }
        Ok(())
    }
}
