import Sealpost
import Testing

extension SealpostTests {
    /// Groups: who is in them, and what they say to each other.
    @Suite struct GroupTests {
        @Test("people are invited into a group, join it or are asked, leave and are removed")
        func membership() async throws {
            try await people("ada", "ben", "cleo", "dee") { people in
                let (ada, ben, cleo, dee) = (people[0], people[1], people[2], people[3])
                let (a, b, c, d) = (try ada.userId(), try ben.userId(), try cleo.userId(), try dee.userId())
                try await ada.meets(ben)
                let details = GroupDetails(title: "Book club", about: "On Fridays")
                let hers = try await ada.createGroup(details: details, invited: [b, c, d])
                let id = try hers.id()
                // Ben talks to Ada, so he becomes a member by himself. The others are asked.
                for one in [ada, ben] { try await one.seesMembers(id, [a, b]) }
                #expect(try await hers.invited() == [c, d].sorted())
                let known = try #require(try await hers.details())
                #expect(known == details && "\(known)" == "GroupDetails(..)")
                for one in [cleo, dee] {
                    let request = try await eventually { try await one.folderPage(folder: .requests).threads.first }
                    #expect(request.id == id && request.kind == .group)
                    #expect(request.isRequest && request.others.isEmpty)
                }
                try await cleo.joined(id).accept()
                try await dee.joined(id).withdraw(users: [d])
                try await until { try await hers.invited().isEmpty }
                try await until { try await dee.folderPage(folder: .requests).threads.isEmpty }
                for one in [ada, ben, cleo] {
                    try await one.seesMembers(id, [a, b, c])
                    #expect(try await one.joined(id).admins() == [a])
                    let listed = try #require(try await one.threads().first { $0.kind == .group })
                    #expect(listed.id == id && listed.members == 3)
                    let thread = try await one.joined(id).thread()
                    let us = try one.userId()
                    #expect(try await thread.kind() == .group)
                    #expect(try await thread.others().sorted() == [a, b, c].filter { $0 != us }.sorted())
                }
                #expect(try await hers.members().contains(GroupMember(user: a, isAdmin: true)))

                // Only an admin removes somebody or changes roles, and the last one cannot leave.
                let his = try await ben.joined(id)
                #expect(await thrown { try await his.remove(users: [c]) } == .WrongState)
                #expect(await thrown { try await his.setAdmin(user: b, isAdmin: true) } == .WrongState)
                #expect(await thrown { try await hers.leave() } == .WrongState)
                #expect(try await his.permissions() == GroupPermissions())
                let reading = GroupDetails(title: "Reading")
                try await hers.setDetails(details: reading)
                try await until { try await hers.details() == reading }
                try await his.setTimer(seconds: 60)
                let cleos = try await cleo.joined(id)
                try await until { try await cleos.timer() == 60 }
                let strict = GroupPermissions(membersInvite: false, membersChangeDetails: false)
                try await hers.setPermissions(permissions: strict)
                try await until { try await his.permissions() == strict }
                #expect(await thrown { try await his.setTimer(seconds: 9) } == .WrongState)
                #expect(await thrown { try await his.invite(users: [d]) } == .WrongState)
                try await hers.remove(users: [c])
                for one in [ada, ben, cleo] { try await one.seesMembers(id, [a, b]) }
                #expect(await thrown { try await cleos.leave() } == .WrongState)

                // She hands over, and leaves.
                try await hers.setAdmin(user: b, isAdmin: true)
                try await until { try await his.admins() == [a, b].sorted() }
                #expect(try await hers.details() == reading, "under another secret")
                try await hers.leave()
                try await ben.seesMembers(id, [b])
                #expect(try await !his.isDissolved())
                try await his.dissolve()
                try await until { try await his.isDissolved() }

                let long = GroupDetails(title: String(repeating: "x", count: 257))
                let refused = await thrown { try await ada.createGroup(details: long, invited: []) }
                #expect(refused?.code() == "misuse")
                let note = try await ada.noteToSelf().id()
                #expect(await thrown { try await ada.group(thread: note) } == .NotFound)
            }
        }

        @Test("four people talk while one is added and one is removed")
        func conversation() async throws {
            try await people("ada", "ben", "cleo", "dee") { people in
                let (ada, ben, cleo, dee) = (people[0], people[1], people[2], people[3])
                let (a, b, c, d) = (try ada.userId(), try ben.userId(), try cleo.userId(), try dee.userId())
                for other in [ben, cleo, dee] { try await ada.meets(other) }
                let hers = try await ada.createGroup(details: GroupDetails(title: "Talk"), invited: [b, c])
                let id = try hers.id()
                for one in [ada, ben, cleo] { try await one.seesMembers(id, [a, b, c]) }
                try await ada.says(id, "one")
                for one in [ada, ben, cleo] { try await one.shows(id, [(a, "one")]) }
                let second = try await ben.says(id, "two").id
                for one in [ada, ben, cleo] { try await one.shows(id, [(a, "one"), (b, "two")]) }

                // Who has it, by name. Cleo has read it, so it is delivered to all, and read by one.
                let his = try await ben.joined(id).thread()
                let cleos = try await cleo.joined(id).thread()
                try await cleos.markRead(upTo: cleos.shows { $0.text == "two" }.id)
                let receipts = try await eventually {
                    let receipts = try await his.receipts(message: second)
                    return receipts.delivered == 2 && receipts.read == 1 ? receipts : nil
                }
                let expected = [
                    MemberReceipt(user: a, isDelivered: true), MemberReceipt(user: c, isDelivered: true, isRead: true),
                ]
                #expect(receipts.members == expected.sorted { $0.user < $1.user } && receipts.recipients == 2)
                #expect(try await ben.message(id: second).direction == .outgoing(delivery: .delivered))
                let herThread = try await hers.thread()
                try await herThread.markRead(upTo: herThread.shows { $0.text == "two" }.id)
                try await until { try await ben.message(id: second).direction == .outgoing(delivery: .read) }
                let first = try await his.shows { $0.text == "one" }.id
                #expect(await thrown { try await his.receipts(message: first) } == .NotFound)

                // Dee is added, and reads nothing older.
                try await hers.invite(users: [d])
                for one in [ada, ben, cleo, dee] { try await one.seesMembers(id, [a, b, c, d]) }
                let text = "@all three"
                let mention = Mention(range: TextRange(start: 0, length: 4), user: try everybody())
                try await cleos.sendText(text, markup: Markup(mentions: [mention]))
                try await dee.shows(id, [(c, text)])
                for one in [ada, ben, cleo] { try await one.shows(id, [(a, "one"), (b, "two"), (c, text)]) }
                let listed = try #require(try await dee.threads().first { $0.id == id })
                #expect(listed.mentions == 1 && listed.unread == 1)

                // Cleo is removed, and reads nothing later.
                try await hers.remove(users: [c])
                for one in [ada, ben, dee] { try await one.seesMembers(id, [a, b, d]) }
                try await dee.says(id, "four")
                try await ada.shows(id, [(a, "one"), (b, "two"), (c, text), (d, "four")])
                try await ada.says(id, "five")
                try await dee.shows(id, [(c, text), (d, "four"), (a, "five")])
                try await ben.shows(id, [(a, "one"), (b, "two"), (c, text), (d, "four"), (a, "five")])
                try await cleo.shows(id, [(a, "one"), (b, "two"), (c, text)])
            }
        }

        @Test("of two admins who change a group at once both have their way")
        func admins() async throws {
            try await people("ada", "ben") { people in
                let (ada, ben) = (people[0], people[1])
                let (a, b) = (try ada.userId(), try ben.userId())
                try await ada.meets(ben)
                let hers = try await ada.createGroup(details: GroupDetails(title: "x"), invited: [b])
                for one in [ada, ben] { try await one.seesMembers(hers.id(), [a, b]) }
                try await hers.setAdmin(user: b, isAdmin: true)
                let his = try await ben.joined(hers.id())
                try await until { try await his.admins().count == 2 }
                for round in UInt32(1)...3 {
                    let strict = GroupPermissions(membersInvite: round % 2 == 0)
                    async let one: Void = hers.setPermissions(permissions: strict)
                    async let other: Void = his.setTimer(seconds: round)
                    _ = try await (one, other)
                    for group in [hers, his] {
                        try await until { try await group.permissions() == strict }
                        try await until { try await group.timer() == round }
                    }
                }
            }
        }

        @Test("a change that was overtaken is told")
        func overtaken() async throws {
            try await people("ada", "ben") { people in
                let (ada, ben) = (people[0], people[1])
                let (a, b) = (try ada.userId(), try ben.userId())
                let strict = GroupPermissions(membersChangeDetails: false)
                try await ada.meets(ben)
                let hers = try await ada.createGroup(details: GroupDetails(title: "x"), invited: [b])
                let id = try hers.id()
                for one in [ada, ben] { try await one.seesMembers(id, [a, b]) }
                let his = try await ben.joined(id)
                let events = try ben.subscribe()
                _ = try await events.snapshot()
                while true {
                    try await ben.suspend()
                    try await hers.setPermissions(permissions: strict)
                    try await until { try await hers.permissions() == strict }
                    try await ben.resume()
                    // Allowed as far as he knows, unless he has heard of it already.
                    do {
                        try await his.setTimer(seconds: 9)
                        break
                    } catch SealpostError.WrongState {
                        try await hers.setPermissions(permissions: GroupPermissions())
                        try await until { try await his.permissions() == GroupPermissions() }
                    }
                }
                try await events.tell(.groupChangeFailed(thread: id))
                try await until { try await his.permissions() == strict }
                #expect(try await hers.timer() == 0)
            }
        }
    }
}

/// Runs a test with the clients of these people, and a relay of their own.
private func people(_ names: String..., test: ([Client]) async throws -> Void) async throws {
    try await world { try await $0.people(names[...], [], test) }
}

extension World {
    fileprivate func people(
        _ names: ArraySlice<String>, _ before: [Client], _ test: ([Client]) async throws -> Void
    ) async throws {
        guard let name = names.first else { return try await test(before) }
        try await person(name) { try await people(names.dropFirst(), before + [$0], test) }
    }
}

extension Client {
    /// They write to each other, so that each becomes a member at once when the other invites them.
    fileprivate func meets(_ other: Client) async throws {
        let there = try await directThread(user: other.userId())
        let back = try await other.directThread(user: userId())
        try await there.sendText("hello")
        _ = try await back.shows { $0.text == "hello" }
        try await back.sendText("hi")
        _ = try await there.shows { $0.text == "hi" }
    }

    /// The group, once it is here.
    fileprivate func joined(_ id: ThreadId) async throws -> Group {
        try await eventually {
            do {
                return try await group(thread: id)
            } catch SealpostError.NotFound {
                return nil
            }
        }
    }

    /// Waits until these are the members for this client.
    fileprivate func seesMembers(_ id: ThreadId, _ users: [UserId]) async throws {
        let group = try await joined(id)
        try await until { try await group.members().map(\.user) == users.sorted() }
    }

    /// Waits until the group shows this to this client, the oldest first: authors and texts.
    fileprivate func shows(_ id: ThreadId, _ expected: [(UserId, String)]) async throws {
        let thread = try await joined(id).thread()
        try await until {
            let shown = try await thread.messages().collect().reversed()
            return shown.map(\.sender) == expected.map(\.0) && shown.map(\.text) == expected.map(\.1)
        }
    }

    @discardableResult
    fileprivate func says(_ id: ThreadId, _ text: String) async throws -> Message {
        try await joined(id).thread().sendText(text)
    }
}

extension Group {
    fileprivate func admins() async throws -> [UserId] { try await members().filter(\.isAdmin).map(\.user) }
}

extension Feed {
    /// Waits until this is told.
    fileprivate func tell(_ event: Event) async throws {
        while !(try #require(try await next())).contains(.event(event: event)) {}
    }
}
