import Foundation
import Sealpost
import Testing

extension SealpostTests {
    /// What people send, and what they do to messages. Everything that a chat shows of it comes with the page.
    @Suite struct ContentTests {
        @Test("replies and forwards say where they come from")
        func replies() async throws {
            try await talk { _, hers, his in
                let first = try await hers.sendText("are you coming?")
                let asked = try await his.shows { $0.text == "are you coming?" }
                let reply = try await his.reply(to: asked.id, "in an hour")
                #expect(reply.quote == Quote(author: asked.sender, text: "are you coming?", message: asked.id))
                let answered = try await hers.shows { $0.text == "in an hour" }
                #expect(answered.quote == Quote(author: first.sender, text: "are you coming?", message: first.id))
                let quoted = try #require(answered.quote?.message)
                #expect(try await hers.historyAround(message: quoted).messages.contains { $0.id == first.id })
                #expect(try await hers.forward(message: answered.id).isForwarded)
                let forwarded = try await his.shows(\.isForwarded)
                #expect(forwarded.text == "in an hour")
                #expect(forwarded.quote == nil)
                #expect(!asked.isForwarded)
            }
        }

        @Test("reactions come with the page, and can be replaced, removed and listed")
        func reactions() async throws {
            try await talk { people, hers, his in
                let liked = try await hers.sendText("done!")
                let message = try await his.shows { $0.text == "done!" }
                try await his.react(to: message.id, emoji: "👍")
                #expect(try await his.history().messages[0].reactions == [ReactionCount(emoji: "👍", isOurs: true)])
                _ = try await hers.shows { $0.reactions == [ReactionCount(emoji: "👍")] }
                try await hers.react(to: liked.id, emoji: "👍🏽")
                try await his.react(to: message.id, emoji: "👍🏽")
                let both = [ReactionCount(emoji: "👍🏽", count: 2, isOurs: true)]
                _ = try await hers.shows { $0.reactions == both }
                let sorted = people.sorted()
                #expect(try await hers.reactions(message: liked.id).map(\.author) == sorted)
                #expect(try await hers.reactions(message: liked.id, after: sorted[0]).map(\.author) == [sorted[1]])
                try await his.removeReaction(from: message.id)
                _ = try await hers.shows { $0.reactions == [ReactionCount(emoji: "👍🏽", isOurs: true)] }
                let refused = await thrown { try await his.react(to: message.id, emoji: "not an emoji") }
                #expect(refused?.code() == "misuse")
            }
        }

        @Test("an edited message keeps its versions")
        func edits() async throws {
            try await talk { _, hers, his in
                let sent = try await hers.sendText("first")
                _ = try await his.shows { $0.text == "first" }
                #expect(sent.editedMs == nil)
                try await hers.edit(message: sent.id, text: "second")
                let edited = try await his.shows { $0.text == "second" }
                #expect(try #require(edited.editedMs) >= edited.sentMs)
                #expect(try await his.versions(message: edited.id).map(\.text) == ["first", "second"])
                #expect(await thrown { try await his.edit(message: edited.id, text: "not mine") } == .WrongState)
            }
        }

        @Test("messages are deleted for everyone or for me, and the latter is taken back")
        func deletions() async throws {
            try await talk { _, hers, his in
                let sent = try await hers.sendText("a secret")
                let received = try await his.shows { $0.text == "a secret" }
                try await his.deleteForMe(message: received.id)
                #expect(try await his.history().messages.isEmpty)
                try await his.restore(message: received.id)
                #expect(try await his.history().messages.map(\.text) == ["a secret"])
                #expect(await thrown { try await his.restore(message: received.id) } == .NotFound)
                #expect(await thrown { try await his.deleteForEveryone(message: received.id) } == .WrongState)
                try await hers.deleteForEveryone(message: sent.id)
                _ = try await his.shows { $0.body == .deleted }
            }
        }

        @Test("contact cards, locations and polls are sent, and votes are counted")
        func cards() async throws {
            try await talk { people, hers, his in
                let card = ContactCard(name: "Cyd", user: people[0], phone: "+1 555 0100")
                _ = try await hers.sendContact(card: card)
                _ = try await his.shows { $0.body == .contact(card: card) }
                let place = Location(latitudeE7: -337_568_000, longitudeE7: 1_511_540_000, accuracyM: 25)
                _ = try await hers.sendLocation(location: place)
                _ = try await his.shows { $0.body == .location(location: place) }
                let poll = try await hers.sendPoll(question: "When?", options: ["today", "tomorrow"])
                let asked = try await his.shows { if case .poll = $0.body { true } else { false } }
                try await his.vote(poll: asked.id, choices: [1])
                try await hers.vote(poll: poll.id, choices: [1])
                let options = [PollOption(text: "today"), PollOption(text: "tomorrow", votes: 2, isOurs: true)]
                let counted = Poll(question: "When?", options: options, voters: 2)
                _ = try await hers.shows { $0.body == .poll(poll: counted) }
                #expect(try await hers.votes(poll: poll.id).map(\.author) == people.sorted())
                #expect(try await hers.votes(poll: poll.id, limit: 1).map(\.choices) == [[1]])
                let both = try await hers.sendPoll(
                    question: "Which?", options: ["red", "blue", "green"], isMultiple: true)
                let choose = try await his.shows {
                    if case .poll(let poll) = $0.body { poll.isMultiple } else { false }
                }
                try await his.vote(poll: choose.id, choices: [0, 2])
                try await until { try await hers.votes(poll: both.id).map(\.choices) == [[0, 2]] }
                let nameless = await thrown { try await hers.sendContact(card: ContactCard(name: " ")) }
                #expect(nameless == .InvalidContent(reason: .contactCard))
                let nowhere = Location(latitudeE7: 900_000_001, longitudeE7: 0)
                #expect(
                    await thrown { try await hers.sendLocation(location: nowhere) } == .InvalidContent(reason: .location))
                let single = await thrown { try await hers.sendPoll(question: "When?", options: ["never"]) }
                #expect(single == .InvalidContent(reason: .poll))
                let third = await thrown { try await hers.vote(poll: poll.id, choices: [2]) }
                #expect(third == .InvalidContent(reason: .choices))
            }
        }

        @Test("messages are pinned for everybody, and disappear after they were read")
        func pinsAndTimers() async throws {
            try await talk { _, hers, his in
                let sent = try await hers.sendText("read me first")
                let received = try await his.shows { $0.text == "read me first" }
                try await his.pin(message: received.id)
                try await until { try await hers.pinned().map(\.id) == [sent.id] }
                try await hers.unpin(message: sent.id)
                try await until { try await his.pinned().isEmpty }
                try await hers.setTimer(seconds: 1)
                #expect(try await hers.timer() == 1)
                _ = try await his.shows { $0.body == .timerChanged(seconds: 1) }
                try await hers.sendText("gone in a second")
                let short = try await his.shows { $0.text == "gone in a second" }
                #expect(short.timerS == 1)
                #expect(short.expiresMs == nil)
                try await his.markRead(upTo: short.id)
                try await until { try await !his.texts().contains("gone in a second") }
                try await until { try await !hers.texts().contains("gone in a second") }
                let long = await thrown { try await hers.setTimer(seconds: .max) }
                #expect(long == .InvalidContent(reason: .timer))
            }
        }

        @Test("styles, mentions and link previews come with the text")
        func markup() async throws {
            try await talk { people, hers, his in
                let text = "🎈 @ben see https://example.org"
                let name = TextRange(try #require(text.range(of: "@ben")), in: text)
                #expect(name == TextRange(start: 5, length: 4))
                #expect(name.range(in: text).map { text[$0] } == "@ben")
                #expect(TextRange(start: 1, length: 4).range(in: text) == nil)
                #expect(TextRange(start: 5, length: 99).range(in: text) == nil)
                let preview = LinkPreview(url: "https://example.org", title: "Example")
                let markup = Markup(
                    styles: [StyledRange(range: name, style: .bold)], mentions: [Mention(range: name, user: people[1])],
                    preview: preview)
                let sent = try await hers.sendText(text, markup: markup)
                #expect(try await his.shows { $0.text == text }.markup == markup)
                let spoiler = Markup(styles: [StyledRange(range: TextRange(start: 0, length: 6), style: .spoiler)])
                try await hers.edit(message: sent.id, text: "secret", markup: spoiler)
                let edited = try await his.shows { $0.text == "secret" }
                #expect(edited.markup == spoiler)
                #expect(try await his.reply(to: edited.id, "secret", markup: spoiler).markup == spoiler)
                let refused = await thrown { try await hers.sendText("short", markup: spoiler) }
                #expect(refused == .InvalidContent(reason: .markup))
            }
        }

        @Test("what a later version has sent is shown as not understood")
        func laterVersion() async throws {
            try await world { world in
                try await world.person("ben") { ben in
                    try await world.person("ada") { ada in
                        let hers = try await ada.directThread(user: ben.userId())
                        try await hers.sendText("first")
                        try await until { try await hers.history().messages.allSatisfy(\.isSent) }
                    }
                    // Field 39 of a content is a kind that no version knows yet.
                    try world.sql(
                        "ada",
                        """
                        INSERT INTO outgoing (lane, content_id, sent, class, body, state)
                        SELECT thread_id, x'01010101010101010101010101010101', 1, 1, x'ba02012a', 1 FROM thread;
                        INSERT INTO lane SELECT thread_id, 0 FROM thread WHERE true ON CONFLICT DO NOTHING;
                        """)
                    try await world.person("ada") { ada in
                        let his = try await ben.directThread(user: ada.userId())
                        _ = try await his.shows { $0.body == .notUnderstood }
                    }
                }
            }
        }

        @Test("the limits of changes are configured")
        func limits() async throws {
            try await world { world in
                try await world.person("ben") { ben in
                    let config = Config(changeLimits: ChangeLimits(maxEdits: 1, deleteForMs: 0))
                    let (database, relay) = (world.database("ada"), await world.relay.url)
                    let ada = try await openClient(database: database, key: key("ada"), relay: relay, config: config)
                    try await ada.useAndShutDown { ada in
                        let hers = try await ada.directThread(user: ben.userId())
                        let sent = try await hers.sendText("first")
                        try await until { try await hers.history().messages.allSatisfy(\.isSent) }
                        try await hers.edit(message: sent.id, text: "second")
                        #expect(await thrown { try await hers.edit(message: sent.id, text: "third") } == .WrongState)
                        #expect(await thrown { try await hers.deleteForEveryone(message: sent.id) } == .WrongState)
                    }
                }
            }
        }
    }
}
