package io.github.sealpost

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

/** A whole app, as small as it can be: two people, one message. Given a relay and a folder, in a JVM of its own. */
fun main(arguments: Array<String>): Unit = runBlocking {
    val (relay, folder) = arguments
    val logged = CompletableDeferred<LogLine>()
    val logger = object : Logger {
        override fun log(line: LogLine) {
            logged.complete(line)
        }
    }
    setLogger(logger, LogLevel.DEBUG)
    suspend fun open(name: String, relay: String) = openClient("$folder/$name.db", name.toByteArray().copyOf(32), relay)
    open("ada", relay).useAndShutDown { ada ->
        open("ben", relay).useAndShutDown { ben ->
            try {
                ada.directThread("nobody").close()
            } catch (refused: SealpostException.InvalidArgument) {
                println("refused: ${refused.argument}")
            }
            ada.directThread(ben.userId()).use { it.sendText("hello") }
            ben.directThread(ada.userId()).use { his ->
                val change = his.changes().first { it is Change.Added || it is Change.Snapshot && it.page.messages.isNotEmpty() }
                val heard = if (change is Change.Added) change.message else (change as Change.Snapshot).page.messages.single()
                println("heard: ${heard.text}")
            }
        }
    }
    // Nobody is at this address, which is worth a line.
    open("ada", "http://127.0.0.1:1").useAndShutDown { println("logged: ${logged.await().level}") }
}
