/*
 * Linking this device to an account in one call.
 */
package io.github.sealpost

import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext

/**
 * Opens the client of an account. If the database is new, this device is linked as a companion first, to the account that the person
 * has on another device. If this is cancelled, or the process ends, the next call continues the link with the same code.
 *
 * @param name what the person sees at the primary device, and can change there.
 * @param showCode shows the code of [Linking.code]. It must not be sent to anybody, nor logged.
 * @param showDigits shows the digits of [Linking.digits] in the place of the code. The person compares them, and confirms at the primary
 * device.
 * @throws SealpostException.Link if the link has ended. The next call begins another one.
 */
public suspend fun linkClient(
    database: String,
    key: ByteArray,
    relay: String,
    name: String,
    config: Config = Config(),
    showCode: suspend (String) -> Unit,
    showDigits: suspend (String) -> Unit,
): Client =
    when (val opened = withContext(NonCancellable) { openAccount(database, key, relay, config.withRoots()) }) {
        is Opened.Ready -> opened.client
        is Opened.Unregistered -> opened.registration.use { registration ->
            cancellable { token -> registration.link(name, token) }.use { linking ->
                showCode(linking.code())
                showDigits(cancellable { token -> linking.digits(token) })
                cancellable { token -> linking.finish(token) }
            }
        }
    }
