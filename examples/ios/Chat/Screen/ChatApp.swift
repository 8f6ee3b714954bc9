import SwiftUI
import UIKit

@main
struct ChatApp: App {
    @Environment(\.scenePhase) private var phase
    @State private var model: Result<ChatModel, any Error>

    init() {
        _model = State(initialValue: Result { try ChatModel(account: Account.onThisDevice()) })
    }

    var body: some Scene {
        WindowGroup {
            switch model {
            case .success(let model): ChatView(model: model)
            case .failure(let error): Text(error.localizedDescription)
            }
        }
        .onChange(of: phase, initial: true) { _, phase in
            guard case .success(let model) = model else { return }
            switch phase {
            case .active: model.start()
            case .background: close(model)
            default: break
            }
        }
    }

    /// The system terminates an app that is suspended while it holds a lock on a file in a shared folder, so
    /// suspension has to wait until everything is closed.
    private func close(_ model: ChatModel) {
        let time = UIApplication.shared.beginBackgroundTask(withName: "close the database")
        Task {
            await model.stop()
            UIApplication.shared.endBackgroundTask(time)
        }
    }
}
