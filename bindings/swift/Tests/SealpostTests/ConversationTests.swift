import Sealpost
import Testing

extension SealpostTests {
    @Suite struct ConversationTests {
        @Test("two people register and write to each other")
        func firstMessages() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let sent = try await hers.sendText("hello")
                        #expect(sent.text == "hello")
                        #expect(try sent.sender == ada.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        #expect(try hers.id() == his.id())
                        #expect(try await [ada.userId()] == his.others())
                        #expect(try await his.kind() == .direct)
                        #expect(try await his.texts(when: 1) == ["hello"])
                        try await his.sendText("hello yourself")
                        #expect(try await hers.texts(when: 2) == ["hello", "hello yourself"])
                        let number = try await ada.safetyNumber(user: ben.userId())
                        #expect(try await ben.safetyNumber(user: ada.userId()) == number)
                        let first = try await eventually {
                            let first = try await hers.history().messages.last
                            return first?.direction == .outgoing(delivery: .delivered) ? first : nil
                        }
                        #expect(first.id == sent.id)
                        #expect(first.body == sent.body)
                    }
                }
            }
        }

        @Test("history is read in pages and outlives the client")
        func history() async throws {
            try await world { world in
                let written = (1...25).map { "line \($0)" }
                let thread = try await world.person("ben") { ben in
                    try await world.person("ada") { ada in
                        let thread = try await ada.directThread(user: ben.userId())
                        for text in written { try await thread.sendText(text) }
                        return try thread.id()
                    }
                }
                try await world.person("ada") { ada in
                    let hers = try await ada.thread(id: thread)
                    // Messages move when they are sent.
                    try await until { try await hers.history().messages.allSatisfy(\.isSent) }
                    let newest = try await hers.history(limit: 10)
                    #expect(newest.messages.map(\.text) == written.suffix(10).reversed())
                    let before = try await hers.history(before: newest.older, limit: 10)
                    #expect(before.messages.map(\.text) == written[5..<15].reversed())
                    let all = try await hers.messages(pageSize: 7).map(\.text).collect()
                    #expect(all == written.reversed())
                    #expect(try await ada.threads().map(\.id) == [thread])
                    let found = try await eventually { try await ada.search(words: "17").first }
                    #expect(found.text == "line 17")
                }
            }
        }

        @Test("a client that was offline receives what it missed")
        func catchUp() async throws {
            try await world { world in
                let ben = try await world.person("ben") { try $0.userId() }
                try await world.person("ada") { ada in
                    let hers = try await ada.directThread(user: ben)
                    for number in 1...12 { try await hers.sendText("while you were away \(number)") }
                    try await until { try await hers.history().messages.allSatisfy(\.isSent) }
                    try await world.person("ben") { ben in
                        let his = try await ben.directThread(user: ada.userId())
                        #expect(try await Set(his.texts(when: 12)).count == 12)
                    }
                }
            }
        }

        @Test("a message that was written while the relay was down is sent when it returns")
        func killedRelay() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        try await hers.sendText("before")
                        let his = try await ben.directThread(user: ada.userId())
                        _ = try await his.texts(when: 1)
                        await world.relay.kill()
                        let queued = try await hers.sendText("while it is gone")
                        let newest = try await hers.history().messages.first
                        #expect(newest?.direction == .outgoing(delivery: .queued))
                        let waits = hers.waits(for: queued.id)
                        let offline = try #require(try await waits.first { $0.reason == .notConnected })
                        #expect(offline.nextMs == nil, "it is sent as soon as there is a connection")
                        #expect(try await hers.waiting(message: queued.id) == offline)
                        // A screen gets it with the messages.
                        let behind = try await hers.sendText("behind it")
                        var (list, changes) = (MessageList(), hers.changes.makeAsyncIterator())
                        while list.waiting(behind)?.reason != .notConnected {
                            list.apply(try #require(try await changes.next()))
                        }
                        #expect(list.waiting(queued) == offline)
                        // Each page says it too, also one that does not contain the message.
                        let first = ThreadWaiting(message: queued.id, waiting: offline)
                        let page = try await hers.history()
                        #expect(page.firstWaiting == first)
                        #expect(try await hers.history(limit: 1).firstWaiting == first)
                        #expect(try await hers.historyAround(message: queued.id).firstWaiting == first)
                        #expect(try await hers.historyAfter(after: list.messages[2].position).firstWaiting == first)
                        #expect(try await hers.links().firstWaiting == first)
                        #expect(MessageList(page: page).waiting(behind)?.reason == .notConnected)
                        #expect(list.waiting(list.messages[2]) == nil, "it was sent")
                        let untilSent = Task { try await hers.waits(for: queued.id).collect() }
                        try await world.relay.start()
                        try ada.reconnect()
                        try ben.reconnect()
                        #expect(try await his.texts(when: 3) == ["before", "while it is gone", "behind it"])
                        while list.firstWaiting != nil { list.apply(try #require(try await changes.next())) }
                        let states = try await untilSent.value
                        #expect(zip(states, states.dropFirst()).allSatisfy { $0 != $1 })
                        #expect(try await hers.waiting(message: queued.id) == nil)
                        #expect(try await hers.history().firstWaiting == nil)
                        #expect(try await hers.waits(for: queued.id).collect().isEmpty)
                    }
                }
            }
        }

        @Test("a list that only follows changes equals the history")
        func lists() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        let view = try hers.subscribe()
                        var list = MessageList(page: try await view.snapshot())
                        for number in 0..<20 {
                            try await hers.sendText("hers \(number)")
                            try await his.sendText("his \(number)")
                        }
                        // The list is complete when the last receipt has arrived.
                        while list.messages.count < 40
                            || list.messages.contains(where: { $0.waits })
                        {
                            for change in try #require(try await view.next()) { list.apply(change) }
                        }
                        #expect(try await list.messages == hers.history().messages)
                        let middle = list.messages[20]
                        let around = try await hers.historyAround(message: middle.id, limit: 5)
                        #expect(around.messages == Array(list.messages[18..<23]))
                        let newer = try await hers.historyAfter(after: #require(around.newer), limit: 3)
                        var part = MessageList(page: around)
                        part.addNewer(newer)
                        part.addOlder(try await hers.history(before: around.older, limit: 2))
                        #expect(part.messages == Array(list.messages[15..<25]))
                        part.apply(.changed(message: list.messages[0], was: list.messages[0].position))
                        #expect(part.messages == Array(list.messages[15..<25]))
                        #expect(try await ada.message(id: middle.id) == middle)
                    }
                }
            }
        }

        @Test("a suspended client closes its file, and its views continue with a snapshot")
        func suspension() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let view = try hers.subscribe()
                        #expect(try await view.snapshot() == nothing)
                        try await ada.suspend()
                        #expect(try ada.connectionState() == .suspended)
                        let fetched = try await fetchForPush(
                            database: world.database("ada"), key: key("ada"), relay: world.relay.url)
                        #expect(fetched == Fetched(messages: [], complete: true))
                        try await ada.resume()
                        try await hers.sendText("back")
                        try await until {
                            let changes = try #require(try await view.next())
                            return changes.contains { if case .snapshot = $0 { true } else { false } }
                        }
                    }
                }
            }
        }

        @Test("a view waits while the client is suspended, and returns a snapshot while another call waits")
        func waitingViews() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let view = try hers.subscribe()
                        try await ada.suspend()
                        let waiting = Task { try await view.next() }
                        #expect(await thrown { try await view.snapshot() }?.code() == "misuse")
                        try await ada.resume()
                        #expect(try await waiting.value == [.snapshot(page: nothing)])
                        let next = Task { try await view.next() }
                        for _ in 0..<100 { #expect(try await view.snapshot() == nothing) }
                        try await hers.sendText("something new")
                        // What it is waiting for may be told before.
                        var changes = try #require(try await next.value)
                        func added(_ change: Change) -> Message? {
                            if case .added(let message) = change { message } else { nil }
                        }
                        while changes.compactMap(added).isEmpty { changes += try #require(try await view.next()) }
                        #expect(changes.compactMap(added)[0].text == "something new")
                    }
                }
            }
        }

        @Test("registering twice returns the same client")
        func twoRegistrations() async throws {
            try await world { world in
                let opened = try await openAccount(
                    database: world.database("ada"), key: key("ada"), relay: world.relay.url)
                guard case .unregistered(let registration) = opened else {
                    Issue.record("somebody is registered")
                    return
                }
                async let first = registration.register()
                async let second = registration.register()
                let (one, other) = try await (first, second)
                #expect(try one.userId() == other.userId())
                try await one.shutdown()
                for client in [other, try await registration.register()] {
                    #expect(await thrown { try await client.resume() }?.code() == "misuse")
                }
                #expect(try await other.updates.collect() == [])
            }
        }

        @Test("a late message is delivered exactly once, wherever its position is")
        func lateArrival() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        var arrivals = hers.arrivals.makeAsyncIterator()
                        // The iterator follows the thread since it was made.
                        try await hers.sendText("begin")
                        #expect(try await arrivals.next()?.text == "begin")
                        await world.relay.kill()
                        let written = (1...60).map { "line \($0)" }
                        for line in written { try await hers.sendText(line) }
                        for line in written { #expect(try await arrivals.next()?.text == line) }
                        try await ada.suspend()
                        try await world.relay.start()
                        try ben.reconnect()
                        // Its position is before that of every message that is still queued here.
                        try await his.sendText("late")
                        try await until { try await his.history().messages.first?.isSent == true }
                        let fetched = try await fetchForPush(
                            database: world.database("ada"), key: key("ada"), relay: world.relay.url)
                        #expect(fetched.messages.map(\.text) == ["late"])
                        try await ada.resume()
                        #expect(try await arrivals.next()?.text == "late")
                        try await hers.sendText("the last")
                        #expect(try await arrivals.next()?.text == "the last")
                    }
                }
            }
        }

        @Test("a push notification fetches what is waiting")
        func push() async throws {
            try await world { world in
                let ben = try await world.person("ben") { try $0.userId() }
                try await world.person("ada") { ada in
                    let hers = try await ada.directThread(user: ben)
                    try await hers.sendText("wake up")
                    try await until { try await hers.history().messages.allSatisfy(\.isSent) }
                    let fetched = try await fetchForPush(
                        database: world.database("ben"), key: key("ben"), relay: world.relay.url)
                    #expect(fetched.messages.map(\.text) == ["wake up"])
                    #expect(fetched.complete)
                }
            }
        }

        @Test("sequences begin with a snapshot and end with the client")
        func sequences() async throws {
            try await world { world in
                try await world.person("ben") { ben in
                    let ada = try await world.open("ada")
                    let events = Task { try await ada.updates.collect() }
                    // It needs its own view: a view that ends does not deliver what is still queued in it.
                    let told = Task {
                        try await ada.updates.first {
                            if case .event(.messageAdded(let added)) = $0 { added.text == "hello" } else { false }
                        }
                    }
                    try await ada.useAndShutDown { ada in
                        let hers = try await ada.directThread(user: ben.userId())
                        let added = Task {
                            try await hers.changes.first { if case .added = $0 { true } else { false } }
                        }
                        // Repeats until both views have delivered something.
                        let writing = Task {
                            while !Task.isCancelled { try await hers.sendText("hello") }
                        }
                        #expect(try await added.value != nil)
                        #expect(try await told.value != nil)
                        writing.cancel()
                        try await writing.value
                    }
                    let seen = try await events.value
                    guard case .snapshot = seen.first else {
                        Issue.record("it does not begin with a snapshot")
                        return
                    }
                    #expect(seen.contains { if case .event(.threadAdded) = $0 { true } else { false } })
                }
            }
        }
    }
}

private let nothing = Page(messages: [], older: nil, newer: nil)

extension Message {
    /// Whether it is an outgoing message whose delivery has not been confirmed yet.
    fileprivate var waits: Bool {
        if case .outgoing(let delivery) = direction { return delivery != .delivered }
        return false
    }
}
