//! The table of limits: what is counted, for whom, how much is allowed, and what happens above the limit.

use std::fmt;
use std::time::Duration;

use sealpost_wire::limits::{
    MAX_ACK_KEYS, MAX_CIPHERTEXT, MAX_COPIES, MAX_DEVICES, MAX_EPHEMERAL, MAX_EPHEMERAL_DEVICES, MAX_FRAME,
    MAX_GROUP, MAX_UPLOAD_KEYS, ROW_BYTES,
};

use super::bucket::Rate;

/// The limits by name, in the order of [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Sends and acknowledgements on the sockets of a device.
    Frames,
    /// HTTP requests of a device.
    Requests,
    /// Rows that a device acknowledges, whether they exist or not.
    AckRows,
    /// Bytes that a user sends.
    SendBytes,
    /// Bytes that a user delivers into the mailboxes of another user.
    PairBytes,
    /// The share of `PairBytes` that is accepted however much others deliver.
    ShareBytes,
    /// Bytes that are delivered into the mailboxes of a user, in threads that the user has accepted.
    RecipientBytes,
    /// Bytes of ephemeral mail that a user sends to another user.
    EphemeralBytes,
    /// The time of the store's writer that a user used.
    WriterTime,
    /// Rows that what a user posts in groups adds to mailboxes.
    FanoutRows,
    /// Devices that ephemeral mail of a group reaches.
    EphemeralDevices,
    /// Connections that a user opens.
    Connects,
    /// Direct threads that a user opens.
    Threads,
    /// Keys that a device uploads.
    KeyRows,
    /// Bundles that a user fetches, of any other user.
    Takes,
    /// Bundles that a user fetches, of fellow members of groups.
    GroupTakes,
    /// Bundles that one device fetches of one user.
    PreKeys,
    /// Bundles with one-time keys that anybody fetches of one user.
    PreKeysTarget,
    /// Connections from one network, and requests without a valid token.
    Unauthenticated,
    /// Accounts that are registered from one network.
    Registrations,
    /// Exchanges of refresh tokens from one network.
    Refreshes,
    /// Challenges, logins and restorations from one network.
    Logins,
    /// Links that are begun from one network, and devices that are linked from it.
    Links,
    /// What companions ask of their links, from one network.
    LinkPolls,
    /// Link tokens that a user takes.
    LinkTokens,
    /// Frames on one connection that no other limit covers.
    Controls,
    /// Frames on one connection that were refused by a limit.
    Refusals,
}

/// The number of limits.
pub(super) const COUNT: usize = 27;

impl Name {
    /// The index in the table.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// The unit of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Frames or requests.
    Requests,
    /// Rows of the store.
    Rows,
    /// Bytes.
    Bytes,
    /// Microseconds during which the writer worked for the requester.
    Micros,
}

/// What a bucket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A connection.
    Connection,
    /// A device.
    Device,
    /// A user, with all their devices.
    User,
    /// An IPv4 address, or an IPv6 network of 64 bits.
    Network,
    /// A requesting device, and the user whose data it requests.
    Pair,
    /// The user whose data is requested.
    Target,
    /// A user that sends, and the user that receives.
    SenderAndRecipient,
    /// The user that receives.
    Recipient,
    /// A group.
    Group,
}

/// What happens above a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// 429 with the time to wait.
    Refuse,
    /// The requester is delayed for at most this long; if that is not enough, 429.
    Slow(Duration),
    /// Bundles contain the last-resort key.
    LastResort,
    /// The connection is closed with 4429.
    Close,
    /// It is dropped, and nobody is told.
    Drop,
    /// The limit of the recipient applies to this sender too.
    Recipient,
}

/// What happens to a requester without a bucket when the maximum number of buckets is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The request is accepted, as if the bucket were full.
    Allow,
    /// The request is treated as above the limit, as if the bucket were empty.
    Refuse,
}

/// One row of the table.
#[derive(Debug)]
pub struct Limit {
    /// Its name.
    pub name: Name,
    /// Its name in the metrics and in the documentation.
    pub policy: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// What a bucket belongs to.
    pub scope: Scope,
    /// The size of a bucket, and its refill rate.
    pub rate: Rate,
    /// What happens above it.
    pub over: Over,
    /// What happens when the maximum number of buckets is in use.
    pub when_full: WhenFull,
    /// The largest single cost that an accepted frame or body can have. A bucket holds at least that much.
    pub most: u64,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The maximum number of bytes that a message delivers to one user: the rows of all their devices.
const MAX_INBOUND: usize = MAX_DEVICES as usize * (MAX_CIPHERTEXT + ROW_BYTES as usize);
/// The maximum number of rows of a post in a group.
const MAX_GROUP_DEVICES: usize = MAX_GROUP * MAX_DEVICES as usize;
/// The maximum number of bytes for which the sender of a message is charged: the frame, and the shared part for each further copy.
const MAX_SENT: usize = MAX_FRAME + (MAX_COPIES - 1) * MAX_CIPHERTEXT;

/// All limits, in the order of [`Name`].
pub const TABLE: [Limit; COUNT] = {
    use Name as N;
    use Over::{Close, LastResort, Refuse as Reject, Slow};
    use Scope::{Connection, Device, Network, Pair, SenderAndRecipient, Target, User};
    use Unit::{Bytes, Micros, Requests, Rows};
    use WhenFull::{Allow, Refuse};

    const fn row(
        name: N,
        policy: &'static str,
        (unit, scope): (Unit, Scope),
        rate: Rate,
        over: Over,
        when_full: WhenFull,
        most: usize,
    ) -> Limit {
        Limit { name, policy, unit, scope, rate, over, when_full, most: most as u64 }
    }
    [
        row(
            N::Frames,
            "frames",
            (Requests, Device),
            Rate::new(20_000, 4_000, SECOND),
            Slow(SECOND),
            Allow,
            1,
        ),
        row(
            N::Requests,
            "requests",
            (Requests, Device),
            Rate::new(2_000, 500, SECOND),
            Slow(SECOND),
            Allow,
            1,
        ),
        row(
            N::AckRows,
            "ack_rows",
            (Rows, Device),
            Rate::new(65_536, 10_000, SECOND),
            Slow(SECOND),
            Allow,
            MAX_ACK_KEYS,
        ),
        row(
            N::SendBytes,
            "send_bytes",
            (Bytes, User),
            Rate::new(64 << 20, 4 << 20, SECOND),
            Slow(SECOND),
            Allow,
            MAX_SENT,
        ),
        row(
            N::PairBytes,
            "pair_bytes",
            (Bytes, SenderAndRecipient),
            Rate::new(64 << 20, 256 << 10, SECOND),
            Slow(SECOND),
            Allow,
            MAX_INBOUND,
        ),
        row(
            N::ShareBytes,
            "share_bytes",
            (Bytes, SenderAndRecipient),
            Rate::new(1 << 20, 4 << 10, SECOND),
            Over::Recipient,
            Allow,
            MAX_INBOUND,
        ),
        row(
            N::RecipientBytes,
            "recipient_bytes",
            (Bytes, Scope::Recipient),
            Rate::new(128 << 20, 1 << 20, SECOND),
            Slow(SECOND),
            Allow,
            MAX_INBOUND,
        ),
        row(
            N::EphemeralBytes,
            "ephemeral_bytes",
            (Bytes, SenderAndRecipient),
            Rate::new(512 << 10, 32 << 10, SECOND),
            Reject,
            Allow,
            MAX_EPHEMERAL + ROW_BYTES as usize,
        ),
        row(
            N::WriterTime,
            "writer_time",
            (Micros, User),
            Rate::new(2_000_000, 250_000, SECOND),
            Slow(SECOND),
            Allow,
            0,
        ),
        row(
            N::FanoutRows,
            "fanout_rows",
            (Rows, User),
            Rate::new(120_000, 60_000, Duration::from_secs(60)),
            Slow(SECOND),
            Allow,
            MAX_GROUP_DEVICES,
        ),
        row(
            N::EphemeralDevices,
            "ephemeral_devices",
            (Rows, Scope::Group),
            Rate::new(MAX_EPHEMERAL_DEVICES as u64, MAX_EPHEMERAL_DEVICES as u64, SECOND),
            Over::Drop,
            Allow,
            1,
        ),
        row(N::Connects, "connects", (Requests, User), Rate::new(120, 1, SECOND), Reject, Allow, 1),
        row(
            N::Threads,
            "threads",
            (Rows, User),
            Rate::new(300, 6, Duration::from_secs(60)),
            Reject,
            Allow,
            1,
        ),
        row(
            N::KeyRows,
            "key_rows",
            (Rows, Device),
            Rate::new(2_000, 12, Duration::from_secs(60)),
            Reject,
            Allow,
            MAX_UPLOAD_KEYS * 2 + 2,
        ),
        row(N::Takes, "takes", (Requests, User), Rate::new(500, 1, SECOND), Reject, Refuse, 1),
        row(N::GroupTakes, "group_takes", (Requests, User), Rate::new(4_096, 4, SECOND), Reject, Refuse, 1),
        row(
            N::PreKeys,
            "pre_keys",
            (Requests, Pair),
            Rate::new(6, 6, Duration::from_secs(600)),
            Reject,
            Refuse,
            1,
        ),
        row(
            N::PreKeysTarget,
            "pre_keys_target",
            (Requests, Target),
            Rate::new(200, 200, DAY),
            LastResort,
            Refuse,
            1,
        ),
        row(
            N::Unauthenticated,
            "unauthenticated",
            (Requests, Network),
            Rate::new(2_000, 100, SECOND),
            Slow(SECOND),
            Allow,
            1,
        ),
        row(
            N::Registrations,
            "registrations",
            (Rows, Network),
            Rate::new(100, 6, Duration::from_secs(60)),
            Reject,
            Refuse,
            1,
        ),
        row(N::Refreshes, "refreshes", (Requests, Network), Rate::new(2_000, 20, SECOND), Reject, Refuse, 1),
        row(N::Logins, "logins", (Requests, Network), Rate::new(4_000, 40, SECOND), Reject, Refuse, 1),
        row(
            N::Links,
            "links",
            (Rows, Network),
            Rate::new(100, 6, Duration::from_secs(60)),
            Reject,
            Refuse,
            1,
        ),
        row(N::LinkPolls, "link_polls", (Requests, Network), Rate::new(1_000, 20, SECOND), Reject, Refuse, 1),
        row(
            N::LinkTokens,
            "link_tokens",
            (Rows, User),
            Rate::new(10, 1, Duration::from_secs(60)),
            Reject,
            Refuse,
            1,
        ),
        row(N::Controls, "controls", (Requests, Connection), Rate::new(10, 10, SECOND), Close, Allow, 1),
        row(N::Refusals, "refusals", (Requests, Connection), Rate::new(20, 1, SECOND), Close, Allow, 1),
    ]
};

/// The limits of a relay: [`TABLE`], unless its operator has changed something.
#[derive(Debug, Clone)]
pub struct Limits {
    rates: [Option<Rate>; COUNT],
    /// The number of connections that one address (for IPv6, one network of 64 bits) may hold at a time. `None` means
    /// any number, as behind a proxy, which is a single address.
    pub connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rates: TABLE.each_ref().map(|limit| Some(limit.rate)), connections: None }
    }
}

impl Limits {
    /// No limits, for a relay whose clients are trusted, such as one that is being measured.
    pub fn none() -> Self {
        Self { rates: [None; COUNT], connections: None }
    }

    /// The rate for this name; `None` means that anything is allowed.
    pub fn rate(&self, name: Name) -> Option<Rate> {
        self.rates.get(name.index()).copied().flatten()
    }

    /// Sets another rate.
    pub fn set(&mut self, name: Name, rate: Option<Rate>) {
        if let Some(place) = self.rates.get_mut(name.index()) {
            *place = rate;
        }
    }
}

impl fmt::Display for Limit {
    /// The row of the documentation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Requests => "",
            Unit::Rows => " rows",
            Unit::Bytes => " B",
            Unit::Micros => " µs",
        };
        let scope = match self.scope {
            Scope::Connection => "connection",
            Scope::Device => "device",
            Scope::User => "user",
            Scope::Network => "network",
            Scope::Pair => "device and target",
            Scope::Target => "target",
            Scope::SenderAndRecipient => "sender and recipient",
            Scope::Recipient => "recipient",
            Scope::Group => "group",
        };
        let over = match self.over {
            Over::Refuse => "429".to_owned(),
            Over::Slow(slack) => format!("slowed by up to {} s, then 429", slack.as_secs()),
            Over::LastResort => "last-resort key".to_owned(),
            Over::Close => "close 4429".to_owned(),
            Over::Drop => "dropped".to_owned(),
            Over::Recipient => "`recipient_bytes` applies".to_owned(),
        };
        let when_full = match self.when_full {
            WhenFull::Allow => "allowed",
            WhenFull::Refuse => "as above the limit",
        };
        let Rate { burst, amount, every } = self.rate;
        let every = match every.as_secs() {
            1 => "1 s".to_owned(),
            86_400 => "1 day".to_owned(),
            seconds => format!("{} min", seconds / 60),
        };
        write!(
            f,
            "| `{}` | {scope} | {burst}{unit} | {amount}{unit} in {every} | {over} | {when_full} |",
            self.policy
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_rows_have_the_same_order() {
        for (index, limit) in TABLE.iter().enumerate() {
            assert_eq!(limit.name.index(), index, "{}", limit.policy);
        }
    }

    #[test]
    fn each_bucket_holds_the_largest_single_cost() {
        for limit in &TABLE {
            assert!(limit.rate.burst >= limit.most, "{}", limit.policy);
            assert!(limit.rate.amount > 0 && !limit.rate.every.is_zero(), "{}", limit.policy);
        }
    }

    #[test]
    fn the_readme_lists_every_limit() {
        let page = include_str!("../../README.md");
        let rows: Vec<_> =
            page.lines().filter(|line| line.starts_with("| `") && line.ends_with(" |")).collect();
        for limit in &TABLE {
            let row = limit.to_string();
            assert!(rows.contains(&row.as_str()), "crates/relay/README.md lacks: {row}");
        }
        let documented = rows.iter().filter(|row| row.matches(" | ").count() == 5).count();
        assert_eq!(documented, COUNT, "crates/relay/README.md lists a limit that does not exist");
    }
}
