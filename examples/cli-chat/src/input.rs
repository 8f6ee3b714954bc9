//! What the person does with keys and mouse, whatever the terminal calls it.

/// A key or a movement of the mouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Typed or pasted text.
    Insert(String),
    /// The question mark, which also asks for help.
    QuestionMark,
    NewLine,
    Enter,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    PageUp,
    PageDown,
    /// To the oldest message that is loaded.
    Oldest,
    /// To the newest message.
    Newest,
    /// Selects the message above.
    SelectAbove,
    SelectBelow,
    PreviousChat,
    NextChat,
    /// From the list to the conversation, and back.
    OtherPane,
    Find,
    Help,
    Escape,
    /// Ends the program, whatever is being written.
    Quit,
    /// Ends the program if nothing is being written; otherwise, deletes the next character.
    EndOrDelete,
    Click(u16, u16),
    WheelUp(u16, u16),
    WheelDown(u16, u16),
    /// The new size of the terminal.
    Resize(u16, u16),
}
