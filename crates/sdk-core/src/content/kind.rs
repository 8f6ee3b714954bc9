//! What each kind of content may do. This table is the only place that decides it; the paths ask it.

/// It becomes a message that a person sees.
const SHOWN: u16 = 1;
/// Its author gets a delivery receipt. A content that shows nothing gets none, because a receipt would tell a stranger whether
/// this device is in use.
const CONFIRMED: u16 = 1 << 1;
/// The relay wakes the recipient for it.
const URGENT: u16 = 1 << 2;
/// The relay keeps it until the recipient has received it.
const STORED: u16 = 1 << 3;
/// It can begin a thread, and so come from a person whom this device does not know.
const STRANGER: u16 = 1 << 4;
/// It is accepted from the devices of our own account only.
const OWN: u16 = 1 << 5;
/// It is accepted in direct threads.
const DIRECT: u16 = 1 << 6;
/// It is accepted in groups.
const GROUP: u16 = 1 << 7;

/// It is mail: it has no place in its thread.
const MAIL: u16 = 1 << 8;
/// It is a post: it has a place in its thread, and a number among the posts of its device.
const POST: u16 = 1 << 9;

/// In threads of either kind.
const ANY: u16 = DIRECT | GROUP;
/// What people write.
const MESSAGE: u16 = SHOWN | CONFIRMED | URGENT | STORED | STRANGER | POST | ANY;
/// What changes messages that are already there.
const CHANGE: u16 = STORED | POST | ANY;

/// Each kind: its field number in `content.proto`, its name, and what it may do. The kinds that this version does not read are
/// here, too, so that a content of a later version is treated in the same way by all versions.
const TABLE: [(u32, &str, u16); 24] = [
    (10, "text", MESSAGE),
    (11, "receipt", STORED | MAIL | ANY),
    (12, "reaction", CHANGE | URGENT),
    (13, "edit", CHANGE),
    (14, "delete", CHANGE),
    (15, "timer change", MESSAGE & !STRANGER & !URGENT & !GROUP),
    (16, "contact card", MESSAGE),
    (17, "location", MESSAGE),
    (18, "poll", MESSAGE & !STRANGER),
    (19, "vote", CHANGE),
    (20, "call", URGENT | MAIL | DIRECT),
    (21, "typing", MAIL | ANY),
    (22, "profile", STORED | MAIL | ANY),
    (23, "distribution", STORED | MAIL | URGENT | GROUP),
    (24, "retry request", STORED | MAIL | ANY),
    (25, "transcript", STORED | MAIL | OWN | ANY),
    (26, "account state", STORED | MAIL | OWN | ANY),
    (27, "bootstrap", STORED | MAIL | OWN | ANY),
    (28, "history", STORED | MAIL | OWN | ANY),
    (29, "null", STORED | POST | MAIL | ANY),
    (30, "view once", MESSAGE & !STRANGER),
    (31, "pin", CHANGE),
    (32, "presence", MAIL | ANY),
    (33, "moving", STORED | MAIL | OWN | ANY),
];

/// A kind that is not in the table: it is shown as not understood, so that the person knows that something is there.
const NOT_IN_TABLE: u16 = SHOWN | CONFIRMED | URGENT | STORED | STRANGER | POST | MAIL | ANY;

/// The field numbers that are used, or can be used later, for bodies.
const FIRST: u32 = 10;
const LAST: u32 = 39;

/// A kind of content: the number of its field in `content.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind(u32);

impl Kind {
    pub(super) const TEXT: Self = Self(10);
    pub(super) const RECEIPT: Self = Self(11);
    pub(super) const REACTION: Self = Self(12);
    pub(super) const EDIT: Self = Self(13);
    pub(super) const DELETE: Self = Self(14);
    pub(super) const TIMER_CHANGE: Self = Self(15);
    pub(super) const CONTACT_CARD: Self = Self(16);
    pub(super) const LOCATION: Self = Self(17);
    pub(super) const POLL: Self = Self(18);
    pub(super) const VOTE: Self = Self(19);
    pub(super) const PROFILE: Self = Self(22);
    pub(super) const DISTRIBUTION: Self = Self(23);
    pub(super) const ACCOUNT_STATE: Self = Self(26);
    pub(super) const BOOTSTRAP: Self = Self(27);
    pub(super) const HISTORY: Self = Self(28);
    pub(super) const NULL: Self = Self(29);
    pub(super) const PIN: Self = Self(31);
    pub(super) const CALL: Self = Self(20);
    pub(super) const TYPING: Self = Self(21);
    pub(super) const PRESENCE: Self = Self(32);
    pub(super) const MOVING: Self = Self(33);
    /// Not in the table.
    pub(super) const LATER: Self = Self(0);

    /// The kind with this field number; none if it is not the number of a body.
    pub(super) fn of_field(number: u32) -> Option<Self> {
        (FIRST..=LAST).contains(&number).then_some(Self(number))
    }

    /// Whether a person sees it as a message.
    pub(crate) fn is_shown(self) -> bool {
        self.may(SHOWN)
    }

    /// Whether it is the kind that has no effect.
    pub(crate) fn is_null(self) -> bool {
        self == Self::NULL
    }

    /// Whether its author gets a delivery receipt.
    pub(crate) fn is_confirmed(self) -> bool {
        self.may(CONFIRMED)
    }

    /// Whether the relay wakes the recipient for it.
    pub(crate) fn is_urgent(self) -> bool {
        self.may(URGENT)
    }

    /// Whether the relay keeps it. What it does not keep is worth nothing later.
    pub(crate) fn is_stored(self) -> bool {
        self.may(STORED)
    }

    /// Whether it has a place in its thread, and a number among the posts of its device.
    pub(crate) fn is_post(self) -> bool {
        self.may(POST)
    }

    /// Whether it is accepted as mail.
    pub(crate) fn is_mail(self) -> bool {
        self.may(MAIL)
    }

    /// Whether it is accepted in a thread of this kind from this author.
    pub(crate) fn is_accepted(self, from_our_account: bool, in_group: bool) -> bool {
        self.may(if in_group { GROUP } else { DIRECT }) && (from_our_account || !self.may(OWN))
    }

    /// Whether it can begin a thread.
    pub(crate) fn may_begin_thread(self) -> bool {
        self.may(STRANGER)
    }

    fn may(self, what: u16) -> bool {
        let row = TABLE.iter().find(|(number, ..)| *number == self.0);
        row.map_or(NOT_IN_TABLE, |(.., may)| *may) & what != 0
    }
}

/// The numbers of the kinds that this version reads, and of those that are reserved, in the proto file.
#[cfg(test)]
pub(crate) fn of_the_proto_file() -> (Vec<u32>, Vec<u32>) {
    let proto = include_str!("../../proto/content.proto");
    let (_, body) = proto.split_once("oneof body {").unwrap();
    let (body, _) = body.split_once("\n  }\n").unwrap();
    let numbers = body.lines().filter_map(|line| line.trim().split_once(" = ")).map(|(_, rest)| rest);
    let mut read: Vec<_> = numbers.map(|rest| rest.trim_end_matches(';').parse().unwrap()).collect();
    read.sort_unstable();
    let reserved = body.split("Reserved: ").nth(1).unwrap().split("Further kinds").next().unwrap();
    let words = reserved.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    (read, words.map(|word| word.parse().unwrap()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_each_kind_are_consistent() {
        for (number, name, may) in TABLE {
            let has = |what| may & what != 0;
            assert!(has(ANY), "{name} is accepted nowhere");
            assert!(!has(CONFIRMED) || has(SHOWN), "{name}: no receipt for what shows nothing");
            assert!(!has(CONFIRMED) || has(STORED), "{name}: a receipt is for what the relay keeps");
            assert!(!has(STRANGER) || has(SHOWN), "{name}: a thread does not begin with nothing to see");
            assert!(!has(OWN) || !has(SHOWN | STRANGER | URGENT), "{name} is for our own devices");
            assert!(!has(MAIL) || !has(SHOWN), "{name}: what is shown has a place in its thread");
            assert!(has(MAIL) || has(STORED), "{name}: only mail is not stored");
            assert!(
                !has(POST) || has(STORED),
                "{name}: what the relay does not keep has no place in a thread"
            );
            assert!(!has(SHOWN) || has(POST), "{name}: what people see has a place in a thread");
            assert!(has(POST) || has(MAIL), "{name} is neither");
            assert!((FIRST..=LAST).contains(&number), "{name}");
        }
        assert!(TABLE.is_sorted_by(|(a, ..), (b, ..)| a < b), "each number once");
    }

    #[test]
    fn the_table_has_the_kinds_of_the_proto_file() {
        let (read, reserved) = of_the_proto_file();
        let mut found = [read, reserved].concat();
        found.sort_unstable();
        assert_eq!(found, TABLE.map(|(number, ..)| number));
    }

    #[test]
    fn the_table_of_bad_input_has_each_kind_that_is_read() {
        let cases = include_str!("../../tests/data/contents.txt");
        let fields =
            cases.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(" | ").nth(1));
        let fields: Vec<_> = fields.map(|fields| format!(" {fields}")).collect();
        for number in of_the_proto_file().0 {
            let rows = fields.iter().filter(|fields| fields.contains(&format!(" {number}:"))).count();
            assert!(rows > 0, "no row for the kind {number}");
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_shown_and_confirmed() {
        let later = Kind(LAST);
        assert!(later.is_shown() && later.is_confirmed() && later.may_begin_thread());
    }
}
