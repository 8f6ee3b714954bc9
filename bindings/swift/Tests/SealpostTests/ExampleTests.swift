import Sealpost
import Testing

@testable import ExampleModel

private let nobody = "00000000-0000-4000-8000-000000000000"

extension SealpostTests {
    /// The part of `examples/ios` that has no user interface.
    @Suite struct ExampleTests {
        @Test("two people chat, and one of them receives a push notification in the background")
        func conversation() async throws {
            try await world { world in
                let ada = await ChatModel(account: world.account("ada"))
                let ben = await ChatModel(account: world.account("ben"))
                #expect(await !ada.send("before there is anybody"))
                await ada.start()
                await ben.start()
                let me = try await eventually { await ada.me }
                let friend = try await eventually { await ben.me }
                #expect(await !ada.meet(nobody))
                #expect(await ada.problem as? SealpostError == .NotFound)
                #expect(await ada.meet(friend))
                try await until { await ada.peer == friend }
                #expect(await ada.send("hello"))
                try await until { await ben.messages.map(\.text) == ["hello"] }
                #expect(await ben.peer == me)
                try await until { await ada.messages.last?.direction == .outgoing(delivery: .read) }

                let account = await world.account("ben")
                let receivesByItself = try await fetchNews(for: account)
                #expect(receivesByItself.isEmpty)
                await ben.stop()
                #expect(await ada.send("wake up"))
                try await until { await ada.messages.last?.isSent == true }
                let news = try await fetchNews(for: account)
                #expect(news.map(\.text) == ["wake up"])

                await ben.start()
                try await until { await ben.messages.map(\.text) == ["hello", "wake up"] }
                await ben.stop()
                await ada.stop()
            }
        }

        @Test("errors are shown")
        func problems() async throws {
            try await world { world in
                try await world.person("ada") { _ in }
                let account = Account(database: world.database("ada"), relay: await world.relay.url) { key("not ada") }
                let ada = await ChatModel(account: account)
                await ada.start()
                try await until { await ada.problem as? SealpostError == .Storage(reason: .wrongKey) }
                await ada.stop()
            }
        }
    }
}

extension World {
    fileprivate func account(_ name: String) async -> Account {
        Account(database: database(name), relay: await relay.url) { key(name) }
    }
}
