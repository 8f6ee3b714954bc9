/*
 * The text and the state of a message.
 */
package io.github.sealpost

/** The text of the message, or null if it is not a text. */
public val Message.text: String?
    get() = (body as? MessageBody.Text)?.text

/** Whether this is an outgoing message that has at least reached the relay. */
public val Message.isSent: Boolean
    get() = when (val direction = direction) {
        is Direction.Incoming -> false
        is Direction.Outgoing -> when (direction.delivery) {
            Delivery.Queued, is Delivery.Failed -> false
            Delivery.Sent, Delivery.Delivered, Delivery.Read, Delivery.Expired -> true
        }
    }
