//! What a person does with groups, for the screen and for the line mode.

use std::collections::BTreeSet;
use std::fmt;

use sealpost_core::{
    Client, Error, Event, Group, GroupDetails, GroupMember, GroupPermissions, MAX_GROUP_TITLE, ThreadId,
    ThreadKind, UserId,
};

use crate::commands::Command;
use crate::home::Home;

/// The names of so many members stand for a title.
const NAMES: usize = 3;

/// What a person changes in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InGroup {
    Invite(Vec<String>),
    /// Members and those who are invited.
    Remove(Vec<String>),
    /// Or declines the invitation.
    Leave,
    Admin {
        name: String,
        is_admin: bool,
    },
    Title(String),
    Allow {
        what: Permission,
        to_members: bool,
    },
    Dissolve,
}

/// What members may do, or admins only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    Write,
    Invite,
    Details,
}

/// A title and names: `/group Climbing ada ben`, or `/group Early train | ada ben`.
pub(crate) fn new_group(form: &str) -> Result<(String, Vec<String>), &'static str> {
    let (title, people) =
        form.split_once('|').or_else(|| form.split_once(char::is_whitespace)).unwrap_or((form, ""));
    let (title, people) = (title.trim(), names(people));
    if title.is_empty() || people.is_empty() {
        return Err(
            "a group needs a title and people: /group Climbing ada ben, or /group Early train | ada ben",
        );
    }
    fits(title)?;
    Ok((title.to_owned(), people))
}

fn names(form: &str) -> Vec<String> {
    let words = form.split(|c: char| c.is_whitespace() || c == ',');
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn fits(title: &str) -> Result<(), &'static str> {
    if title.len() > MAX_GROUP_TITLE { Err("the title is too long") } else { Ok(()) }
}

/// What a command about a group asks for. `None` if it is about something else.
pub(crate) fn read(command: &Command) -> Option<Result<InGroup, &'static str>> {
    let people = |form: &str, missing| match names(form) {
        people if people.is_empty() => Err(missing),
        people => Ok(people),
    };
    let admin = |form: &str, is_admin| match names(form).as_slice() {
        [name] => Ok(InGroup::Admin { name: name.clone(), is_admin }),
        _ => Err("/admin and /unadmin need the name of one member"),
    };
    Some(match command {
        Command::Invite(form) => people(form, "/invite needs names or user ids").map(InGroup::Invite),
        Command::Remove(form) => people(form, "/remove needs names or user ids").map(InGroup::Remove),
        Command::Leave => Ok(InGroup::Leave),
        Command::Admin(form) => admin(form, true),
        Command::Unadmin(form) => admin(form, false),
        Command::Title(title) if title.is_empty() => Err("/title needs a title"),
        Command::Title(title) => fits(title).map(|()| InGroup::Title(title.clone())),
        Command::Allow(form) => allow(form),
        Command::Dissolve => Ok(InGroup::Dissolve),
        _ => return None,
    })
}

fn allow(form: &str) -> Result<InGroup, &'static str> {
    let usage = "/allow write members, or admins; also invite, details";
    let [what, who] = names(form).try_into().map_err(|_| usage)?;
    let what = match what.as_str() {
        "write" => Permission::Write,
        "invite" => Permission::Invite,
        "details" => Permission::Details,
        _ => return Err(usage),
    };
    let to_members = match who.as_str() {
        "members" => true,
        "admins" => false,
        _ => return Err(usage),
    };
    Ok(InGroup::Allow { what, to_members })
}

/// Why nothing was changed.
#[derive(Debug)]
pub(crate) enum GroupProblem {
    Unknown(String),
    NotAGroup,
    NotAllowed,
    Client(Error),
}

impl From<Error> for GroupProblem {
    fn from(error: Error) -> Self {
        match error {
            Error::WrongState => Self::NotAllowed,
            error => Self::Client(error),
        }
    }
}

impl fmt::Display for GroupProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "{name} is neither a name on this machine nor a user id"),
            Self::NotAGroup => f.write_str("this chat is no group: /group TITLE NAMES creates one"),
            Self::NotAllowed => {
                f.write_str("you may not do that, or it is so already: /members tells who may what")
            }
            Self::Client(error) => error.fmt(f),
        }
    }
}

fn users(home: &Home, names: &[String]) -> Result<Vec<UserId>, GroupProblem> {
    let user = |name: &String| home.user(name).ok_or_else(|| GroupProblem::Unknown(name.clone()));
    names.iter().map(user).collect()
}

/// The group of a chat.
pub(crate) async fn group(client: &Client, thread: ThreadId) -> Result<Group, GroupProblem> {
    match client.group(thread).await {
        Err(Error::NotFound) => Err(GroupProblem::NotAGroup),
        group => Ok(group?),
    }
}

pub(crate) async fn create(
    client: &Client,
    home: &Home,
    (title, people): (String, &[String]),
) -> Result<ThreadId, GroupProblem> {
    let details = GroupDetails { title, ..GroupDetails::default() };
    let invited = users(home, people)?;
    Ok(client.create_group(details, GroupPermissions::default(), &invited).await?.id())
}

/// Makes the change, and says in plain words what happens now.
pub(crate) async fn change(
    client: &Client,
    home: &Home,
    (thread, change): (ThreadId, InGroup),
) -> Result<String, GroupProblem> {
    let group = group(client, thread).await?;
    Ok(match change {
        InGroup::Invite(names) => {
            group.invite(&users(home, &names)?).await?;
            format!("invited: {}", names.join(", "))
        }
        InGroup::Remove(names) => {
            let invited = group.invited().await?;
            let (invited, members): (Vec<_>, Vec<_>) =
                users(home, &names)?.into_iter().partition(|user| invited.contains(user));
            if !invited.is_empty() {
                group.withdraw(&invited).await?;
            }
            if !members.is_empty() {
                group.remove(&members).await?;
            }
            format!("removed: {}; they read nothing that is written from now on", names.join(", "))
        }
        InGroup::Leave if group.invited().await?.contains(&client.user_id()) => {
            group.withdraw(&[client.user_id()]).await?;
            "you have declined the invitation".to_owned()
        }
        InGroup::Leave => {
            group.leave().await?;
            "you leave the group".to_owned()
        }
        InGroup::Admin { name, is_admin } => {
            let [user] = users(home, std::slice::from_ref(&name))?.try_into().map_err(|_| Error::NotFound)?;
            group.set_admin(user, is_admin).await?;
            if is_admin {
                format!("{name} becomes an admin")
            } else {
                format!("{name} is no longer an admin")
            }
        }
        InGroup::Title(title) => {
            let about = group.details().await?.map(|details| details.about).unwrap_or_default();
            group.set_details(&GroupDetails { title: title.clone(), about }).await?;
            format!("the group is called {title}")
        }
        InGroup::Allow { what, to_members } => {
            let mut permissions = group.permissions().await?;
            let (of, words) = match what {
                Permission::Write => (&mut permissions.members_write, "write"),
                Permission::Invite => (&mut permissions.members_invite, "invite people"),
                Permission::Details => (&mut permissions.members_change_details, "change title and timer"),
            };
            *of = to_members;
            group.set_permissions(permissions).await?;
            format!("{words}: {}", who(to_members))
        }
        InGroup::Dissolve => {
            group.dissolve().await?;
            "the group ends for everybody; what was written stays".to_owned()
        }
    })
}

const fn who(members: bool) -> &'static str {
    if members { "all members" } else { "admins only" }
}

/// Who is in a group and who may what.
pub(crate) struct Overview {
    members: Vec<GroupMember>,
    invited: Vec<UserId>,
    permissions: GroupPermissions,
    is_dissolved: bool,
}

impl Overview {
    pub(crate) async fn of(client: &Client, thread: ThreadId) -> Result<Self, GroupProblem> {
        let group = group(client, thread).await?;
        Ok(Self {
            members: group.members().await?,
            invited: group.invited().await?,
            permissions: group.permissions().await?,
            is_dissolved: group.is_dissolved().await?,
        })
    }

    pub(crate) fn lines(&self, name: impl Fn(UserId) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        if self.is_dissolved {
            lines.push("The group was dissolved.".to_owned());
        }
        for member in &self.members {
            let role = if member.is_admin { ", admin" } else { "" };
            lines.push(format!("{}{role}", name(member.user)));
        }
        lines.extend(self.invited.iter().map(|user| format!("{}, invited", name(*user))));
        let GroupPermissions { members_write, members_invite, members_change_details, .. } = self.permissions;
        lines.push(format!(
            "Write: {}. Invite people: {}. Change title and timer: {}.",
            who(members_write),
            who(members_invite),
            who(members_change_details)
        ));
        lines
    }
}

/// What a group is called.
pub(crate) enum Called {
    Title(String),
    /// It has no title, or this device does not know it yet. The other members.
    With(Vec<UserId>),
}

impl Called {
    /// `None` if the chat is no group.
    pub(crate) async fn of(client: &Client, thread: ThreadId) -> Result<Option<Self>, Error> {
        let group = match client.group(thread).await {
            Err(Error::NotFound) => return Ok(None),
            group => group?,
        };
        if let Some(details) = group.details().await?.filter(|details| !details.title.is_empty()) {
            return Ok(Some(Self::Title(details.title)));
        }
        let members = group.members().await?.into_iter().map(|member| member.user);
        Ok(Some(Self::With(members.filter(|user| *user != client.user_id()).collect())))
    }

    pub(crate) fn in_words(&self, name: impl Fn(UserId) -> String) -> String {
        match self {
            Self::Title(title) => title.clone(),
            Self::With(members) => {
                let names: Vec<String> = members.iter().take(NAMES).map(|user| name(*user)).collect();
                let more = if members.len() > NAMES { ", …" } else { "" };
                format!("Group with {}{more}", names.join(", "))
            }
        }
    }
}

/// Accepts the invitation to a group. Returns false if there is none.
pub(crate) async fn accept(client: &Client, thread: ThreadId) -> Result<bool, Error> {
    let group = match client.group(thread).await {
        Err(Error::NotFound) => return Ok(false),
        group => group?,
    };
    if !group.invited().await?.contains(&client.user_id()) {
        return Ok(false);
    }
    group.accept().await.map(|()| true)
}

/// Sets the timer, which in a group is a part of the roster.
pub(crate) async fn set_timer(client: &Client, thread: ThreadId, seconds: u32) -> Result<(), Error> {
    let handle = client.thread(thread).await?;
    match handle.kind().await? {
        ThreadKind::Group => client.group(thread).await?.set_timer(seconds).await,
        _ => handle.set_timer(seconds).await,
    }
}

/// What is wrong with a group, in plain words.
pub(crate) const fn warning(event: &Event) -> Option<&'static str> {
    match event {
        Event::GroupChangeFailed(_) => {
            Some("a change of the group was not made: somebody has changed it before, or it is not allowed")
        }
        Event::EntryRefused { .. } => {
            Some("somebody has signed a change of a group that they may not make; it has no effect")
        }
        Event::RosterContradicted(_) => {
            Some("the relay has shown two member lists of a group: nothing is sent in it")
        }
        _ => None,
    }
}

/// Who is in a group, to tell what has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct People {
    members: BTreeSet<UserId>,
    admins: BTreeSet<UserId>,
    is_dissolved: bool,
}

impl People {
    pub(crate) async fn of(client: &Client, thread: ThreadId) -> Result<Self, Error> {
        let group = match client.group(thread).await {
            Err(Error::NotFound) => return Ok(Self::default()),
            group => group?,
        };
        let members = group.members().await?;
        Ok(Self {
            admins: members.iter().filter(|member| member.is_admin).map(|member| member.user).collect(),
            members: members.into_iter().map(|member| member.user).collect(),
            is_dissolved: group.is_dissolved().await?,
        })
    }

    /// What is different now, a line for each person.
    pub(crate) fn changes(&self, now: &Self, name: impl Fn(UserId) -> String) -> Vec<String> {
        let of = |users: Vec<&UserId>, what: &str| -> Vec<String> {
            users.into_iter().map(|user| format!("{}: {what}", name(*user))).collect()
        };
        let mut lines = of(now.members.difference(&self.members).collect(), "now a member");
        lines.extend(of(self.members.difference(&now.members).collect(), "no longer a member"));
        // Roles of those who were there before.
        let stayed = |user: &&UserId| self.members.contains(user) && now.members.contains(user);
        lines.extend(of(now.admins.difference(&self.admins).filter(stayed).collect(), "now an admin"));
        lines.extend(of(self.admins.difference(&now.admins).filter(stayed).collect(), "no longer an admin"));
        if now.is_dissolved && !self.is_dissolved {
            lines.push("the group was dissolved".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<InGroup, &'static str> {
        match crate::commands::read(line) {
            crate::commands::Line::Command(command) => read(&command).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_group_has_a_title_and_people() {
        let of = |people: &[&str]| people.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(new_group("Climbing ada, ben"), Ok(("Climbing".to_owned(), of(&["ada", "ben"]))));
        assert_eq!(new_group("Early train | ada"), Ok(("Early train".to_owned(), of(&["ada"]))));
        for wrong in ["", "Climbing", "| ada", "Early train |"] {
            assert!(new_group(wrong).is_err(), "{wrong}");
        }
        assert!(new_group(&format!("{} ada", "x".repeat(MAX_GROUP_TITLE + 1))).is_err());
    }

    #[test]
    fn commands_say_what_is_changed() {
        let ada = || vec!["ada".to_owned()];
        assert_eq!(asked("/invite ada"), Ok(InGroup::Invite(ada())));
        assert_eq!(asked("/remove ada"), Ok(InGroup::Remove(ada())));
        let admin = |is_admin| Ok(InGroup::Admin { name: "ada".to_owned(), is_admin });
        assert_eq!((asked("/admin ada"), asked("/unadmin ada")), (admin(true), admin(false)));
        let allow = InGroup::Allow { what: Permission::Invite, to_members: false };
        assert_eq!(asked("/allow invite admins"), Ok(allow));
        for wrong in
            ["/invite", "/remove", "/admin", "/admin ada ben", "/title", "/allow", "/allow write nobody"]
        {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_has_changed_among_people_is_told_once() {
        let user = |n: u8| UserId::from_bytes([n; 16]);
        let of = |members: &[u8], admins: &[u8]| People {
            members: members.iter().map(|n| user(*n)).collect(),
            admins: admins.iter().map(|n| user(*n)).collect(),
            is_dissolved: false,
        };
        let name = |user: UserId| user.as_bytes()[0].to_string();
        let changes = of(&[1, 2], &[1]).changes(&of(&[2, 3], &[2, 3]), name);
        assert_eq!(changes, ["3: now a member", "1: no longer a member", "2: now an admin"]);
        assert!(of(&[1], &[1]).changes(&of(&[1], &[1]), name).is_empty());
    }
}
