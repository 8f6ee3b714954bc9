package io.github.sealpost.bench

import io.github.sealpost.CancelToken
import io.github.sealpost.Client
import io.github.sealpost.openClient
import io.github.sealpost.useAndShutDown
import kotlinx.coroutines.runBlocking

private const val CALLS = 500
private const val ROUNDS = 200

/**
 * The program that `./dev bench bindings` runs. Its arguments are `open`, `calls` or `pages`, and a database with a long history. It prints one
 * number on each line.
 */
fun main(arguments: Array<String>): Unit = runBlocking {
    val begun = System.nanoTime()
    val (what, database) = arguments
    openClient(database, ByteArray(32) { 7 }, "http://127.0.0.1:1").useAndShutDown { client ->
        if (what == "open") {
            check(firstPage(client) == 50)
            println((System.nanoTime() - begun) / 1e6)
        } else if (what == "pages") {
            println(median { check(client.threads().size == 50) })
            client.thread(client.threads().first().id).use { thread ->
                println(median { check(thread.history().messages.size == 50) })
            }
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

/** The median time of a call in microseconds, after the JVM has compiled it. */
private inline fun median(call: () -> Unit): Double {
    val times = List(2 * CALLS) {
        val begun = System.nanoTime()
        call()
        (System.nanoTime() - begun) / 1e3
    }
    return times.drop(CALLS).sorted()[CALLS / 2]
}

/** The time of one call in nanoseconds, in the best of several rounds: the JVM has compiled it by then. */
private inline fun each(call: () -> Unit): Double = (1..ROUNDS).minOf {
    val begun = System.nanoTime()
    repeat(CALLS) { call() }
    (System.nanoTime() - begun).toDouble() / CALLS
}
