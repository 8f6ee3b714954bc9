/*
 * The keys of a call, and how to wipe them.
 */
package io.github.sealpost

/**
 * Overwrites these keys with zeros. Call it when the media library has them. The library itself has wiped its own; copies that the
 * JVM or the generated sources have made are not reached.
 */
public fun CallKeys.wipe() {
    for (bytes in listOf(sending.key, sending.salt, receiving.key, receiving.salt)) bytes.fill(0)
}
