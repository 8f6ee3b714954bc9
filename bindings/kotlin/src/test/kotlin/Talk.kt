package io.github.sealpost

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

/** A minimal app: two people, one message. Its arguments are a relay and a folder; it runs in its own JVM. */
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
    // Nothing listens at this address, which is logged.
    open("ada", "http://127.0.0.1:1").useAndShutDown { println("logged: ${logged.await().level}") }
}
