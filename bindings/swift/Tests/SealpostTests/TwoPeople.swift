import Sealpost
import Testing

/// Two people with a thread: `hers` is that of Ada, `his` that of Ben.
struct TwoPeople: Sendable {
    let world: World
    let ada: Client
    let ben: Client
    let hers: Sealpost.Thread
    let his: Sealpost.Thread

    /// Each of them hears from the other, so that both can encrypt and know that they talk.
    func greet() async throws {
        try await hers.sendText("hello")
        _ = try await his.shows { $0.text == "hello" }
        try await his.sendText("hi")
        _ = try await hers.shows { $0.text == "hi" }
    }

    /// Starts the relay again, and waits until both are connected.
    func restartRelay() async throws {
        try await world.relay.start()
        for client in [ada, ben] {
            try client.reconnect()
            try await until { try client.connectionState() == .live }
        }
    }
}

/// Runs a test with two people and a relay of their own.
func twoPeople(_ test: (TwoPeople) async throws -> Void) async throws {
    try await world { world in
        try await world.person("ada") { ada in
            try await world.person("ben") { ben in
                let hers = try await ada.directThread(user: ben.userId())
                let his = try await ben.directThread(user: ada.userId())
                try await test(TwoPeople(world: world, ada: ada, ben: ben, hers: hers, his: his))
            }
        }
    }
}
