//! The lines at which failures occur, and at which people come and go.

use std::ops::Range;

use crate::group::FOUNDER;
use crate::talk::{Line, Talk};

/// What happens before or at certain lines. All are in the middle, so that there are lines before and after them.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    /// Who is offline, and during which lines.
    pub(crate) offline: Option<(usize, Range<usize>)>,
    pub(crate) killed: usize,
    pub(crate) twice: usize,
    /// The speaker links a companion before this line.
    pub(crate) linked: usize,
    /// In a group.
    pub(crate) guests: Option<Guests>,
}

/// Who comes and who goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guests {
    /// The last one to speak is added before their first line.
    pub(crate) added: (usize, usize),
    pub(crate) removed: usize,
    /// During which lines that person is not in the group. If they speak after them, they are added again before that.
    pub(crate) without: Range<usize>,
}

/// The relay is killed in the middle, and a line is sent twice after it. Somebody is offline while others speak.
pub(crate) fn plan(talk: &Talk) -> Incidents {
    let count = talk.lines.len();
    let (middle, twice) = (count / 2, count.saturating_mul(3) / 4);
    // If there are only two lines, both would be the second one.
    let killed = if middle == twice { middle.saturating_sub(1) } else { middle };
    let guests = guests(talk);
    let offline = match &guests {
        None => Some(longest_turn(&talk.lines)),
        Some(guests) => absence(talk, guests),
    };
    Incidents { offline, killed, twice, linked: (count / 4).max(1), guests }
}

/// Of two people, the one who listens to the longest turn, except the last one.
fn longest_turn(lines: &[Line]) -> (usize, Range<usize>) {
    let mut longest = (0, 0..0);
    let mut begin = 0;
    for (end, pair) in (1_usize..).zip(lines.windows(2)) {
        if let [a, b] = pair
            && a.speaker != b.speaker
        {
            if end.saturating_sub(begin) > longest.1.len() {
                longest = (b.speaker, begin..end);
            }
            begin = end;
        }
    }
    longest
}

/// The last one to speak comes when they do. Whoever is silent for the longest time after a line of theirs is removed in the middle of that time.
fn guests(talk: &Talk) -> Option<Guests> {
    let added = talk.names.len().checked_sub(1).filter(|last| *last > 1)?;
    let comes = talk.lines.iter().position(|line| line.speaker == added)?;
    let candidates = (0..added).filter(|side| *side != FOUNDER);
    let (removed, silence) = candidates
        .filter_map(|side| Some((side, longest(silences(talk, side))?)))
        .reduce(|a, b| if b.1.len() > a.1.len() { b } else { a })?;
    let begin = silence.start.saturating_add(silence.len() / 2);
    Some(Guests { added: (added, comes), removed, without: begin..silence.end })
}

/// In a group, somebody who stays is offline while they are silent and nobody comes or goes.
fn absence(talk: &Talk, guests: &Guests) -> Option<(usize, Range<usize>)> {
    let changes = [guests.added.1, guests.without.start, guests.without.end];
    let stays = (0..talk.names.len()).filter(|side| ![guests.added.0, guests.removed].contains(side));
    let spans = stays.filter_map(|side| {
        let parts = silences(talk, side).flat_map(|silence| split(silence, changes));
        // Somebody is back for the last line.
        let parts = parts.map(|part| part.start..part.end.min(talk.lines.len().saturating_sub(1)));
        Some((side, longest(parts)?))
    });
    spans.reduce(|a, b| if b.1.len() > a.1.len() { b } else { a })
}

/// The lines between those of one person, from their first line on.
fn silences(talk: &Talk, side: usize) -> impl Iterator<Item = Range<usize>> {
    let speaks = move |(_, line): &(usize, &Line)| line.speaker == side;
    let ends = talk.lines.iter().enumerate().filter(speaks).map(|(number, _)| number);
    let ends: Vec<usize> = ends.chain([talk.lines.len()]).collect();
    let between = |pair: &[usize]| match pair {
        [a, b] => a.saturating_add(1)..*b,
        _ => 0..0,
    };
    ends.windows(2).map(between).collect::<Vec<_>>().into_iter()
}

/// The parts before, between and after some lines.
fn split(range: Range<usize>, mut at: [usize; 3]) -> Vec<Range<usize>> {
    at.sort_unstable();
    let inside = at.into_iter().filter(|at| range.contains(at));
    let mut bounds = vec![range.start];
    bounds.extend(inside.chain([range.end]));
    let part = |pair: &[usize]| match pair {
        [a, b] => *a..*b,
        _ => 0..0,
    };
    bounds.windows(2).map(part).collect()
}

/// The first of the longest ranges that are not empty.
fn longest(ranges: impl Iterator<Item = Range<usize>>) -> Option<Range<usize>> {
    let longest = ranges.reduce(|a, b| if b.len() > a.len() { b } else { a });
    longest.filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(speakers: impl IntoIterator<Item = usize>) -> Talk {
        let lines: Vec<_> =
            speakers.into_iter().map(|speaker| Line { speaker, text: String::new() }).collect();
        let last = lines.iter().map(|line| line.speaker).max().unwrap();
        Talk { names: (0..=last).map(|number| number.to_string()).collect(), lines }
    }

    #[test]
    fn in_every_conversation_of_two_each_incident_has_its_own_line() {
        for count in 2..100_usize {
            for turn in 1..count {
                let Incidents { offline, killed, twice, linked, guests } =
                    plan(&talk((0..count).map(|number| usize::from(number >= turn))));
                let (who, offline) = offline.unwrap();
                assert!(guests.is_none());
                assert!(linked > 0 && linked < count, "{count}: {linked}");
                assert!(
                    who == 1 && !offline.is_empty() && offline.end < count,
                    "{count} {turn}: {offline:?}"
                );
                assert!(killed < count && twice < count && killed != twice, "{count}: {killed} {twice}");
            }
        }
    }

    /// All conversations of five lines and more than two people, and some longer ones.
    #[test]
    fn in_every_group_somebody_is_added_and_somebody_is_removed_while_others_speak() {
        let short = (0..3_usize.pow(5)).map(|n| [1, 3, 9, 27, 81].map(|place| n / place % 3));
        let long = (0..2000_usize).map(|n| [1, 3, 7, 11, 13, 5, 2, 9].map(|factor| n * factor % 97 % 5));
        let all = short.map(Vec::from).chain(long.map(Vec::from));
        let mut groups = 0;
        for speakers in all {
            let mut names = Vec::new();
            let numbered = speakers.iter().map(|speaker| {
                names.iter().position(|known| known == speaker).unwrap_or_else(|| {
                    names.push(*speaker);
                    names.len() - 1
                })
            });
            let numbered: Vec<usize> = numbered.collect();
            let count = numbered.len();
            let plan = plan(&talk(numbered.clone()));
            let Some(Guests { added: (added, comes), removed, without }) = plan.guests else {
                assert!(names.len() < 3, "{numbered:?}");
                continue;
            };
            groups += 1;
            assert!(added != removed && removed != FOUNDER && added != FOUNDER, "{numbered:?}");
            assert!(comes >= 2 && !numbered[..comes].contains(&added), "{numbered:?}");
            assert!(numbered[..without.start].contains(&removed), "{numbered:?}");
            assert!(!without.is_empty() && !numbered[without.clone()].contains(&removed), "{numbered:?}");
            if let Some((who, lines)) = plan.offline {
                assert!(who != added && who != removed && lines.end < count, "{numbered:?}");
                assert!(!lines.is_empty() && !numbered[lines.clone()].contains(&who), "{numbered:?}");
                let inside = |at: usize| at > lines.start && at < lines.end;
                assert!(![comes, without.start, without.end].into_iter().any(inside), "{numbered:?}");
            }
        }
        assert!(groups > 1000, "{groups}");
    }
}
