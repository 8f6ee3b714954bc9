package io.github.sealpost.example

import io.github.sealpost.Client
import io.github.sealpost.Config
import io.github.sealpost.Direction
import io.github.sealpost.Event
import io.github.sealpost.Message
import io.github.sealpost.SealpostException
import io.github.sealpost.ThreadId
import io.github.sealpost.Update
import io.github.sealpost.UserId
import io.github.sealpost.cancellable
import io.github.sealpost.openClient
import io.github.sealpost.shown
import io.github.sealpost.updates
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.mapNotNull
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.withContext
import kotlin.time.Duration.Companion.seconds

/** The state of the screen. */
data class ChatState(
    /** Our user id, with which others can write to us. Null until the account is open. */
    val me: UserId? = null,
    /** The other person. Null until somebody has started a conversation. */
    val peer: UserId? = null,
    /** The newest messages, oldest first. */
    val messages: List<Message> = emptyList(),
    /** The last error. docs/mobile.md says what to do about each error of the library. */
    val problem: Exception? = null,
)

/** A conversation without its user interface: the most recent one, or the first one that somebody starts. */
class ChatModel(private val account: Account) {
    private val shown = MutableStateFlow(ChatState())
    @Volatile private var client: Client? = null
    @Volatile private var thread: ThreadId? = null

    val state: StateFlow<ChatState> = shown.asStateFlow()

    /**
     * Runs while the app is in the foreground: opens the account, registering it first if it is new, and follows the conversation.
     * Cancel it when the app goes to the background. When it has returned, the database is closed, so the system may freeze or
     * terminate the app.
     */
    suspend fun run() {
        try {
            do {
                val problem = problemOf { follow(open()) }
                val again = (problem as? SealpostException)?.retryable() == true
                if (again) delay(2.seconds)
            } while (again)
        } finally {
            withContext(NonCancellable) { problemOf { client?.suspend() } }
        }
    }

    /** Starts a conversation with somebody. Returns false if that failed. */
    suspend fun meet(user: UserId): Boolean {
        val client = client ?: return false
        return problemOf { cancellable { token -> client.directThread(user, token) }.close() } == null
    }

    /** Sends a text. Returns false if it could not be saved; the text field then keeps it. */
    suspend fun send(text: String): Boolean {
        val client = client ?: return false
        val thread = thread ?: return false
        val problem = problemOf {
            client.thread(thread).use { it.sendText(text) }
            // A person is waiting, so connecting is worthwhile.
            client.reconnect()
        }
        return problem == null
    }

    private suspend fun open(): Client {
        client?.let {
            it.resume()
            return it
        }
        // There is only one conversation, so whoever begins it is answered; other apps have a list of requests.
        val config = Config(acceptAllRequests = true)
        return openClient(account.database, account.key(), account.relay, config = config).also { opened ->
            client = opened
            shown.update { it.copy(me = opened.userId()) }
        }
    }

    private suspend fun follow(client: Client) {
        val id = client.firstThread()
        client.thread(id).use { thread ->
            this.thread = id
            val peer = thread.others().first()
            shown.update { it.copy(peer = peer) }
            thread.shown().collect { list ->
                shown.update { it.copy(messages = list.messages.reversed(), problem = null) }
                list.messages.firstOrNull { it.direction == Direction.Incoming(read = false) }?.let { thread.markRead(it.id) }
            }
        }
    }

    private suspend fun problemOf(call: suspend () -> Unit): Exception? =
        try {
            call()
            null
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (problem: Exception) {
            // Other errors than the library's are possible, such as those of the Keystore.
            shown.update { it.copy(problem = problem) }
            problem
        }
}

/** The first thread. Waits for one if there is none. */
private suspend fun Client.firstThread(): ThreadId =
    updates().mapNotNull { update ->
        when (update) {
            is Update.Snapshot -> update.overview.threads.firstOrNull()?.id
            is Update.Event -> (update.event as? Event.ThreadAdded)?.thread
        }
    }.first()
