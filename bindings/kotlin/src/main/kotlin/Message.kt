/*
 * What a message says, and how far it came.
 */
package io.github.sealpost

/** What the message says, when it is a text. */
public val Message.text: String?
    get() = (body as? MessageBody.Text)?.text

/** Whether it is one of ours, and has come at least as far as the relay. */
public val Message.isSent: Boolean
    get() = when (val direction = direction) {
        is Direction.Incoming -> false
        is Direction.Outgoing -> when (direction.delivery) {
            Delivery.Queued, is Delivery.Failed -> false
            Delivery.Sent, Delivery.Delivered, Delivery.Read -> true
        }
    }
