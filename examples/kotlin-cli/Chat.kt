/*
 * A conversation in a terminal that uses the Kotlin binding. It has the arguments and folders of `./dev chat`, so both can talk to
 * each other by name.
 */
package io.github.sealpost.example.cli

import io.github.sealpost.Change
import io.github.sealpost.Client
import io.github.sealpost.Config
import io.github.sealpost.Delivery
import io.github.sealpost.Direction
import io.github.sealpost.Message
import io.github.sealpost.MessageId
import io.github.sealpost.PendingLink
import io.github.sealpost.Position
import io.github.sealpost.SealpostException
import io.github.sealpost.SharedHistory
import io.github.sealpost.Thread
import io.github.sealpost.cancellable
import io.github.sealpost.changes
import io.github.sealpost.linkClient
import io.github.sealpost.openClient
import io.github.sealpost.text
import io.github.sealpost.useAndShutDown
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import java.io.File
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

private const val HELP = "chat --name NAME --with NAME [--link] [--relay URL] [--state FOLDER]"
private const val PAGE = 20u
private val CLOCK = DateTimeFormatter.ofPattern("HH:mm").withZone(ZoneOffset.UTC)

fun main(words: Array<String>) {
    val options = (words.toList() - "--link").chunked(2).associate { it.first() to it.last() }
    val name = options["--name"]
    val friend = options["--with"]
    if (name == null || friend == null) {
        System.err.println(HELP)
        exitProcess(2)
    }
    val home = Home(File(options["--state"] ?: ".cache/chat"))
    try {
        val relay = options["--relay"] ?: "http://127.0.0.1:8470"
        runBlocking { chat(home, name, friend, relay, isNewDevice = "--link" in words) }
    } catch (problem: SealpostException) {
        System.err.println("chat: $problem")
        exitProcess(1)
    }
}

private suspend fun chat(home: Home, name: String, friend: String, relay: String, isNewDevice: Boolean) {
    val config = Config(acceptAllRequests = true)
    val (database, key) = home.file(name, "db").path to home.key(name)
    val opened = when {
        isNewDevice -> linkClient(
            database, key, relay, name, config,
            showCode = { note("in the chat of your account, enter /link $it") },
            showDigits = { note("it must ask for $it") },
        )
        else -> openClient(database, key, relay, config = config)
    }
    opened.useAndShutDown { client ->
        home.file(name, "id").writeText(client.userId())
        note("you are $name, user id ${client.userId()}")
        client.directThread(home.user(friend)).use { Conversation(client, it, name, friend).run() }
    }
}

private class Conversation(
    private val client: Client,
    private val thread: Thread,
    private val name: String,
    private val friend: String,
) {
    private val shown = mutableSetOf<MessageId>()
    private var older: Position? = null
    private var pending: PendingLink? = null

    suspend fun run() = coroutineScope {
        val page = showPage(null)
        page.firstOrNull()?.let { thread.markRead(it.id) }
        note("type a message and press enter; /help lists the commands")
        val showing = launch { showWhatComes() }
        write()
        showing.cancelAndJoin()
    }

    /** Messages that arrived after the page was read are in the snapshot. A new companion also gets those from before. */
    private suspend fun showWhatComes() = thread.changes().collect { change ->
        val messages = when (change) {
            is Change.Snapshot -> change.page.messages.reversed()
            is Change.Added -> listOf(change.message)
            else -> emptyList()
        }
        for (message in messages) {
            val isOnOlderPage = older?.let { message.position < it } == true
            if (isOnOlderPage || message.id in shown) continue
            show(message)
            if (message.direction is Direction.Incoming) thread.markRead(message.id)
        }
    }

    /** Shows a page, oldest first. */
    private suspend fun showPage(before: Position?): List<Message> {
        val page = thread.history(before, PAGE)
        older = page.older
        page.messages.reversed().forEach(::show)
        return page.messages
    }

    private fun show(message: Message) {
        shown += message.id
        val who = if (message.direction is Direction.Incoming) friend else name
        println("${CLOCK.format(Instant.ofEpochMilli(message.sentMs))} $who: ${line(message)}")
    }

    /** Reads lines until the person quits. */
    private suspend fun write() {
        while (true) {
            val line = withContext(Dispatchers.IO) { readlnOrNull() }?.trim()
            when (line?.substringBefore(' ')) {
                null, "/quit" -> break
                "" -> {}
                "/help" -> note("/safety shows the safety number, /older an older page, /link reads the code of a new device, /quit ends")
                "/link" -> link(line.substringAfter(' '))
                "/yes" -> answer(isOurs = true)
                "/no" -> answer(isOurs = false)
                "/safety" -> note(safetyNumber()?.let { "safety number $it" } ?: "no safety number before the first message")
                "/older" -> older?.let { showPage(it) } ?: note("there are no older messages")
                else -> send(line)
            }
        }
        // Queued messages get a moment to be sent. The others are on disk, and are sent the next time.
        withTimeoutOrNull(2.seconds) {
            val waits = Direction.Outgoing(Delivery.Queued)
            while (thread.history().messages.any { it.direction == waits }) delay(50.milliseconds)
        } ?: note("some messages were not sent yet; they will be sent the next time")
    }

    /** Reads the code of a new device. */
    private suspend fun link(code: String) = try {
        val read = cancellable { client.link(code, it) }
        pending?.close()
        pending = read
        note("${read.name()} wants to be linked to this account. Does it show ${read.digits()}? /yes or /no")
    } catch (problem: SealpostException) {
        note("$problem")
    }

    private suspend fun answer(isOurs: Boolean) = try {
        pending?.use { read ->
            pending = null
            if (isOurs) {
                note("linked as device ${read.confirm(read.name(), SharedHistory.Everything)}")
            } else {
                read.cancel()
                note("nothing was linked")
            }
        } ?: note("/link reads the code of a new device")
    } catch (problem: SealpostException) {
        note("$problem")
    }

    private suspend fun send(text: String) {
        try {
            thread.sendText(text)
            // A person is waiting, so connecting is worthwhile.
            client.reconnect()
        } catch (problem: SealpostException.TooLong) {
            note("$problem")
        } catch (problem: SealpostException.InvalidArgument) {
            note("$problem")
        }
    }

    private suspend fun safetyNumber(): String? = try {
        client.safetyNumber(thread.others().single())
    } catch (_: SealpostException.NotFound) {
        null
    }
}

private fun note(what: String) = println("  · $what")

/** The text of a message without characters that would move the cursor of the terminal. */
private fun line(message: Message): String =
    message.text?.filterNot { it.isISOControl() } ?: "(could not be decrypted)"

/** The files that are kept between runs: for each name a database, its key, and its user id for others on this machine. */
private class Home(private val folder: File) {
    init {
        folder.mkdirs()
    }

    fun file(name: String, kind: String) = File(folder, "$name.$kind")

    /** The key is kept in a file, because this is not an app: an app would use the Keystore. */
    fun key(name: String): ByteArray {
        val file = file(name, "key")
        if (file.createNewFile()) {
            file.setReadable(false, false)
            file.setReadable(true, true)
            file.writeBytes(ByteArray(32).also(java.security.SecureRandom()::nextBytes))
        }
        return file.readBytes()
    }

    /** Waits until somebody with that name is registered. */
    suspend fun user(name: String): String {
        if (!file(name, "id").exists()) note("waiting for $name")
        while (true) {
            val file = file(name, "id")
            if (file.exists()) file.readText().trim().takeIf { it.isNotEmpty() }?.let { return it }
            delay(200.milliseconds)
        }
    }
}
