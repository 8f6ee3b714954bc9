import Foundation
import Sealpost
import Testing

/// The recipes of docs/mobile.md, with a screen that remembers what it was told to show.
@MainActor
private final class Recipes {
    var rows: [String] = []
    var screen: [String] = []
    var badge: UInt32 = 0
    var notifications: [MessageId: String] = [:]
    let isVisible = true

    func show(_ threads: [ThreadSummary]) {
        rows = threads.map { "\($0.unread) \(preview($0))" }
    }

    func showMessages(_ messages: [Message]) {
        screen = messages.reversed().map { "\($0.text ?? "") \(details($0))" }
    }

    func notify(_ message: Message) {
        notifications[message.id] = message.text
    }

    func notifyRequest(_ id: MessageId) {
        notifications[id] = "a stranger"
    }

    /// If it is shown.
    func replace(_ message: Message) {
        if notifications[message.id] != nil { notifications[message.id] = message.text }
    }

    func takeBack(_ id: MessageId) {
        notifications[id] = nil
    }

    func setBadge(_ count: UInt32) {
        badge = count
    }

    func has(rows: [String], notifications: [String], badge: UInt32) -> Bool {
        self.rows == rows && Array(self.notifications.values) == notifications && self.badge == badge
    }

    var chats = ThreadList()

    func followChats(_ client: Client) async throws {
        for try await change in client.threadsChanges() {
            chats.apply(change)
            show(chats.threads)
        }
    }

    func showMoreChats(_ client: Client) async throws {
        guard let next = chats.next else { return }
        chats.add(try await client.folderPage(folder: .chats, after: next))
        show(chats.threads)
    }

    func preview(_ chat: ThreadSummary) -> String {
        if let draft = chat.draft { return draft }
        return switch chat.newest?.body {
        case .text(let text): text
        case .contact(let card): "Contact: \(card.name)"
        case .location: "Location"
        case .poll(let poll): "Poll: \(poll.question)"
        case .timerChanged: "The timer was changed"
        case .deleted: "Deleted"
        case .notUnderstood: "Update the app to see this message"
        case .undecryptable: "This message could not be decrypted"
        case nil: ""
        }
    }

    func followChat(_ thread: Sealpost.Thread) async throws {
        var list = MessageList()
        for try await change in thread.changes {
            list.apply(change)
            showMessages(list.messages)
            let unread = list.messages.first { $0.direction == .incoming(read: false) }
            if let unread, isVisible { try await thread.markRead(upTo: unread.id) }
        }
    }

    func details(_ message: Message) -> String {
        var details: [String] = []
        if let quote = message.quote { details.append("> \(quote.text)") }
        if message.isForwarded { details.append("forwarded") }
        if message.editedMs != nil { details.append("edited") }
        details += message.reactions.map { "\($0.emoji) \($0.count)" }
        if case .outgoing(let delivery) = message.direction { details.append(tick(delivery)) }
        return details.joined(separator: ", ")
    }

    func tick(_ delivery: Delivery) -> String {
        switch delivery {
        case .queued: "…"
        case .sent: "✓"
        case .delivered: "✓✓"
        case .read: "read"
        case .failed: "failed"
        case .expired: "not delivered"
        }
    }

    func makeGroup(_ client: Client, _ title: String, _ people: [UserId]) async throws -> ThreadId {
        try await client.createGroup(details: GroupDetails(title: title), invited: people).id()
    }

    func answerInvitation(_ client: Client, _ request: ThreadSummary, isWanted: Bool) async throws {
        let group = try await client.group(thread: request.id)
        if isWanted { try await group.accept() } else { try await group.withdraw(users: [client.userId()]) }
    }

    func membersOf(_ client: Client, _ group: Sealpost.Group) async throws -> [String] {
        let members = try await group.members()
        let profiles = try await client.profiles(users: members.map(\.user))
        return members.map { member in
            let shown = profiles[member.user]?.displayableName ?? ""
            let name = shown.isEmpty ? member.user : shown
            return member.isAdmin ? "\(name), admin" : name
        }
    }

    func whoHas(_ thread: Sealpost.Thread, _ message: MessageId) async throws -> String {
        let receipts = try await thread.receipts(message: message)
        return "delivered to \(receipts.delivered), read by \(receipts.read) of \(receipts.recipients)"
    }

    func followNotifications(_ client: Client) async throws {
        for try await notice in client.notices {
            switch notice.action {
            case .show(let message): notify(message)
            // Without what the stranger wrote.
            case .request: notifyRequest(notice.message)
            case .update(let message): replace(message)
            // It was read or deleted, perhaps in another process.
            case .withdraw: takeBack(notice.message)
            }
        }
    }

    func followBadge(_ client: Client) async throws {
        for try await _ in client.threadsChanges() {
            setBadge(try await client.unreadTotals().messages)
        }
    }

    /// What the phone and its media library do, in order.
    var phone: [String] = []
    var ringing: CallId?
    var current: CallId?
    var ended: Set<CallId> = []

    func ring(_ call: CallId, _ description: Data, _ isVideo: Bool) {
        ringing = call
        phone.append("rings: \(String(decoding: description, as: UTF8.self)), \(isVideo)")
    }

    func stopRinging(_ call: CallId, isMissed: Bool) {
        phone.append("no longer rings: \(call == ringing), \(isMissed)")
    }

    func startMedia(_ description: Data, _ sending: SrtpKey, _ receiving: SrtpKey) {
        let isSecret = sending != receiving && sending.key.contains { $0 != 0 }
        phone.append("\(String(decoding: description, as: UTF8.self)): \(isSecret)")
    }

    func stopMedia() {
        phone.append("silence")
    }

    func addCandidates(_ candidates: Data) {
        phone.append(String(decoding: candidates, as: UTF8.self))
    }

    func followCalls(_ client: Client) async throws {
        for try await event in client.calls {
            try await handle(try await client.thread(id: event.thread), event)
        }
    }

    func handle(_ thread: Sealpost.Thread, _ event: CallEvent) async throws {
        switch event.signal {
        case .offer(let description, let isVideo):
            if current == nil || current == event.call {
                ring(event.call, description, isVideo)
            } else {
                // An error says that it has ended, or will not be answered; it does not concern other calls.
                try? await thread.refuseCallAsBusy(call: event.call)
            }
        case .answer(let description, let keys): start(description, keys)
        case .candidates(let candidates): addCandidates(candidates)
        case .ended(let end): stop(event.call, end)
        }
    }

    func call(_ thread: Sealpost.Thread, _ description: Data) async throws {
        let call = try await thread.call(description: description, isVideo: false)
        // They may have refused it already.
        if !ended.contains(call) { current = call }
    }

    func take(_ thread: Sealpost.Thread, _ call: CallId, _ description: Data) async throws {
        let keys = try await thread.answerCall(call: call, description: description)
        // They may have hung up meanwhile.
        guard !ended.contains(call) else { return }
        current = call
        start(description, keys)
    }

    func start(_ description: Data, _ keys: CallKeys) {
        startMedia(description, keys.sending, keys.receiving)
        keys.wipe()
    }

    func stop(_ call: CallId, _ end: CallEnd) {
        ended.insert(call)
        guard call == current else { return stopRinging(call, isMissed: end == .unanswered) }
        current = nil
        stopMedia()
    }

    func linkThisDevice(_ database: String, _ key: Data, _ relay: String, _ name: String) async throws -> Client? {
        do {
            return try await linkClient(
                database: database, key: key, relay: relay, name: name, showCode: showCode, showDigits: showDigits)
        } catch SealpostError.Link(let reason) {
            // `expired`, for example: offer to begin again.
            explain(reason)
            return nil
        }
    }

    func scanned(_ client: Client, _ text: String) async throws {
        do {
            let pending = try await client.link(code: text)
            if let history = await ask(try pending.name(), try pending.digits()) {
                _ = try await pending.confirm(name: pending.name(), history: history)
            } else {
                try await pending.cancel()
            }
        } catch SealpostError.InvalidCode(let reason) {
            explain(reason)
        } catch SealpostError.Link(let reason) {
            explain(reason)
        }
    }

    func followDevices(_ client: Client) async throws {
        for try await update in client.updates {
            switch update {
            case .snapshot: showDevices(try await client.devices())
            case .event(.deviceLinked(let device)):
                warnOfNewDevice(device)
                showDevices(try await client.devices())
            case .event(.deviceUnlinked): showDevices(try await client.devices())
            case .event(.linkProgress(let progress)): showProgress(progress)
            case .event(.connection(.signedOut)): showSignedOut()
            default: break
            }
        }
    }

    /// What the two devices of a person show, in order.
    var shownByNew: [String] = []
    var shownByPrimary: [String] = []
    var isTheirs = false

    func showCode(_ code: String) { shownByNew.append(code) }

    func showDigits(_ digits: String) { shownByNew.append(digits) }

    func explain(_ reason: LinkFailure) { shownByNew.append("\(reason)") }

    func explain(_ reason: CodeError) { shownByPrimary.append("\(reason)") }

    func ask(_ name: String, _ digits: String) async -> SharedHistory? {
        shownByPrimary.append("\(name): \(digits)")
        return isTheirs ? .everything : nil
    }

    func showDevices(_ devices: [OwnDevice]) {
        shownByPrimary.append(devices.map { "device \($0.id)" }.joined(separator: ", "))
    }

    func warnOfNewDevice(_ device: DeviceId) { shownByPrimary.append("new: \(device)") }

    func showProgress(_ progress: LinkProgress) {
        if progress.isDone { shownByPrimary.append("\(progress.sent) of \(progress.total)") }
    }

    func showSignedOut() { shownByNew.append("signed out") }

    /// The next thing that one of them shows.
    func next(_ shown: ReferenceWritableKeyPath<Recipes, [String]>) async throws -> String {
        while self[keyPath: shown].isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        return self[keyPath: shown].removeFirst()
    }

    func nextOfNew() async throws -> String { try await next(\.shownByNew) }

    func nextOfPrimary() async throws -> String { try await next(\.shownByPrimary) }

    func confirmFromNowOn() { isTheirs = true }
}

extension SealpostTests {
    @Suite struct RecipeTests {
        @Test("the recipes link a device, and show the devices")
        func devices() async throws {
            let app = await Recipes()
            try await world { world in
                try await world.person("ada") { ada in
                    try await ada.noteToSelf().sendText("a note")
                    let following = Task { try await app.followDevices(ada) }
                    #expect(try await app.nextOfPrimary() == "device 1")
                    let linking = {
                        Task {
                            try await app.linkThisDevice(
                                world.database("tablet"), key("tablet"), world.relay.url, "tablet")
                        }
                    }
                    try await app.scanned(ada, "something else")
                    #expect(try await app.nextOfPrimary() == "notACode")
                    let refused = linking()
                    try await app.scanned(ada, app.nextOfNew())
                    #expect(try await app.nextOfPrimary() == "tablet: \(app.nextOfNew())")
                    #expect(try await app.nextOfNew() == "refused")
                    #expect(try await refused.value == nil)
                    await app.confirmFromNowOn()
                    let linked = linking()
                    try await app.scanned(ada, app.nextOfNew())
                    #expect(try await app.nextOfPrimary() == "tablet: \(app.nextOfNew())")
                    #expect(try await app.nextOfPrimary() == "new: 3")
                    #expect(try await app.nextOfPrimary() == "device 1, device 3")
                    let new = try #require(try await linked.value)
                    try await new.useAndShutDown { tablet in
                        let done = try await app.nextOfPrimary()
                        let atTablet = Task { try await app.followDevices(tablet) }
                        let listed = try await app.nextOfPrimary()
                        #expect([done, listed] == ["1 of 1", "device 1, device 3"])
                        try await ada.removeDevice(device: 3)
                        // Both follow; the companion may report the end of what it gets, too.
                        try await until { try await app.nextOfPrimary() == "device 1" }
                        #expect(try await app.nextOfNew() == "signed out")
                        atTablet.cancel()
                        _ = await atTablet.result
                    }
                    following.cancel()
                    _ = await following.result
                }
            }
        }

        @Test("the recipes show chats, messages, notifications and a badge")
        func recipes() async throws {
            let app = await Recipes()
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let following = [
                            Task { try await app.followChats(ada) },
                            Task { try await app.followNotifications(ada) },
                            Task { try await app.followBadge(ada) },
                        ]
                        let his = try await ben.directThread(user: ada.userId())
                        let first = try await his.sendText("hello")
                        try await until { await app.has(rows: ["1 hello"], notifications: ["hello"], badge: 1) }
                        try await his.edit(message: first.id, text: "hello!")
                        try await until { await app.has(rows: ["1 hello!"], notifications: ["hello!"], badge: 1) }
                        let hers = try await ada.directThread(user: ben.userId())
                        let reading = Task { try await app.followChat(hers) }
                        try await until { await app.has(rows: ["0 hello!"], notifications: [], badge: 0) }
                        let message = try await hers.history().messages[0]
                        try await hers.react(to: message.id, emoji: "👍")
                        try await hers.reply(to: message.id, "hello yourself")
                        let reply = try await his.shows { $0.text == "hello yourself" }
                        try await his.markRead(upTo: reply.id)
                        try await until { await app.screen == ["hello! edited, 👍 1", "hello yourself > hello!, read"] }
                        reading.cancel()
                        _ = await reading.result
                        try await hers.setMutedUntil(untilMs: .max)
                        try await hers.setDraft(text: "what I wanted to say")
                        try await his.sendText("are you still there?")
                        try await until {
                            await app.has(rows: ["1 what I wanted to say"], notifications: [], badge: 0)
                        }
                        try await app.showMoreChats(ada)
                        for task in following {
                            task.cancel()
                            _ = await task.result
                        }
                    }
                }
            }
        }

        @Test("the recipes make a group, answer invitations, and show members and receipts")
        func groups() async throws {
            let app = await Recipes()
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        try await world.person("cleo") { cleo in
                            try await ada.setProfile(profile: Profile(name: "Ada"))
                            let (a, b) = (try ada.userId(), try ben.userId())
                            let id = try await app.makeGroup(ada, "Book club", [b, cleo.userId()])
                            for (one, isWanted) in [(ben, true), (cleo, false)] {
                                let request = try await eventually {
                                    try await one.folderPage(folder: .requests).threads.first
                                }
                                #expect(request.id == id && request.kind == .group)
                                try await app.answerInvitation(one, request, isWanted: isWanted)
                            }
                            let group = try await ada.group(thread: id)
                            try await until {
                                let (members, invited) = (try await group.members(), try await group.invited())
                                return members.count == 2 && invited.isEmpty
                            }
                            let (hers, his) = (try await ada.thread(id: id), try await ben.thread(id: id))
                            let sent = try await hers.sendText("hello").id
                            try await his.markRead(upTo: his.shows { $0.text == "hello" }.id)
                            try await until {
                                try await app.whoHas(hers, sent) == "delivered to 1, read by 1 of 1"
                            }
                            // Her name came with the keys of her message.
                            let shown = a < b ? ["Ada, admin", b] : [b, "Ada, admin"]
                            let bens = try await ben.group(thread: id)
                            try await until { try await app.membersOf(ben, bens) == shown }
                        }
                    }
                }
            }
        }

        @Test("the recipe for calls answers one, and refuses another one meanwhile")
        func calls() async throws {
            let app = await Recipes()
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let following = Task { try await app.followCalls(ada) }
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        try await hers.sendText("hello")
                        _ = try await his.shows { $0.text == "hello" }
                        try await his.sendText("hi")
                        _ = try await hers.shows { $0.text == "hi" }
                        let (offer, answer) = (Data("offer".utf8), Data("answer".utf8))
                        var atBen = ben.calls.makeAsyncIterator()
                        let missed = try await his.call(description: offer)
                        try await until { await app.phone.last == "rings: offer, false" }
                        try await his.hangUp(call: missed)
                        try await until { await app.phone.last == "no longer rings: true, false" }
                        #expect(await thrown { try await app.take(hers, missed, answer) } == .NotFound)
                        let first = try await his.call(description: offer, isVideo: true)
                        try await until { await app.phone.last == "rings: offer, true" }
                        try await app.take(hers, first, answer)
                        #expect(await app.phone.last == "answer: true")
                        guard case .answer = try await atBen.next()?.signal else { throw Unexpected() }
                        try await his.sendCallCandidates(call: first, candidates: Data("candidates".utf8))
                        try await until { await app.phone.last == "candidates" }
                        _ = try await his.call(description: offer)
                        #expect(try await atBen.next()?.signal == .ended(end: .busy))
                        try await his.hangUp(call: first)
                        try await until { await app.phone.last == "silence" }
                        try await app.call(hers, offer)
                        let call = try #require(try await atBen.next()).call
                        _ = try await his.answerCall(call: call, description: answer)
                        try await until { await app.phone.last == "answer: true" }
                        following.cancel()
                        _ = await following.result
                    }
                }
            }
        }
    }
}

private struct Unexpected: Error {}
