//! What the events of the terminal mean.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};

use crate::input::Input;

/// With these, the arrows select messages. Some terminals keep one of them for themselves.
const SELECTING: KeyModifiers = KeyModifiers::SHIFT.union(KeyModifiers::CONTROL);

/// The meaning of an event; none if it has none.
pub(crate) fn read(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => read_key(key),
        Event::Paste(text) => Some(Input::Insert(text)),
        Event::Resize(width, height) => Some(Input::Resize(width, height)),
        Event::Mouse(mouse) => {
            let (x, y) = (mouse.column, mouse.row);
            match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Some(Input::Click(x, y)),
                MouseEventKind::ScrollUp => Some(Input::WheelUp(x, y)),
                MouseEventKind::ScrollDown => Some(Input::WheelDown(x, y)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn read_key(KeyEvent { code, modifiers, .. }: KeyEvent) -> Option<Input> {
    let control = modifiers.contains(KeyModifiers::CONTROL);
    let alt = modifiers.contains(KeyModifiers::ALT);
    // Alt with Control is AltGr, which types characters.
    if let KeyCode::Char(letter) = code
        && control
        && !alt
    {
        return with_control(letter.to_ascii_lowercase());
    }
    Some(match code {
        KeyCode::Char('b') if alt && !control => Input::WordLeft,
        KeyCode::Char('f') if alt && !control => Input::WordRight,
        KeyCode::Char('?') => Input::QuestionMark,
        KeyCode::Char(letter) => Input::Insert(letter.to_string()),
        KeyCode::Enter if alt || modifiers.contains(KeyModifiers::SHIFT) => Input::NewLine,
        KeyCode::Enter => Input::Enter,
        KeyCode::Backspace if alt || control => Input::DeleteWord,
        KeyCode::Backspace => Input::Backspace,
        KeyCode::Delete => Input::Delete,
        KeyCode::Left if alt || control => Input::WordLeft,
        KeyCode::Right if alt || control => Input::WordRight,
        KeyCode::Left => Input::Left,
        KeyCode::Right => Input::Right,
        KeyCode::Up if alt => Input::PreviousChat,
        KeyCode::Down if alt => Input::NextChat,
        KeyCode::Up if modifiers.intersects(SELECTING) => Input::SelectAbove,
        KeyCode::Down if modifiers.intersects(SELECTING) => Input::SelectBelow,
        KeyCode::Up => Input::Up,
        KeyCode::Down => Input::Down,
        KeyCode::Home if control => Input::Oldest,
        KeyCode::End if control => Input::Newest,
        KeyCode::Home => Input::Home,
        KeyCode::End => Input::End,
        KeyCode::PageUp => Input::PageUp,
        KeyCode::PageDown => Input::PageDown,
        KeyCode::Tab | KeyCode::BackTab => Input::OtherPane,
        KeyCode::F(1) => Input::Help,
        KeyCode::Esc => Input::Escape,
        _ => return None,
    })
}

/// The keys of readline, as far as they have a meaning here.
fn with_control(letter: char) -> Option<Input> {
    Some(match letter {
        'a' => Input::Home,
        'c' => Input::Quit,
        'd' => Input::EndOrDelete,
        'e' => Input::End,
        'f' => Input::Find,
        'h' => Input::Backspace,
        'j' => Input::NewLine,
        'k' => Input::DeleteToEnd,
        'n' => Input::NextChat,
        'p' => Input::PreviousChat,
        'u' => Input::DeleteToStart,
        'w' => Input::DeleteWord,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crossterm::event::MouseEvent;

    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Input> {
        read(Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn characters_are_typed_and_combinations_act() {
        assert_eq!(key(KeyCode::Char('é'), KeyModifiers::NONE), Some(Input::Insert("é".to_owned())));
        assert_eq!(key(KeyCode::Char('A'), KeyModifiers::SHIFT), Some(Input::Insert("A".to_owned())));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::CONTROL), None);
        assert_eq!(
            key(KeyCode::Char('@'), KeyModifiers::CONTROL | KeyModifiers::ALT),
            Some(Input::Insert("@".to_owned()))
        );
        assert_eq!(key(KeyCode::Enter, KeyModifiers::ALT), Some(Input::NewLine));
        assert_eq!(key(KeyCode::Up, KeyModifiers::SHIFT), Some(Input::SelectAbove));
        assert_eq!(key(KeyCode::Down, KeyModifiers::CONTROL), Some(Input::SelectBelow));
    }

    #[test]
    fn the_release_of_a_key_means_nothing() {
        let release = KeyEvent::new_with_kind(KeyCode::Char('a'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(read(Event::Key(release)), None);
    }

    #[test]
    fn the_mouse_clicks_and_scrolls() {
        let mouse =
            |kind| Event::Mouse(MouseEvent { kind, column: 3, row: 4, modifiers: KeyModifiers::NONE });
        assert_eq!(read(mouse(MouseEventKind::Down(MouseButton::Left))), Some(Input::Click(3, 4)));
        assert_eq!(read(mouse(MouseEventKind::ScrollUp)), Some(Input::WheelUp(3, 4)));
        assert_eq!(read(mouse(MouseEventKind::Moved)), None);
    }
}
