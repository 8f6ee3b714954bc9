package io.github.sealpost.bench

import io.github.sealpost.CancelToken
import io.github.sealpost.Client
import io.github.sealpost.openClient
import io.github.sealpost.useAndShutDown
import kotlinx.coroutines.runBlocking

private const val CALLS = 500
private const val ROUNDS = 200

/**
 * The program that `./dev bench bindings` runs. Its arguments are `open` or `calls`, and a database with a long history. It prints one
 * number on each line.
 */
fun main(arguments: Array<String>): Unit = runBlocking {
    val begun = System.nanoTime()
    val (what, database) = arguments
    openClient(database, ByteArray(32) { 7 }, "http://127.0.0.1:1").useAndShutDown { client ->
        if (what == "open") {
            check(firstPage(client) == 50)
            println((System.nanoTime() - begun) / 1e6)
        } else {
            CancelToken().use { token -> println(each { check(!token.isCancelled()) }) }
            println(each { client.resume() })
        }
    }
}

private suspend fun firstPage(client: Client): Int {
    val thread = client.threads().first().id
    return client.thread(thread).use { it.history().messages.size }
}

/** The time of one call in nanoseconds, in the best of several rounds: the JVM has compiled it by then. */
private inline fun each(call: () -> Unit): Double = (1..ROUNDS).minOf {
    val begun = System.nanoTime()
    repeat(CALLS) { call() }
    (System.nanoTime() - begun).toDouble() / CALLS
}
