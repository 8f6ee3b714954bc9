import Sealpost
import Testing

extension SealpostTests {
    /// What people learn of the messages that they have sent.
    @Suite struct ReceiptTests {
        @Test("one receipt confirms a backlog, and one that it was read")
        func backlog() async throws {
            let lines = 50
            try await world { world in
                try await world.person("ada") { ada in
                    // The relay keeps a backlog only for somebody who has accepted the thread.
                    let ben = try await world.person("ben") { ben in
                        _ = try await ben.directThread(user: ada.userId())
                        return try ben.userId()
                    }
                    let hers = try await ada.directThread(user: ben)
                    var sent: [MessageId] = []
                    for line in 0..<lines { sent.append(try await hers.sendText("line \(line)").id) }
                    try await hers.statesBecome(Array(repeating: .sent, count: lines))
                    try await world.person("ben") { ben in
                        let his = try await ben.directThread(user: ada.userId())
                        try await hers.statesBecome(Array(repeating: .delivered, count: lines))
                        // Each receipt has its own time. There is more than one only if the backlog came in parts,
                        // more than two seconds apart.
                        var delivered: Set<Int64> = []
                        for id in sent { delivered.insert(try #require(try await hers.details(message: id).deliveredMs)) }
                        #expect(delivered.count < lines / 5)
                        try await his.markRead(upTo: his.shows { $0.text == "line \(lines - 1)" }.id)
                        try await hers.statesBecome(Array(repeating: .read, count: lines))
                        var read: Set<Int64> = []
                        for id in sent { read.insert(try #require(try await hers.details(message: id).readMs)) }
                        #expect(read.count == 1)
                    }
                }
            }
        }

        @Test("what came or was read while receipts were off is not told later")
        func off() async throws {
            try await twoPeople { people in
                let (ben, hers, his) = (people.ben, people.hers, people.his)
                try await his.setPrivacy(setting: .deliveryReceipts, isOn: false)
                try await ben.setPrivacy(setting: .readReceipts, isOn: false)
                try await hers.sendText("one")
                try await his.markRead(upTo: his.shows { $0.text == "one" }.id)
                try await his.setPrivacy(setting: .deliveryReceipts, isOn: true)
                try await hers.sendText("two")
                try await hers.statesBecome([.sent, .delivered])
                try await ben.setPrivacy(setting: .readReceipts, isOn: true)
                try await his.markRead(upTo: his.shows { $0.text == "two" }.id)
                try await hers.statesBecome([.sent, .read])
            }
        }

        @Test("a number that another message had is told")
        func contradicted() async throws {
            try await world { world in
                try await world.person("ben") { ben in
                    let thread = try await world.person("ada") { ada in
                        let hers = try await ada.directThread(user: ben.userId())
                        try await hers.sendText("one")
                        try await hers.statesBecome([.delivered])
                        return try hers.id()
                    }
                    // As if her database had been restored from a copy, and nothing had noticed it.
                    try world.sql("ada", "UPDATE thread SET counted = 0")
                    let view = try ben.subscribe()
                    _ = try await view.snapshot()
                    try await world.person("ada") { ada in
                        let hers = try await ada.thread(id: thread)
                        try await hers.sendText("two")
                        try await until { try await hers.history().messages.allSatisfy(\.isSent) }
                    }
                    let told = Update.event(event: .orderContradicted(thread: thread))
                    while !(try #require(try await view.next())).contains(told) {}
                }
            }
        }

        @Test("a message that nobody fetches for 30 days expires")
        func expired() async throws {
            try await world { world in
                let ben = try await world.person("ben") { try $0.userId() }
                let thread = try await world.person("ada") { ada in
                    let hers = try await ada.directThread(user: ben)
                    try await hers.sendText("not fetched")
                    try await hers.statesBecome([.sent])
                    return try hers.id()
                }
                // As if all of this had happened 31 days earlier.
                try world.sql("ada", "UPDATE message SET sent = sent - 2678400000, stored = stored - 2678400000")
                try await world.person("ada") { ada in
                    let hers = try await ada.thread(id: thread)
                    try await hers.statesBecome([.expired])
                    try await hers.sendText("later")
                    try await hers.statesBecome([.expired, .sent])
                    // It was still at the relay, whose clock has not moved. A receipt says that it arrived nevertheless.
                    try await world.person("ben") { _ in try await hers.statesBecome([.delivered, .delivered]) }
                }
            }
        }
    }
}

extension Sealpost.Thread {
    /// Waits until our messages have these states, the oldest first.
    fileprivate func statesBecome(_ expected: [Delivery]) async throws {
        try await until {
            let states = try await history().messages.reversed().compactMap { message -> Delivery? in
                if case .outgoing(let delivery) = message.direction { delivery } else { nil }
            }
            return states == expected
        }
    }
}
