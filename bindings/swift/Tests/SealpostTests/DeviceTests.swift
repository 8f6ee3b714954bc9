import Foundation
import Sealpost
import Testing

private let nobody = "00000000-0000-4000-8000-000000000000"
private let answersEveryone = Config(acceptAllRequests: true)

extension SealpostTests {
    /// Several devices of an account.
    @Suite struct DeviceTests {
        @Test("a companion gets what was there before, and messages are on all devices")
        func companion() async throws {
            try await twoPeople { people in
                let (world, ada, ben, hers, his) = (people.world, people.ada, people.ben, people.hers, people.his)
                try await people.greet()
                let (atAda, atBen) = (try await ada.watched(), try await ben.watched())
                let linked = try await world.link(ada, "tablet", .everything)
                try await linked.useAndShutDown { tablet in
                    #expect(try tablet.userId() == ada.userId())
                    #expect(try [tablet.deviceId(), ada.deviceId()] == [2, 1])
                    let atTablet = try await tablet.watched()
                    // It may have come before the view was there.
                    if try await !tablet.linkProgress().isEmpty {
                        #expect(try await atTablet.until(isDone).compactMap(progress).last?.device == 2)
                    }
                    let told = try await atAda.until(isDone)
                    #expect(told.contains(.deviceLinked(device: 2)))
                    let all = LinkProgress(device: 2, sent: 2, total: 2, isDone: true)
                    #expect(told.compactMap(progress).last == all)
                    #expect(try await tablet.linkProgress().isEmpty)
                    // Until the companion has said that it has everything.
                    try await until { try await ada.linkProgress().isEmpty }
                    let onTablet = try await tablet.thread(id: hers.id())
                    #expect(try await onTablet.texts(when: 2) == ["hello", "hi"])
                    try await hers.sendText("from the phone")
                    #expect(try await onTablet.shows { $0.text == "from the phone" }.isSent)
                    try await onTablet.sendText("from the tablet")
                    #expect(try await hers.shows { $0.text == "from the tablet" }.isSent)
                    _ = try await his.shows { $0.text == "from the tablet" }
                    try await his.sendText("to both")
                    for thread in [hers, onTablet] {
                        let came = try await thread.shows { $0.text == "to both" }
                        #expect(came.direction == .incoming(read: false))
                    }
                    let texts = ["hello", "hi", "from the phone", "from the tablet", "to both"]
                    for thread in [hers, onTablet, his] { #expect(try await thread.texts() == texts) }
                }
                let devicesOfAda = Event.devicesChanged(user: try ada.userId())
                _ = try await atBen.until { $0 == devicesOfAda }
            }
        }

        @Test("devices are listed and named, and one that is removed is told")
        func removal() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.link(ada, "tablet").useAndShutDown { tablet in
                        let atTablet = try await tablet.watched()
                        try await ada.renameDevice(device: 1, name: "phone")
                        try await ada.renameDevice(device: 2, name: "kitchen")
                        _ = try await atTablet.until { $0 == .deviceRenamed(device: 2) }
                        try await until { try await tablet.devices().map(\.name) == ["phone", "kitchen"] }
                        let devices = try await ada.devices()
                        #expect(devices.map(\.id) == [1, 2] && devices.map(\.name) == ["phone", "kitchen"])
                        #expect(devices.map(\.isPrimary) == [true, false] && devices.map(\.isThis) == [true, false])
                        #expect("\(devices[1])" == "OwnDevice(2, ..)")
                        #expect(devices.allSatisfy { $0.addedMs > 1_600_000_000_000 })
                        #expect(try await tablet.devices()[1].isThis)
                        #expect(await thrown { try await ada.renameDevice(device: 3, name: "nothing") } == .NotFound)
                        let wrong = await thrown { try await ada.renameDevice(device: 0, name: "nothing") }
                        #expect(wrong == .InvalidArgument(argument: "device"))
                        #expect(await thrown { try await ada.renameDevice(device: 2, name: " ") } == .Link(reason: .name))
                        let refused = [
                            await thrown { try await tablet.removeDevice(device: 1) },
                            await thrown { try await ada.removeDevice(device: 1) },
                            await thrown { try await tablet.deleteAccount(history: .keep) },
                        ]
                        #expect(refused.allSatisfy { $0 == .Link(reason: .notPrimary) })
                        let atAda = try await ada.watched()
                        try await ada.removeDevice(device: 2)
                        _ = try await atAda.until { $0 == .deviceUnlinked(device: 2) }
                        #expect(try await ada.devices().map(\.id) == [1])
                        try await until { try tablet.connectionState() == .signedOut }
                        let told = await thrown { try await tablet.directThread(user: nobody) }
                        #expect(told == .Unlinked && told?.retryable() == false)
                        #expect(try await tablet.devices().count == 2, "what it has can be read")
                    }
                    let fetched = await thrown {
                        try await fetchForPush(
                            database: world.database("tablet"), key: key("tablet"), relay: world.relay.url)
                    }
                    #expect(fetched == .Unlinked)
                    // It is told again after a restart.
                    try await world.person("tablet") { tablet in
                        try await until { try tablet.connectionState() == .signedOut }
                        #expect(await thrown { try await tablet.directThread(user: nobody) } == .Unlinked)
                    }
                }
            }
        }

        @Test("the account is moved to a companion, and contacts are told")
        func moving() async throws {
            try await twoPeople { two in
                try await two.greet()
                let atBen = try await two.ben.watched()
                try await two.world.link(two.ada, "tablet").useAndShutDown { tablet in
                    try await until { try await two.ada.linkProgress().isEmpty }
                    #expect(await thrown { try await tablet.moveAccount(device: 1) } == .Link(reason: .notPrimary))
                    #expect(await thrown { try await two.ada.moveAccount(device: 3) } == .NotFound)
                    let atTablet = try await tablet.watched()
                    try await two.ada.moveAccount(device: 2)
                    let user = try two.ada.userId()
                    _ = try await atTablet.until { $0 == .accountMoved(user: user) }
                    for device in [two.ada, tablet] {
                        try await until { try await device.devices().map(\.isPrimary) == [false, true] }
                    }
                    #expect(try await two.ada.pendingMove() == nil)
                    #expect(await thrown { try await two.ada.cancelMove() } == .Link(reason: .notPrimary))
                    try await two.hers.sendText("from the old phone")
                    _ = try await atBen.until { $0 == .accountMoved(user: user) }
                }
            }
        }

        @Test("a companion leaves the account")
        func leaving() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.link(ada, "tablet").useAndShutDown { tablet in
                        #expect(try await tablet.logOut(history: .keep) == .complete)
                        // The primary device learns it with its next connection.
                        try await ada.suspend()
                        try await ada.resume()
                        try await until { try await ada.devices().map(\.id) == [1] }
                        #expect(await thrown { try await tablet.devices() } == .Unauthorized)
                    }
                }
            }
        }

        @Test("a code that is old, cut, damaged or of another version is refused")
        func codes() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    let registration = try await world.new("tablet")
                    #expect(await thrown { try await registration.link(name: " ") } == .Link(reason: .name))
                    let linking = try await registration.link(name: "tablet")
                    let code = try linking.code()
                    // The version is in the bits of the characters 4 to 6; its last two are the first of the last one.
                    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
                    let digits = Array(code.dropFirst("SEALPOST:".count))
                    #expect(code.hasPrefix("SEALPOST:") && digits.allSatisfy(letters.contains), "for QR codes")
                    var later = digits
                    later[6] = letters[try #require(letters.firstIndex(of: digits[6])) ^ 0b11000]
                    var damaged = digits
                    damaged[100] = digits[100] == "A" ? "B" : "A"
                    let bad: [(String, CodeError)] = [
                        ("https://example.org/", .notACode), (String(code.prefix(100)), .cut),
                        ("SEALPOST:" + String(later), .otherVersion), ("SEALPOST:" + String(damaged), .damaged),
                    ]
                    for (text, reason) in bad {
                        #expect(await thrown { try await ada.link(code: text) } == .InvalidCode(reason: reason))
                    }
                    // The relay forgets links when it is restarted, as if they were too old.
                    await world.relay.kill()
                    try await world.relay.start()
                    try await until { try ada.connectionState() == .live }
                    let expired = SealpostError.Link(reason: .expired)
                    #expect(await thrown { try await ada.link(code: " \(code.lowercased())\n") } == expired)
                    #expect(await thrown { try await linking.digits() } == expired)
                    #expect(await thrown { try await linking.finish() } == expired)
                }
            }
        }

        @Test("a link is refused or cancelled, and another one works")
        func another() async throws {
            try await twoPeople { people in
                let (world, ada, ben) = (people.world, people.ada, people.ben)
                let registration = try await world.new("tablet")
                let refused = try await registration.link(name: "tablet")
                async let digits = refused.digits()
                let pending = try await ada.link(code: refused.code())
                #expect(try await digits == pending.digits())
                #expect(await thrown { try await ben.link(code: refused.code()) } == .Link(reason: .taken))
                try await pending.cancel()
                #expect(await thrown { try await refused.finish() } == .Link(reason: .refused))
                let late = await thrown { try await pending.confirm(name: "tablet", history: .nothing) }
                #expect(late == .Link(reason: .expired))

                let cancelled = try await registration.link(name: "tablet")
                try await cancelled.cancel()
                #expect(await thrown { try await cancelled.digits() } == .Link(reason: .expired))

                let linking = try await registration.link(name: "tablet")
                async let finished = linking.finish()
                let again = try await ada.link(code: linking.code())
                let device = try await again.confirm(name: "tablet", history: .lastDays(days: 30))
                let repeated = try await again.confirm(name: "another name", history: .nothing)
                #expect(device == repeated, "the first one counts")
                #expect(await thrown { try await again.cancel() } == .WrongState)
                try await finished.useAndShutDown { (tablet) async throws in
                    #expect(try await linking.finish().deviceId() == device)
                    #expect(await thrown { try await linking.cancel() } == .WrongState)
                    #expect(try tablet.deviceId() == device)
                    #expect(try await ada.devices()[1].name == "tablet")
                    #expect(await thrown { try await ada.link(code: linking.code()) } == .Link(reason: .alreadyLinked))
                }
            }
        }

        @Test("a link that is waited for can be cancelled and continued")
        func continued() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    let shown = Box<[String]>([])
                    for count in 1...2 {
                        let showing = Task {
                            try await linkClient(
                                database: world.database("tablet"), key: key("tablet"), relay: world.relay.url,
                                name: "tablet", showCode: { await shown.change { [code = $0] in $0.append(code) } },
                                showDigits: { _ in Issue.record("nobody has read the code") })
                        }
                        try await until { await shown.value.count == count }
                        showing.cancel()
                        await #expect(throws: CancellationError.self) { try await showing.value }
                    }
                    let codes = await shown.value
                    #expect(codes[0] == codes[1])
                    let registration = try await world.new("tablet")
                    let linking = try await registration.link(name: "tablet")
                    #expect(try linking.code() == codes[0])
                    let finishing = Task { try await linking.finish() }
                    let pending = try await ada.link(code: linking.code())
                    finishing.cancel()
                    await #expect(throws: CancellationError.self) { try await finishing.value }
                    #expect(try await ada.devices().count == 1)
                    _ = try await pending.confirm(name: "tablet", history: .nothing)
                    let tablet = try await linking.finish()
                    #expect(try tablet.deviceId() == 2)
                    try await tablet.shutdown()
                }
            }
        }
    }
}

/// A value that tasks share.
private actor Box<Value: Sendable> {
    private(set) var value: Value

    init(_ value: Value) {
        self.value = value
    }

    func change(_ change: @Sendable (inout Value) -> Void) {
        change(&value)
    }
}

private func isDone(_ event: Event) -> Bool { progress(event)?.isDone == true }

private func progress(_ event: Event) -> LinkProgress? {
    if case .linkProgress(let progress) = event { progress } else { nil }
}

extension World {
    /// The database of a new device.
    fileprivate func new(_ name: String) async throws -> Registration {
        let opened = try await openAccount(
            database: database(name), key: key(name), relay: relay.url, config: answersEveryone)
        guard case .unregistered(let registration) = opened else { throw Unexpected() }
        return registration
    }

    /// Links a new device to the account of `primary`. Both show the same digits.
    fileprivate func link(
        _ primary: Client, _ name: String, _ history: SharedHistory = .nothing
    ) async throws -> Client {
        let shown = Box<[String]>([])
        let show: @Sendable (String) async -> Void = { text in await shown.change { $0.append(text) } }
        async let linked = linkClient(
            database: database(name), key: key(name), relay: relay.url, name: name, config: answersEveryone,
            isolation: nil, showCode: show, showDigits: show)
        let code = try await eventually { await shown.value.first }
        let pending = try await primary.link(code: code)
        try await until { await shown.value.count == 2 }
        #expect(await shown.value[1] == (try pending.digits()))
        #expect(try pending.name() == name)
        _ = try await pending.confirm(name: name, history: history)
        return try await linked
    }
}

extension Client {
    /// A view of what happens from now on.
    fileprivate func watched() async throws -> Feed {
        let feed = try subscribe()
        _ = try await feed.snapshot()
        return feed
    }
}

extension Feed {
    /// The events until one is like this, which is the last.
    fileprivate func until(_ such: (Event) -> Bool) async throws -> [Event] {
        var events: [Event] = []
        while true {
            for update in try #require(try await next()) {
                guard case .event(let event) = update else { continue }
                events.append(event)
                if such(event) { return events }
            }
        }
    }
}

private struct Unexpected: Error {}
