package io.github.sealpost

import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.util.concurrent.ConcurrentHashMap

/** The recipes of docs/mobile.md, with a screen that remembers what it was told to show. */
class RecipesTest {
    @Volatile private var rows = emptyList<String>()

    @Volatile private var screen = emptyList<String>()

    @Volatile private var badge = 0u
    private val notifications = ConcurrentHashMap<MessageId, String>()
    private val isVisible = true

    private fun show(threads: List<ThreadSummary>) {
        rows = threads.map { "${it.unread} ${preview(it)}" }
    }

    private fun showMessages(messages: List<Message>) {
        screen = messages.reversed().map { message -> listOfNotNull(message.text, details(message)).joinToString(" ") }
    }

    private fun notify(message: Message) {
        notifications[message.id] = message.text.orEmpty()
    }

    private fun notifyRequest(id: MessageId) {
        notifications[id] = "a stranger"
    }

    /** If it is shown. */
    private fun replace(message: Message) {
        notifications.computeIfPresent(message.id) { _, _ -> message.text.orEmpty() }
    }

    private fun takeBack(id: MessageId) {
        notifications.remove(id)
    }

    private fun setBadge(count: UInt) {
        badge = count
    }

    private var chats = ThreadList()

    suspend fun followChats(client: Client) = client.threadsChanges().collect { change ->
        chats = chats.after(change)
        show(chats.threads)
    }

    suspend fun showMoreChats(client: Client) {
        val next = chats.next ?: return
        chats = chats.withNext(client.folderPage(Folder.CHATS, next))
        show(chats.threads)
    }

    fun preview(chat: ThreadSummary): String = chat.draft ?: when (val body = chat.newest?.body) {
        is MessageBody.Text -> body.text
        is MessageBody.Contact -> "Contact: ${body.card.name}"
        is MessageBody.Location -> "Location"
        is MessageBody.Poll -> "Poll: ${body.poll.question}"
        is MessageBody.TimerChanged -> "The timer was changed"
        MessageBody.Deleted -> "Deleted"
        MessageBody.NotUnderstood -> "Update the app to see this message"
        is MessageBody.Undecryptable -> "This message could not be decrypted"
        null -> ""
    }

    suspend fun followChat(thread: Thread) = thread.shown().collect { list ->
        showMessages(list.messages)
        val unread = list.messages.firstOrNull { it.direction == Direction.Incoming(read = false) }
        if (unread != null && isVisible) thread.markRead(unread.id)
    }

    fun details(message: Message): String = listOfNotNull(
        message.quote?.let { "> ${it.text}" },
        "forwarded".takeIf { message.isForwarded },
        "edited".takeIf { message.editedMs != null },
        message.reactions.joinToString(" ") { "${it.emoji} ${it.count}" }.ifEmpty { null },
        (message.direction as? Direction.Outgoing)?.let { tick(it.delivery) },
    ).joinToString(", ")

    fun tick(delivery: Delivery): String = when (delivery) {
        Delivery.Queued -> "…"
        Delivery.Sent -> "✓"
        Delivery.Delivered -> "✓✓"
        Delivery.Read -> "read"
        is Delivery.Failed -> "failed"
        Delivery.Expired -> "not delivered"
    }

    suspend fun makeGroup(client: Client, title: String, people: List<UserId>): ThreadId =
        cancellable { token -> client.createGroup(GroupDetails(title), people, cancel = token) }.use { it.id() }

    suspend fun answerInvitation(client: Client, request: ThreadSummary, isWanted: Boolean) =
        client.group(request.id).use { group ->
            if (isWanted) group.accept() else group.withdraw(listOf(client.userId()))
        }

    suspend fun membersOf(client: Client, group: Group): List<String> {
        val members = group.members()
        val profiles = client.profiles(members.map { it.user })
        return members.map { member ->
            val name = profiles[member.user]?.displayableName.orEmpty().ifEmpty { member.user }
            if (member.isAdmin) "$name, admin" else name
        }
    }

    suspend fun whoHas(thread: Thread, message: MessageId): String =
        thread.receipts(message).run { "delivered to $delivered, read by $read of $recipients" }

    suspend fun followNotifications(client: Client) = client.notices().collect { notice ->
        when (val action = notice.action) {
            is NoticeAction.Show -> notify(action.message)
            // Without what the stranger wrote.
            NoticeAction.Request -> notifyRequest(notice.message)
            is NoticeAction.Update -> replace(action.message)
            // It was read or deleted, perhaps in another process.
            NoticeAction.Withdraw -> takeBack(notice.message)
        }
    }

    suspend fun followBadge(client: Client) = client.threadsChanges().conflate().collect {
        setBadge(client.unreadTotals().messages)
    }

    private var current: CallId? = null
    private val ended = mutableSetOf<CallId>()

    suspend fun followCalls(client: Client) = client.calls().collect { event ->
        client.thread(event.thread).use { thread -> handle(thread, event) }
    }

    suspend fun handle(thread: Thread, event: CallEvent) = when (val signal = event.signal) {
        is CallSignal.Offer -> when (current) {
            null, event.call -> ring(event.call, signal.description, signal.isVideo)
            else -> try {
                thread.refuseCallAsBusy(event.call)
            } catch (_: SealpostException) {
                // It has ended, or will not be answered; it does not concern other calls.
            }
        }
        is CallSignal.Answer -> start(signal.description, signal.keys)
        is CallSignal.Candidates -> addCandidates(signal.candidates)
        is CallSignal.Ended -> stop(event.call, signal.end)
    }

    suspend fun call(thread: Thread, description: ByteArray) {
        val call = thread.call(description, isVideo = false)
        // They may have refused it already.
        if (call !in ended) current = call
    }

    suspend fun take(thread: Thread, call: CallId, description: ByteArray) {
        val keys = thread.answerCall(call, description)
        // They may have hung up meanwhile.
        if (call in ended) return
        current = call
        start(description, keys)
    }

    fun start(description: ByteArray, keys: CallKeys) {
        startMedia(description, keys.sending, keys.receiving)
        keys.wipe()
    }

    fun stop(call: CallId, end: CallEnd) {
        ended += call
        if (call != current) return stopRinging(call, isMissed = end == CallEnd.UNANSWERED)
        current = null
        stopMedia()
    }

    /** What the phone and its media library do, in order. */
    private val phone = Channel<String>(Channel.UNLIMITED)

    @Volatile private var ringing: CallId? = null

    private fun ring(call: CallId, description: ByteArray, isVideo: Boolean) {
        ringing = call
        phone.trySend("rings: ${description.decodeToString()}, $isVideo")
    }

    private fun stopRinging(call: CallId, isMissed: Boolean) {
        phone.trySend("no longer rings: ${call == ringing}, $isMissed")
    }

    private fun startMedia(description: ByteArray, sending: SrtpKey, receiving: SrtpKey) {
        phone.trySend("${description.decodeToString()}: ${sending != receiving && sending.key.any { it != 0.toByte() }}")
    }

    private fun stopMedia() {
        phone.trySend("silence")
    }

    private fun addCandidates(candidates: ByteArray) {
        phone.trySend(candidates.decodeToString())
    }

    suspend fun linkThisDevice(database: String, key: ByteArray, relay: String, name: String): Client? = try {
        linkClient(database, key, relay, name, showCode = ::showCode, showDigits = ::showDigits)
    } catch (problem: SealpostException.Link) {
        // `EXPIRED`, for example: offer to begin again.
        explain(problem.reason)
        null
    }

    suspend fun scanned(client: Client, text: String) = try {
        cancellable { token -> client.link(text, token) }.use { pending ->
            val history = ask(pending.name(), pending.digits())
            if (history == null) pending.cancel() else pending.confirm(pending.name(), history)
        }
    } catch (problem: SealpostException.InvalidCode) {
        explain(problem.reason)
    } catch (problem: SealpostException.Link) {
        explain(problem.reason)
    }

    suspend fun followDevices(client: Client) = client.updates().collect { update ->
        if (update is Update.Snapshot) return@collect showDevices(client.devices())
        when (val event = (update as Update.Event).event) {
            is Event.DeviceLinked -> {
                warnOfNewDevice(event.device)
                showDevices(client.devices())
            }
            is Event.DeviceUnlinked -> showDevices(client.devices())
            is Event.LinkProgress -> showProgress(event.progress)
            is Event.Connection -> if (event.state == ConnectionState.SIGNED_OUT) showSignedOut()
            else -> {}
        }
    }

    /** What the two devices of a person show, in order. */
    private val shownByNew = Channel<String>(Channel.UNLIMITED)
    private val shownByPrimary = Channel<String>(Channel.UNLIMITED)
    private var isTheirs = false

    private fun showCode(code: String) {
        shownByNew.trySend(code)
    }

    private fun showDigits(digits: String) {
        shownByNew.trySend(digits)
    }

    private fun explain(reason: LinkFailure) {
        shownByNew.trySend("$reason")
    }

    private fun explain(reason: CodeError) {
        shownByPrimary.trySend("$reason")
    }

    private fun ask(name: String, digits: String): SharedHistory? {
        shownByPrimary.trySend("$name: $digits")
        return SharedHistory.Everything.takeIf { isTheirs }
    }

    private fun showDevices(devices: List<OwnDevice>) {
        shownByPrimary.trySend(devices.joinToString { "device ${it.id}" })
    }

    private fun warnOfNewDevice(device: DeviceId) {
        shownByPrimary.trySend("new: $device")
    }

    private fun showProgress(progress: LinkProgress) {
        if (progress.isDone) shownByPrimary.trySend("${progress.sent} of ${progress.total}")
    }

    private fun showSignedOut() {
        shownByNew.trySend("signed out")
    }

    @Test
    fun `the recipes link a device, and show the devices`() = world { world ->
        world.person("ada") { ada ->
            ada.noteToSelf().use { it.sendText("a note") }
            val following = launch { followDevices(ada) }
            assertEquals("device 1", shownByPrimary.receive())
            suspend fun linking() = async { linkThisDevice(world.database("tablet"), key("tablet"), world.relay.url, "tablet") }
            scanned(ada, "something else")
            assertEquals("NOT_A_CODE", shownByPrimary.receive())
            val refused = linking()
            scanned(ada, shownByNew.receive())
            assertEquals("tablet: ${shownByNew.receive()}", shownByPrimary.receive())
            assertEquals("REFUSED" to null, shownByNew.receive() to refused.await())
            isTheirs = true
            val linked = linking()
            scanned(ada, shownByNew.receive())
            assertEquals("tablet: ${shownByNew.receive()}", shownByPrimary.receive())
            assertEquals(listOf("new: 3", "device 1, device 3"), List(2) { shownByPrimary.receive() })
            checkNotNull(linked.await()).useAndShutDown { tablet ->
                assertEquals("1 of 1", shownByPrimary.receive())
                val atTablet = launch { followDevices(tablet) }
                assertEquals("device 1, device 3", shownByPrimary.receive())
                ada.removeDevice(3u)
                // Both follow; the companion may report the end of what it gets, too.
                eventually { Unit.takeIf { shownByPrimary.receive() == "device 1" } }
                assertEquals("signed out", shownByNew.receive())
                atTablet.cancelAndJoin()
            }
            following.cancelAndJoin()
        }
    }

    @Test
    fun `the recipes make a group, answer invitations, and show members and receipts`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                world.person("cleo") { cleo ->
                    ada.setProfile(Profile("Ada"))
                    val id = makeGroup(ada, "Book club", listOf(ben.userId(), cleo.userId()))
                    for (one in listOf(ben, cleo)) {
                        val request = eventually { one.folderPage(Folder.REQUESTS).threads.singleOrNull() }
                        assertEquals(id to ThreadKind.GROUP, request.id to request.kind)
                        answerInvitation(one, request, isWanted = one === ben)
                    }
                    val shown = listOf(ada.userId() to "Ada, admin", ben.userId() to ben.userId()).sortedBy { it.first }.map { it.second }
                    ada.group(id).use { group ->
                        eventually { Unit.takeIf { group.members().size == 2 && group.invited().isEmpty() } }
                    }
                    ada.thread(id).use { hers ->
                        val sent = hers.sendText("hello")
                        ben.thread(id).use { his -> his.markRead(his.shows { it.text == "hello" }.id) }
                        eventually { Unit.takeIf { whoHas(hers, sent.id) == "delivered to 1, read by 1 of 1" } }
                    }
                    // Her name came with the keys of her message.
                    ben.group(id).use { group -> eventually { Unit.takeIf { membersOf(ben, group) == shown } } }
                }
            }
        }
    }

    @Test
    fun `the recipe for calls answers one, and refuses another one meanwhile`() = twoPeople {
        val following = launch { followCalls(ada) }
        greet()
        ben.subscribeCalls().use { atBen ->
            suspend fun nextSignal() = checkNotNull(atBen.next()).single().signal
            val missed = his.call("offer".toByteArray())
            assertEquals("rings: offer, false", phone.receive())
            his.hangUp(missed)
            assertEquals("no longer rings: true, false", phone.receive())
            thrownBy<SealpostException.NotFound> { take(hers, missed, "answer".toByteArray()) }
            val first = his.call("offer".toByteArray(), isVideo = true)
            assertEquals("rings: offer, true", phone.receive())
            take(hers, first, "answer".toByteArray())
            assertEquals("answer: true", phone.receive())
            assertTrue(nextSignal() is CallSignal.Answer)
            his.sendCallCandidates(first, "candidates".toByteArray())
            assertEquals("candidates", phone.receive())
            his.call("offer".toByteArray())
            assertEquals(CallEnd.BUSY, (nextSignal() as CallSignal.Ended).end)
            his.hangUp(first)
            assertEquals("silence", phone.receive())
            call(hers, "offer".toByteArray())
            assertTrue(nextSignal() is CallSignal.Offer)
            his.answerCall(checkNotNull(current), "answer".toByteArray())
            assertEquals("answer: true", phone.receive())
        }
        following.cancelAndJoin()
    }

    @Test
    fun `the recipes show chats, messages, notifications and a badge`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val following = listOf(
                    launch { followChats(ada) },
                    launch { followNotifications(ada) },
                    launch { followBadge(ada) },
                )
                ben.directThread(ada.userId()).use { his ->
                    val first = his.sendText("hello")
                    eventually { Unit.takeIf { rows == listOf("1 hello") && notifications.values.toList() == listOf("hello") && badge == 1u } }
                    his.edit(first.id, "hello!")
                    eventually { Unit.takeIf { rows == listOf("1 hello!") && notifications.values.toList() == listOf("hello!") } }
                    ada.directThread(ben.userId()).use { hers ->
                        val reading = launch { followChat(hers) }
                        eventually { Unit.takeIf { rows == listOf("0 hello!") && notifications.isEmpty() && badge == 0u } }
                        val message = hers.history().messages.single()
                        hers.react(message.id, "👍")
                        hers.reply(message.id, "hello yourself")
                        his.shows { it.text == "hello yourself" }.let { his.markRead(it.id) }
                        eventually { Unit.takeIf { screen == listOf("hello! edited, 👍 1", "hello yourself > hello!, read") } }
                        reading.cancelAndJoin()
                        hers.setMutedUntil(Long.MAX_VALUE)
                        hers.setDraft("what I wanted to say")
                    }
                    his.sendText("are you still there?")
                    eventually { Unit.takeIf { rows == listOf("1 what I wanted to say") } }
                    assertEquals(0u to 0, ada.unreadTotals().messages to notifications.size)
                    showMoreChats(ada)
                }
                following.forEach { it.cancelAndJoin() }
            }
        }
    }
}
