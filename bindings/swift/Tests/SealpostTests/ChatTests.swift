import Sealpost
import Testing

extension SealpostTests {
    /// The list of chats. Everything that it shows of a chat comes with the page.
    @Suite struct ChatTests {
        @Test("a list that only follows changes equals the page")
        func liveList() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        var changes = ada.threadsChanges().makeAsyncIterator()
                        var list = ThreadList()
                        func listWhen(_ shows: ([ThreadSummary]) -> Bool) async throws {
                            while true {
                                let page = try await ada.folderPage(folder: .chats)
                                if shows(list.threads), list == ThreadList(page: page) { return }
                                list.apply(try #require(try await changes.next()))
                            }
                        }
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        try await his.sendText("hello")
                        try await listWhen { $0.first?.newest?.text == "hello" }
                        let received = try #require(list.threads[0].newest)
                        #expect(try await ada.unreadTotals() == UnreadTotals(threads: 1, messages: 1))
                        try await hers.markRead(upTo: received.id)
                        try await listWhen { $0[0].unread == 0 }
                        let number = try await ada.safetyNumber(user: ben.userId())
                        _ = try await ada.verifySafetyNumber(user: ben.userId(), number: number)
                        try await listWhen { $0[0].trust == .verified }
                        try await hers.setDraft(text: "perhaps")
                        #expect(try await hers.draft() == "perhaps")
                        try await hers.setMarkedUnread(isMarked: true)
                        try await hers.setPinned(isPinned: true)
                        try await hers.setMutedUntil(untilMs: .max)
                        try await listWhen {
                            $0[0].draft == "perhaps" && $0[0].isMarkedUnread && $0[0].isPinned && $0[0].mutedUntilMs != nil
                        }
                        #expect(try await hers.summary() == list.threads[0])
                        #expect(!"\(list)".contains("perhaps"))
                        try await hers.setArchived(isArchived: true)
                        try await listWhen(\.isEmpty)
                        #expect(try await ada.folderPage(folder: .archive).threads.map(\.id) == [hers.id()])
                        try await ada.setPinnedThreads(order: [hers.id()])
                        try await listWhen { $0.count == 1 && $0[0].isPinned }
                    }
                }
            }
        }

        @Test("a note to self is in the list and is sent at once")
        func noteToSelf() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    let note = try await ada.noteToSelf()
                    let written = try await note.sendText("buy milk")
                    #expect(written.isSent)
                    #expect(try await note.others().isEmpty)
                    try await note.edit(message: written.id, text: "buy oat milk")
                    let threads = try await ada.folderPage(folder: .chats).threads
                    #expect(try threads.map(\.id) == [note.id()])
                    #expect(threads[0].kind == .noteToSelf && threads[0].unread == 0)
                    #expect(threads[0].newest?.text == "buy oat milk")
                    #expect(try await ada.noteToSelf().id() == note.id())
                }
            }
        }

        @Test("a stranger waits for the person, and can be blocked and reported")
        func requests() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    let (database, relay) = (world.database("ben"), await world.relay.url)
                    let ben = try await openClient(database: database, key: key("ben"), relay: relay)
                    try await ben.useAndShutDown { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        try await hers.sendText("let me in")
                        let request = try await eventually {
                            try await ben.folderPage(folder: .requests).threads.first { $0.newest != nil }
                        }
                        #expect(request.isRequest)
                        #expect(try await ben.threads().isEmpty)
                        let his = try await ben.thread(id: request.id)
                        try await his.acceptRequest()
                        #expect(try await ben.threads().map(\.id) == [request.id])
                        let stranger = try ada.userId()
                        let report = try await ben.report(user: stranger)
                        #expect(report.messages.map(\.text) == ["let me in"])
                        #expect(report.thread == request.id)
                        #expect(report.user == stranger)
                        try await ben.block(user: stranger)
                        #expect(try await ben.isBlocked(user: stranger))
                        #expect(try await his.summary().isBlocked)
                        #expect(try await ben.blocked() == [stranger])
                        #expect(await thrown { try await his.sendText("to nobody") } == .WrongState)
                        try await ben.unblock(user: stranger)
                        #expect(try await !ben.isBlocked(user: stranger))
                    }
                }
            }
        }

        @Test("messages are found by words, sender and link, and the unread ones begin at the divider")
        func search() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let profile = Profile(name: "Ada", about: "busy", displayableName: "Ada")
                        try await ada.setProfile(profile: profile)
                        #expect(try await ada.profile() == profile)
                        let hers = try await ada.directThread(user: ben.userId())
                        try await hers.sendText("🎈 the café is open")
                        let search = Search(
                            words: "cafe", thread: try hers.id(), sender: try ada.userId(), order: .best)
                        let hit = try await eventually { try await ada.find(search: search).hits.first }
                        let text = try #require(hit.message.text)
                        #expect(hit.marks.map { $0.range(in: text).map { text[$0] } } == ["café"])
                        let sentMs = hit.message.sentMs
                        let then = Search(words: "cafe", fromMs: sentMs, untilMs: sentMs + 1)
                        #expect(try await ada.find(search: then).hits.count == 1)
                        let later = Search(words: "cafe", fromMs: sentMs + 1)
                        #expect(try await ada.find(search: later).hits.isEmpty)
                        let earlier = Search(words: "cafe", untilMs: sentMs)
                        #expect(try await ada.find(search: earlier).hits.isEmpty)
                        let his = try await ben.directThread(user: ada.userId())
                        _ = try await his.shows { $0.text == text }
                        let nothing = try await ben.find(search: Search(words: "cafe", sender: try ben.userId()))
                        #expect(nothing.hits.isEmpty)
                        try await his.sendText("see https://example.org")
                        let link = try await eventually { try await hers.links().messages.first }
                        #expect(try await hers.unreadDivider()?.message == link.id)
                        try await hers.markRead(upTo: link.id)
                        #expect(try await hers.unreadDivider() == nil)
                        let (us, them) = (try ada.userId(), try ben.userId())
                        try await until { try await ben.profiles(users: [us, them]) == [us: profile] }
                    }
                }
            }
        }

        @Test("people are told who writes and who is there, unless that is off")
        func typing() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let (her, him) = (try ada.userId(), try ben.userId())
                        let hers = try await ada.directThread(user: him)
                        let his = try await ben.directThread(user: her)
                        try await hers.sendText("hello")
                        _ = try await his.shows { $0.text == "hello" }
                        try await his.sendText("hi")
                        _ = try await hers.shows { $0.text == "hi" }
                        try await until {
                            try await hers.setTyping(isTyping: false)
                            try await hers.setTyping(isTyping: true)
                            return try his.typing() == [her]
                        }
                        try await ada.sharePresence(user: him, isOn: true)
                        try await until { try await ben.presence(user: her).isPresent }
                        #expect(try await ben.presence(user: her).lastSeenMs != nil)
                        #expect(try await hers.privacy(setting: .presence))
                        try await ada.sharePresence(user: him, isOn: false)
                        try await until { try await !ben.presence(user: her).isPresent }
                        try await hers.setTyping(isTyping: false)
                        try await until { try his.typing().isEmpty }
                        try await hers.setPrivacy(setting: .typing, isOn: false)
                        try await hers.setTyping(isTyping: true)
                        // What she sends arrives in order.
                        try await ada.sharePresence(user: him, isOn: true)
                        try await until { try await ben.presence(user: her).isPresent }
                        #expect(try his.typing().isEmpty)
                        try await his.setPrivacy(setting: .readReceipts, isOn: false)
                        try await ben.setPrivacy(setting: .deliveryReceipts, isOn: false)
                        #expect(try await !his.privacy(setting: .readReceipts))
                        #expect(try await !ben.privacy(setting: .deliveryReceipts))
                        #expect(try await ben.privacy(setting: .readReceipts))
                    }
                }
            }
        }

        @Test("the storage is reported and cleaned up, and a message has its times")
        func storage() async throws {
            try await talk { _, hers, _ in
                let sent = try await hers.sendText("hello")
                let times = try await eventually {
                    let times = try await hers.details(message: sent.id)
                    return times.deliveredMs == nil ? nil : times
                }
                #expect(times.sentMs == sent.sentMs)
                #expect(times.storedMs != nil)
                #expect(times.readMs == nil)
                #expect(try await hers.deleteOlder(beforeMs: 0) == 0)
                #expect(try await hers.deleteOlder(beforeMs: .max) == 1)
                #expect(try await hers.history().messages.isEmpty)
                try await hers.delete()
            }
            try await world { world in
                try await world.person("ada") { ada in
                    let report = try await ada.storageReport()
                    #expect(report.databaseBytes > 0)
                    #expect(report.threads.isEmpty)
                    try await ada.noteToSelf().sendText("a note")
                    let threads = try await ada.storageReport().threads.map(\.thread)
                    let page = try await ada.threadPage(limit: 1)
                    let unknown = String(repeating: "0", count: 32)
                    #expect(try await ada.summaries(threads: threads + [unknown]) == page.threads)
                    #expect(try await ada.deleteOlder(beforeMs: 0) == 0)
                    #expect(try await ada.deleteOlder(beforeMs: .max) == 1)
                }
            }
        }

        @Test("pages of a list are joined in their order")
        func joinedPages() {
            let threads = (1...9).reversed().map {
                ThreadSummary(id: "\($0)", place: "place \($0)", kind: .direct, trust: .firstUse)
            }
            let first = ThreadList(page: ThreadPage(threads: Array(threads[..<4]), next: "place 6"))
            var list = first
            list.add(ThreadPage(threads: Array(threads[4...])))
            #expect(list == ThreadList(page: ThreadPage(threads: threads)))
            list = first
            list.apply(.put(thread: threads[5]))
            #expect(list == first, "it is in a page that was not read yet")
            let moved = ThreadSummary(id: "7", place: "place 99", kind: .direct, trust: .firstUse)
            list.apply(.put(thread: moved))
            #expect(list.threads.map(\.id) == ["7", "9", "8", "6"])
            list.apply(.removed(thread: "9"))
            #expect(list.threads.map(\.id) == ["7", "8", "6"])
        }
    }
}
