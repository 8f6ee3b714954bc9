//! The rules: what an entry may change, by whom.

use super::author_list::AuthorList;
use super::change::{Change, Create, NewSecret};
use super::draft::Draft;
use super::effect::Effect;
use super::entry::{Author, Entry, UnsignedEntry};
use super::membership::Roster;
use super::refusal::{ChainError, Refusal};
use super::state::{Member, State};
use super::value::{Permissions, Role, Who};
use crate::id::UserId;

impl Roster {
    /// The roster that the first entry of a group makes.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn create(entry: &Entry) -> Result<(Self, Effect), Refusal> {
        let UnsignedEntry { author, list: Some(list), change: Change::Create(create), .. } = entry.content()
        else {
            return Err(ChainError::Version.into());
        };
        let nobody = Self::from_rows(State::first(entry, create), [], []);
        let mut draft = Draft { before: &nobody, effect: Effect::of(nobody.state.clone()) };
        draft.admit(*author, list, Role::Admin)?;
        draft.invite(author.user, &create.invited)?;
        let effect = draft.effect;
        Ok((nobody.take(&effect), effect))
    }

    /// What the next entry changes, if its author may change it. Signatures, the proof of a link, and whether a list is what it seems to
    /// be, are not part of this.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn judge(&self, entry: &Entry) -> Result<Effect, Refusal> {
        self.check_chain(entry)?;
        if self.state.is_dissolved {
            return Err(Refusal::Dissolved);
        }
        let UnsignedEntry { author, list, change, .. } = entry.content();
        let mut draft = Draft { before: self, effect: Effect::of(self.state.after(entry)) };
        match change {
            Change::Create(_) => return Err(ChainError::Version.into()),
            Change::Unknown { .. } => return Err(Refusal::UnknownKind),
            Change::Accept => draft.accept(*author, list.as_ref())?,
            Change::Join { .. } => draft.join(*author, list.as_ref())?,
            Change::Withdraw(users) => draft.withdraw(*author, list.as_ref(), users)?,
            Change::Devices { is_removal } => draft.devices(*author, list.as_ref(), *is_removal)?,
            change => {
                let member = draft.author(*author, list.as_ref())?;
                draft.by_member(author.user, member, change)?;
            }
        }
        Ok(draft.effect)
    }
}

impl State {
    fn first(entry: &Entry, create: &Create) -> Self {
        Self {
            thread: entry.thread(),
            version: 1,
            head: *entry.hash(),
            permissions: create.permissions,
            link: None,
            timer_s: create.timer_s,
            commitment: create.secret.commitment,
            secret_version: 1,
            removal_version: 0,
            floor: 0,
            details_version: 1,
            is_dissolved: false,
            unknown_since: 0,
        }
    }
}

impl Draft<'_> {
    fn accept(&mut self, author: Author, list: Option<&AuthorList>) -> Result<(), Refusal> {
        if self.member(author.user).is_ok() {
            return Err(Refusal::AlreadyMember);
        }
        let invited = self.before.invitation(author.user).ok_or(Refusal::NotInvited)?;
        let list = list.filter(|list| list.is_of(invited.account_key)).ok_or(Refusal::List)?;
        self.admit(author, list, Role::Member)
    }

    fn join(&mut self, author: Author, list: Option<&AuthorList>) -> Result<(), Refusal> {
        if self.before.state.link.is_none() {
            return Err(Refusal::NoLink);
        }
        self.admit(author, list.ok_or(Refusal::List)?, Role::Member)
    }

    fn withdraw(
        &mut self,
        author: Author,
        list: Option<&AuthorList>,
        users: &[UserId],
    ) -> Result<(), Refusal> {
        let role = match self.before.invitation(author.user) {
            Some(invited) => {
                // Whoever declines is no member, so the entry says nothing about their devices that would be kept.
                let list = list.filter(|list| list.is_of(invited.account_key)).ok_or(Refusal::List)?;
                if !list.devices().contains(author.device) {
                    return Err(Refusal::Device);
                }
                None
            }
            None => Some(self.author(author, list)?.role),
        };
        for user in users {
            let invited = self.before.invitation(*user).ok_or(Refusal::NotInvited)?;
            let is_own = match role {
                None => *user == author.user,
                Some(role) => role == Role::Admin || invited.by == author.user,
            };
            if !is_own {
                return Err(Refusal::NotAllowed);
            }
            self.effect.invited.insert(*user, None);
        }
        Ok(())
    }

    /// The author as a member, whose newest list this is.
    fn author(&mut self, author: Author, list: Option<&AuthorList>) -> Result<Member, Refusal> {
        let mut member = self.member(author.user)?;
        if let Some(list) = list {
            if list.account_key() != member.account_key || list.version() < member.list_version {
                return Err(Refusal::List);
            }
            if !list.devices().contains_all(member.devices) {
                return Err(Refusal::DeviceGone);
            }
            member = Member { list_version: list.version(), devices: list.devices(), ..member };
            self.set(author.user, member);
        }
        if !member.devices.contains(author.device) {
            return Err(Refusal::Device);
        }
        Ok(member)
    }

    fn devices(
        &mut self,
        author: Author,
        list: Option<&AuthorList>,
        is_removal: bool,
    ) -> Result<(), Refusal> {
        let member = self.member(author.user)?;
        let list = list.filter(|list| list.is_of(member.account_key)).ok_or(Refusal::List)?;
        if list.version() < member.list_version {
            return Err(Refusal::List);
        }
        if list.version() == member.list_version {
            return Err(Refusal::NoChange);
        }
        if !list.devices().contains(author.device) {
            return Err(Refusal::Device);
        }
        let is_gone =
            list.account_key() != member.account_key || !list.devices().contains_all(member.devices);
        if is_gone != is_removal {
            return Err(Refusal::DeviceGone);
        }
        let member = Member {
            account_key: list.account_key(),
            list_version: list.version(),
            devices: list.devices(),
            ..member
        };
        self.set(author.user, member);
        if is_removal {
            self.took_away();
        }
        Ok(())
    }

    /// A change that only members can make.
    fn by_member(&mut self, author: UserId, member: Member, change: &Change) -> Result<(), Refusal> {
        let allowed = |who: Who| if who.includes(member.role) { Ok(()) } else { Err(Refusal::NotAllowed) };
        let permissions = self.before.state.permissions;
        match change {
            Change::Invite(invited) => {
                allowed(permissions.add)?;
                self.invite(author, invited)
            }
            Change::Remove { users, secret } => {
                allowed(Who::Admins)?;
                self.remove(author, users, secret)
            }
            Change::Leave => self.leave(author, member),
            Change::Role { user, role } => {
                allowed(Who::Admins)?;
                self.role(author, *user, *role)
            }
            Change::Details(_) => {
                allowed(permissions.details)?;
                self.effect.state.details_version = self.version();
                Ok(())
            }
            Change::Permissions(new) => {
                allowed(Who::Admins)?;
                self.permissions(*new)
            }
            Change::Timer(seconds) => {
                allowed(permissions.details)?;
                replaced(&mut self.effect.state.timer_s, *seconds)
            }
            Change::Link(link) => {
                allowed(Who::Admins)?;
                replaced(&mut self.effect.state.link, *link)
            }
            Change::Rekey(secret) => {
                if !self.before.state.is_secret_stale() {
                    return Err(Refusal::SecretIsCurrent);
                }
                self.new_secret(secret);
                Ok(())
            }
            Change::RekeyMember(person) => {
                allowed(Who::Admins)?;
                let known = self.member(person.user)?;
                if person.user == author {
                    return Err(Refusal::Oneself);
                }
                if person.account_key == known.account_key {
                    return Err(Refusal::NoChange);
                }
                let member = Member {
                    account_key: person.account_key,
                    list_version: 0,
                    devices: Default::default(),
                    ..known
                };
                self.set(person.user, member);
                self.effect.state.link = None;
                self.took_away();
                Ok(())
            }
            Change::Dissolve => {
                allowed(Who::Admins)?;
                self.dissolve();
                Ok(())
            }
            // The caller has handled the others.
            _ => Err(Refusal::UnknownKind),
        }
    }

    fn remove(&mut self, author: UserId, users: &[UserId], secret: &NewSecret) -> Result<(), Refusal> {
        if users.contains(&author) {
            return Err(Refusal::Oneself);
        }
        users.iter().try_for_each(|user| self.dismiss(*user))?;
        // Those who were removed know it.
        self.effect.state.link = None;
        self.new_secret(secret);
        Ok(())
    }

    fn leave(&mut self, author: UserId, member: Member) -> Result<(), Refusal> {
        let is_last = self.before.members.len() == 1;
        if member.role == Role::Admin && self.admins_before() == 1 && !is_last {
            return Err(Refusal::LastAdmin);
        }
        self.dismiss(author)?;
        if is_last {
            self.dissolve();
        }
        Ok(())
    }

    fn role(&mut self, author: UserId, user: UserId, role: Role) -> Result<(), Refusal> {
        let member = self.member(user)?;
        if member.role == role {
            return Err(Refusal::NoChange);
        }
        if role == Role::Member {
            if user == author && self.admins_before() == 1 {
                return Err(Refusal::LastAdmin);
            }
            self.raise_floor();
        }
        self.set(user, Member { role, ..member });
        Ok(())
    }

    fn permissions(&mut self, new: Permissions) -> Result<(), Refusal> {
        let old = self.before.state.permissions;
        if (old.write, new.write) == (Who::Members, Who::Admins) {
            self.raise_floor();
        }
        replaced(&mut self.effect.state.permissions, new)
    }

    fn new_secret(&mut self, secret: &NewSecret) {
        let version = self.version();
        self.effect.state.commitment = secret.commitment;
        self.effect.state.secret_version = version;
        self.effect.state.details_version = version;
    }

    /// Nothing can be written any more, and nobody can come. The members remain, because they have the history.
    fn dissolve(&mut self) {
        self.effect.state.is_dissolved = true;
        self.effect.state.link = None;
        let invited: Vec<UserId> = self.before.invited.keys().copied().collect();
        self.effect.invited.extend(invited.into_iter().map(|user| (user, None)));
        self.took_away();
    }
}

fn replaced<T: PartialEq>(place: &mut T, new: T) -> Result<(), Refusal> {
    if *place == new {
        return Err(Refusal::NoChange);
    }
    *place = new;
    Ok(())
}
